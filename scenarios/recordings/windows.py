"""Which parts of a recording a sample is of: systematic windows, each with what comes before and behind it.

A window is measured from *begin* to *end*.  What comes before, from *warm* on, fills TLBs, caches and run queues; what
comes behind, up to *cool*, keeps the others busy while the last LWP comes to the window's end.  Windows are equally
long and equally far apart, and chance, a stream of the seed, decides only where the first begins (systematic sampling,
as in SMARTS: Wunderlich, Wenisch, Falsafi and Hoe, ISCA 2003).  They are measured by the time that tasks are on CPUs in
the recording, as those of SMARTS are by instructions: then each holds as much work as any other, a long stretch
without a line is cut where a window ends, and idle time takes no room.
"""

from __future__ import annotations

import random
import re
from fractions import Fraction
from typing import NamedTuple

from sim.errors import InputError

USUAL, FEWEST, MOST = 30, 2, 1000  # windows
SHORTEST = 100  # lines of a window, on average
USUAL_LINES = 2_000  # of a window, if there is a choice
WARM_LINES, COOL_LINES = 2_000, 500  # on average
FORM = "give a share, above 0 and at most 1, and perhaps a number of windows, as in 0.1 or 0.1:20"


class Sample(NamedTuple):
    """What was asked for: which share of the recording, in how many windows (None: as suits the length)."""

    share: Fraction
    windows: int | None = None

    def __str__(self) -> str:
        """As it is written on a command line."""
        return f"{float(self.share):g}" + ("" if self.windows is None else f":{self.windows}")


class Window(NamedTuple):
    """One window: places in the recording, as the time that all tasks have been on CPUs by then (ns)."""

    number: int
    warm: int
    begin: int
    end: int
    cool: int


def read_sample(text: str) -> Sample:
    """Read ``SHARE`` or ``SHARE:WINDOWS``.  Raises InputError, without the text itself."""
    found = re.fullmatch(r"([01]|0?\.[0-9]{1,9}|1\.0+)(?::([0-9]{1,5}))?", text, re.ASCII)
    share = Fraction(found[1]) if found else Fraction(0)
    if found is None or not share:
        raise InputError(FORM)
    windows = None if found[2] is None else int(found[2])
    if windows is not None and not (1 if share == 1 else FEWEST) <= windows <= MOST:
        raise InputError(f"the number of windows must be from {FEWEST} to {MOST}")
    return Sample(share, windows)


def plan(sample: Sample, lines: int, work: int, seed: int) -> list[Window]:
    """The windows of a recording of so many lines, in which tasks are on CPUs for *work* ns in all.

    Raises InputError if it is too short for them.
    """
    number = sample.windows or min(int(lines * sample.share) // USUAL_LINES, USUAL)
    if number < (1 if sample.windows else FEWEST) or lines * sample.share // number < SHORTEST:
        raise InputError(f"sample {sample}: the recording is too short for that, it has {lines:,} lines; "
                         f"{_instead(sample, lines)}")  # fmt: skip
    length = int(work * sample.share) // number
    if not length:
        raise InputError(f"sample {sample}: no task is on a CPU long enough in the recording; run it whole")
    first = random.Random(f"{seed}/sample").randint(0, work // number - length)  # nosec
    warm, cool = (many * work // lines for many in (WARM_LINES, COOL_LINES))
    windows = []
    for at in range(number):
        begin = work * at // number + first
        end = work * (at + 1) // number if sample.share == 1 else begin + length
        windows.append(Window(at, max(begin - warm, 0), begin, end, min(end + cool, work)))
    return windows


def _instead(sample: Sample, lines: int) -> str:
    """What can be done about too short a recording."""
    fits = int(lines * sample.share) // SHORTEST
    if fits >= FEWEST:
        return f"{fits} windows of {SHORTEST} lines fit at most, as in {float(sample.share):g}:{fits}"
    return f"a window has at least {SHORTEST} lines: run it whole"
