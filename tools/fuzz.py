"""Fuzzes what people can give: recordings, TOML, tokens, arguments, results; and runs random scenarios and programs.

``python tools/fuzz.py --cases 1000`` or ``--seconds 28800``.  Case *n* depends on the seed and *n* alone.  Whatever
ends otherwise than well or in one line about bad input, or takes a minute of CPU time or a GiB, is kept as a file and
reported; the exit status is then 1.  ``--first`` goes on where the last line of an earlier output says.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from sim.signals import ending_signals  # noqa: E402
from tools.fuzzing import files, programs, recordings, watch  # noqa: E402
from tools.fuzzing.watch import Case, End  # noqa: E402

# What there is, and how many of 1000 cases: the more, the less one takes.
KINDS: dict[str, tuple[Callable[[Random], Case], int]] = {
    "arguments": (files.arguments, 430), "file": (files.file, 400), "token": (files.token, 80),
    "recording": (recordings.recording, 60), "changed litmus": (programs.changed_litmus, 12),
    "changed scenario": (programs.changed_scenario, 8), "costs": (programs.costs, 5),
    "scenario": (programs.scenario, 2), "litmus": (programs.litmus, 2), "result": (files.result, 1),
}  # fmt: skip
EVERY = 1000  # cases between two reports


@dataclass
class Tally:
    """What became of the cases of one kind."""

    cases: int = 0
    accepted: int = 0
    found: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    mib: int = 0

    def add(self, end: End) -> None:
        """Count one case."""
        self.cases += 1
        self.accepted += end.status in (0, 1, 3)
        self.found += bool(end.wrong)
        self.seconds += end.seconds
        self.longest = max(self.longest, end.seconds)
        self.mib = max(self.mib, end.mib)


def kind_of(seed: int, number: int) -> str:
    """The kind of a case, drawn by the shares."""
    shares = [share for _, share in KINDS.values()]
    return Random(f"{seed}/{number}").choices(list(KINDS), shares)[0]


def fuzz_one(kind: str, seed: int, number: int, keep: Path) -> End:
    """Run one case; its input is kept in *keep* if something is wrong."""
    case = KINDS[kind][0](Random(f"{seed}/{kind}/{number}"))
    end = watch.run(case)
    if end.wrong:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{kind.replace(' ', '-')}-{seed}-{number}{case.ending}").write_bytes(case.data)
    return end


def report(tallies: dict[str, Tally], number: int, seconds: float) -> None:
    """Print what there was so far."""
    print(f"\n{'kind':<18}{'cases':>8}{'accepted':>10}{'found':>7}{'seconds':>9}{'longest':>9}{'MiB':>6}")
    for kind, tally in sorted(tallies.items()):
        share = f"{100 * tally.accepted / tally.cases:.0f} %"
        print(f"{kind:<18}{tally.cases:>8}{share:>10}{tally.found:>7}{tally.seconds:>9.0f}{tally.longest:>9.2f}"
              f"{tally.mib:>6}")  # fmt: skip
    print(f"{sum(tally.cases for tally in tallies.values())} cases in {seconds:.0f} s; go on with --first {number}",
          flush=True)  # fmt: skip


def main() -> int:
    """Fuzz until the cases or the seconds are used up; print what was found and how many there were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, metavar="N", help="so many in all")
    parser.add_argument("--seconds", type=float, metavar="S", help="at most so long")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first case")
    parser.add_argument("--kind", choices=KINDS, help="only this kind")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"), metavar="DIR", help="for what is found")
    args = parser.parse_args()
    if args.cases is None and args.seconds is None:
        parser.error("give --cases or --seconds")
    watch.limit_memory()
    begun, number, tallies = time.monotonic(), args.first, defaultdict[str, Tally](Tally)
    last = sys.maxsize if args.cases is None else args.first + args.cases
    until = float("inf") if args.seconds is None else begun + args.seconds
    with suppress(KeyboardInterrupt), ending_signals():
        while number < last and time.monotonic() < until:
            kind = args.kind or kind_of(args.seed, number)
            end = fuzz_one(kind, args.seed, number, args.keep)
            tallies[kind].add(end)
            if end.wrong:
                print(json.dumps({"kind": kind, "case": number, "found": end.wrong}), flush=True)
            number += 1
            if number % EVERY == 0:
                report(tallies, number, time.monotonic() - begun)
    report(tallies, number, time.monotonic() - begun)
    return int(any(tally.found for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
