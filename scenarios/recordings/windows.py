"""Which lines of a recording a sample is of: systematic windows, each with lines before and behind that only go along.

A window is measured from line *begin* to line *end*.  What comes before, from line *warm* on, fills TLBs, caches and
run queues; what comes behind, up to line *cool*, keeps the others busy while the last LWP comes to the window's end.
Windows are equally long and equally far apart, and chance, a stream of the seed, decides only where the first begins
(systematic sampling, as in SMARTS: Wunderlich, Wenisch, Falsafi and Hoe, ISCA 2003).  Lines, not times: then equally
much happens in all of them.
"""

from __future__ import annotations

import random
import re
from fractions import Fraction
from typing import NamedTuple

from sim.errors import InputError
from sim.inputs.shown import cut

USUAL, FEWEST, MOST = 30, 2, 1000  # windows
SHORTEST = 100  # lines of a window that was asked for
USUAL_LINES = 2_000  # of a window, if there is a choice
WARM_LINES, COOL_LINES = 2_000, 500
FORM = "give a share and perhaps a number of windows, as in --sample 0.1 or --sample 0.1:20"


class Sample(NamedTuple):
    """What was asked for: which share of the lines, in how many windows (None: as suits the length)."""

    share: Fraction
    windows: int | None = None

    def __str__(self) -> str:
        """As it is written on a command line."""
        return f"{float(self.share):g}" + ("" if self.windows is None else f":{self.windows}")


class Window(NamedTuple):
    """One window, in lines from 0 on; each number is the first line that is not before the place."""

    number: int
    warm: int
    begin: int
    end: int
    cool: int


def read_sample(text: str) -> Sample:
    """Read ``SHARE`` or ``SHARE:WINDOWS``.  Raises InputError."""
    found = re.fullmatch(r"([01]|0?\.[0-9]{1,9}|1\.0+)(?::([0-9]{1,5}))?", text, re.ASCII)
    share = Fraction(found[1]) if found else Fraction(0)
    if found is None or not share:
        raise InputError(f"--sample {cut(text)}: {FORM}; the share is above 0 and at most 1")
    windows = None if found[2] is None else int(found[2])
    if windows is not None and not (1 if share == 1 else FEWEST) <= windows <= MOST:
        raise InputError(f"--sample {cut(text)}: the number of windows must be from {FEWEST} to {MOST}")
    return Sample(share, windows)


def plan(sample: Sample, lines: int, seed: int) -> list[Window]:
    """The windows of a recording of so many lines.  Raises InputError if it is too short for them."""
    number = sample.windows or min(int(lines * sample.share) // USUAL_LINES, USUAL)
    length = int(lines * sample.share) // max(number, 1)
    if number < (1 if sample.windows else FEWEST) or length < SHORTEST:
        raise InputError(f"--sample {sample}: the recording is too short for that, it has {lines:,} lines; "
                         f"{_instead(sample, lines)}")  # fmt: skip
    first = random.Random(f"{seed}/sample").randint(0, lines // number - length)  # nosec
    windows = []
    for at in range(number):
        begin = lines * at // number + first
        end = lines * (at + 1) // number if sample.share == 1 else begin + length
        windows.append(Window(at, max(begin - WARM_LINES, 0), begin, end, min(end + COOL_LINES, lines)))
    return windows


def _instead(sample: Sample, lines: int) -> str:
    """What can be done about too short a recording."""
    fits = int(lines * sample.share) // SHORTEST
    if fits >= FEWEST:
        return f"{fits} windows of {SHORTEST} lines fit at most, as in --sample {float(sample.share):g}:{fits}"
    return f"a window has at least {SHORTEST} lines: run it whole"
