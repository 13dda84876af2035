"""Samples of mutants, and what a sample says of all of them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from mutation import Mutant
from scipy import stats

SURE = 0.95


def sample(mutants: Sequence[Mutant], number: int, parts: int, seed: int) -> list[Mutant]:
    """Sample *number* of *parts* disjoint ones, in a random order: of each procedure as many mutants, within one.

    What is known when the checking of a sample is stopped is a sample, too.
    """
    stream = random.Random(f"mutants/{seed}")
    of: dict[tuple[str, str], list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        of[mutant.procedure].append(mutant)
    groups = list(of.values())
    stream.shuffle(groups)
    # Dealt like cards, on and on through all procedures, so that small ones do not all go to the first sample.
    dealt = [mutant for group in groups for mutant in stream.sample(group, len(group))]
    mine = dealt[number - 1 :: parts]
    stream.shuffle(mine)
    return mine


def interval(found: int, of: int) -> tuple[float, float]:
    """Between which shares the share of all lies, after Clopper and Pearson, at 95 %."""
    tail = (1 - SURE) / 2
    low = float(stats.beta.ppf(tail, found, of - found + 1)) if found else 0.0
    high = float(stats.beta.ppf(1 - tail, found + 1, of - found)) if found < of else 1.0
    return low, high
