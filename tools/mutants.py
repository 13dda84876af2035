"""Makes mutants of the kernel by rule, checks them with the litmus programs, and prints which survive.

``python tools/mutants.py --out DIR --share 0.1 --seed 1`` takes a tenth of all mutants.  A mutant is looked for in the
programs and profiles that run the lines it changes, short ones first, with random schedules: a few of each, then more,
under both memory models.  ``DIR/mutants.jsonl`` gets a line for each as soon as its fate is known, and a second call
goes on behind the last; ``DIR/survivors`` gets their diffs, for ``svs-sim check --patch``.  Survivors that no program
can find, because they change nothing that a kernel promises, are listed with the reason in ``tools/equivalent.toml``.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import mutation
from reached import Cell, all_reached

from scenarios.litmus_reader import find, shipped
from sim.errors import InputError
from sim.explore.check import builder
from sim.explore.explorer import Budget, explore
from sim.explore.patches import Patch
from sim.explore.patches.kernel import Kernel, patched
from sim.explore.request import Request
from sim.explore.strategies.pct import Pct

EQUIVALENT = Path(__file__).parent / "equivalent.toml"
PROFILES = ("svs-netbsd8", "svs-netbsd10", "svs-netbsd9", "pti", "none", "pti+call-queues")
MOST_CELLS = 16  # programs and profiles in which one mutant is looked for
PASSES = (("sc", 5), ("tso", 24), ("sc", 24))  # memory model and schedules of each
SECONDS = 60  # of CPU time that a mutant gets; an execution that takes a third of it does not end
FOUND, SURVIVES, INVALID, UNREACHED = "found", "survives", "invalid", "unreached"


class Fate(NamedTuple):
    """What became of a mutant: *how* is an invariant, or what else gave it away."""

    mutant: mutation.Mutant
    verdict: str
    how: str = ""
    where: str = ""


class Endless(BaseException):
    """A mutant took longer than it may; nothing that catches errors, as of an import, may catch this."""


class Search:
    """Looks for one mutant."""

    def __init__(self, mutant: mutation.Mutant, cells: list[Cell]) -> None:
        self.mutant = mutant
        self.cells = cells
        self.where = ""
        self.began = 0.0

    def fate(self) -> Fate:
        """Check the mutant, program by program, until one of them breaks."""
        signal.signal(signal.SIGVTALRM, _endless)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            with patched((Patch(self.mutant.name, self.mutant.diff),)) as kernel:
                if not self.cells:
                    return Fate(self.mutant, UNREACHED)
                how = self._broken(kernel)
        except InputError:
            return Fate(self.mutant, INVALID)
        except Endless:
            endless = time.process_time() - self.began > SECONDS / 3
            return Fate(self.mutant, FOUND if endless else SURVIVES, "endless" if endless else "", self.where)
        except Exception as error:  # whatever a broken kernel raises: nobody could overlook it
            return Fate(self.mutant, FOUND, type(error).__name__, self.where)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return Fate(self.mutant, FOUND, how, self.where) if how else Fate(self.mutant, SURVIVES)

    def _broken(self, kernel: Kernel) -> str:
        """The invariant that breaks first, or nothing."""
        for memory, runs in PASSES:
            for cell in self.cells:
                self.where = f"{cell.litmus} {cell.profile} {memory}"
                program = find(cell.litmus)
                build = builder(Request(program, cell.profile, memory), kernel.run)
                muted = partial(build, muted=program.violates.get(cell.profile, ()))

                def timed(make: partial[object] = muted) -> object:
                    self.began = time.process_time()
                    return make()

                out = explore(timed, Pct(1, runs), Budget(executions=runs))  # type: ignore[arg-type, var-annotated]
                if out.broken is not None:
                    return str(out.broken.invariant)
        return ""


def _endless(_number: int, _frame: FrameType | None) -> None:
    raise Endless


def dealt(mutant: mutation.Mutant, cells: list[Cell]) -> list[Cell]:
    """The cells in which to look for a mutant: those that run it, of each profile the shortest, in turns."""
    changed = {(mutant.path, line) for line in mutant.lines}
    mine = sorted((cell for cell in cells if changed & cell.lines), key=lambda cell: cell.steps)
    turns = [[cell for cell in mine if cell.profile == profile] for profile in PROFILES]
    found = [turn[i] for i in range(len(mine)) for turn in turns if i < len(turn)]
    return [cell._replace(lines=frozenset()) for cell in found[:MOST_CELLS]]


def fate(mutant: mutation.Mutant, cells: list[Cell]) -> Fate:
    """What becomes of a mutant in those cells."""
    return Search(mutant, cells).fate()


def equivalent() -> dict[str, str]:
    """The reasons of mutants judged equivalent, by key."""
    with EQUIVALENT.open("rb") as file:
        return {entry["mutant"]: entry["reason"] for entry in tomllib.load(file)["equivalent"]}


def report(rows: list[dict[str, str]]) -> int:
    """Print survivors and rates; returns the exit status: 1 if a mutant survives that is not known to be equivalent."""
    known = equivalent()
    valid = [row for row in rows if row["verdict"] != INVALID]
    alive = [row for row in valid if row["verdict"] != FOUND]
    same = [row for row in alive if row["key"] in known]
    for row in alive:
        print(f"{row['name']} [{row['key'].split()[-1]}]: {known.get(row['key']) or row['verdict']}")
    for rule in mutation.RULES:
        mine = [row for row in valid if row["rule"] == rule and row not in same]
        print(f"{rule}: {sum(row['verdict'] == FOUND for row in mine)} of {len(mine)} found")
    by = Counter(row["how"] for row in valid if row["verdict"] == FOUND)
    print("found by", ", ".join(f"{how} {count}" for how, count in by.most_common()))
    real, found = len(valid) - len(same), len(valid) - len(alive)
    print(f"{found} of {real} found ({100 * found / max(real, 1):.1f} %), {len(same)} more are equivalent")
    return int(len(alive) > len(same))


def run(mutants: list[mutation.Mutant], jobs: int, cache: Path) -> Iterator[Fate]:
    """The fates of mutants, in their order."""
    pairs = [(litmus, profile) for profile in PROFILES for litmus in shipped()]
    cells = all_reached(pairs, cache, jobs)
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(fate, mutants, [dealt(mutant, cells) for mutant in mutants])


def main() -> int:
    """Make, draw, check, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="part of all mutants that is checked (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="which part (default: 1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--only", default="", help="mutants whose name has this text in it")
    parser.add_argument("--list", action="store_true", help="print the mutants' names")
    parser.add_argument("--report", action="store_true", help="check nothing, report what is known")
    parser.add_argument("--again", action="store_true", help="check those that survived before once more")
    parser.add_argument("--out", type=Path, default=Path("mutants"), help="folder for results (default: mutants)")
    args = parser.parse_args()
    mutants = [mutant for mutant in mutation.mutants() if args.only in mutant.name]
    # In a random order: what is known when the script is stopped is a fair sample, too.
    mutants = random.Random(args.seed).sample(mutants, len(mutants))[: round(args.share * len(mutants))]
    if args.list:
        print(*(mutant.name for mutant in mutants), sep="\n")
        return 0
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "mutants.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    known = {row["key"]: row for row in map(json.loads, lines)}
    left = [each for each in mutants if each.key not in known or args.again and known[each.key]["verdict"] != FOUND]
    with path.open("a", encoding="utf-8") as file:
        for each in run(left, args.jobs, args.out / "reached.json") if left and not args.report else ():
            mutant = each.mutant
            row = {
                **{key: getattr(mutant, key) for key in ("key", "name", "rule", "diff")},
                **{key: getattr(each, key) for key in ("verdict", "how", "where")},
            }
            known[mutant.key] = row
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(f"{each.verdict:9} {mutant.name} {each.how} {each.where}", file=sys.stderr, flush=True)
    rows = [known[mutant.key] for mutant in mutants if mutant.key in known]
    _diffs(args.out / "survivors", rows)
    return report(rows)


def _diffs(folder: Path, rows: list[dict[str, str]]) -> None:
    """Write the diffs of survivors that are not known to be equivalent."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.diff"):
        old.unlink()
    known = equivalent()
    for row in rows:
        if row["verdict"] in (SURVIVES, UNREACHED) and row["key"] not in known:
            name = row["key"].replace("/", "-").replace(" ", "-")
            (folder / f"{name}.diff").write_text(row["diff"], encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
