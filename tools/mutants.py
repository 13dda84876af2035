"""Makes mutants of the kernel by rule, checks them with the litmus programs, and prints which survive.

``python tools/mutants.py --share 0.1 --seed 1 --jobs 2`` takes a tenth of all mutants.  A mutant is a unified diff, so
one that survives can be looked at with ``--out DIR`` and ``svs-sim check --patch``.  Survivors that no program can
find, because they change nothing that a kernel promises, are listed with the reason in ``tools/equivalent.toml``.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tomllib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import mutation

from scenarios.litmus_reader import find, shipped
from sim.errors import InputError
from sim.explore.check import Request, builder
from sim.explore.explorer import Budget, explore
from sim.explore.patches import Patch
from sim.explore.patches.kernel import patched
from sim.explore.plants import plants
from sim.explore.strategies.pct import Pct

EQUIVALENT = Path(__file__).parent / "equivalent.toml"
# Where a module's mutants are looked for; a mutant of code that no profile here runs would survive unseen.
PROFILES = {
    "pti.py": ("pti",),
    "none.py": ("none",),
    "shootdown2018.py": ("svs-netbsd9",),
    "shootdown2020.py": ("svs-netbsd10",),
}
OTHERS = ("svs-netbsd10", "svs-netbsd8")
Cell = tuple[str, str, str]  # litmus, profile, memory
FOUND, SURVIVES, INVALID = "found", "survives", "invalid"


class Fate(NamedTuple):
    """What became of a mutant: *how* is an invariant, or what else gave it away."""

    mutant: mutation.Mutant
    digest: str
    verdict: str
    how: str = ""
    where: str = ""


class Endless(BaseException):
    """A mutant took longer than it may; nothing that catches errors, as of an import, may catch this."""


def cells(mutant: mutation.Mutant) -> list[Cell]:
    """Where to look, in this order: where planted bugs of the same file are found, of others, and all programs."""
    known = sorted(plants(), key=lambda plant: mutant.path not in plant.patch.diff)
    profiles = PROFILES.get(Path(mutant.path).name, OTHERS)
    every = [(litmus, profile, "tso") for profile in profiles for litmus in shipped()]
    return list(dict.fromkeys([(plant.litmus, plant.profile, plant.memory) for plant in known] + every))


def fate(mutant: mutation.Mutant, runs: int, seconds: int) -> Fate:
    """Check a mutant, program by program, until one of them breaks."""
    patch = Patch(mutant.name, mutant.diff)
    where = ""
    signal.signal(signal.SIGALRM, _endless)
    signal.alarm(seconds)
    try:
        with patched((patch,)) as kernel:
            for litmus, profile, memory in cells(mutant):
                where = f"{litmus} {profile} {memory}"
                build = builder(Request(find(litmus), profile, memory), kernel.run)
                out = explore(build, Pct(1, runs), Budget(executions=runs))
                if out.broken is not None and out.broken.invariant not in find(litmus).violates.get(profile, ()):
                    return Fate(mutant, patch.digest, FOUND, out.broken.invariant, where)
    except InputError:
        return Fate(mutant, patch.digest, INVALID)
    except Endless:
        return Fate(mutant, patch.digest, SURVIVES, f"still looking after {seconds} s", where)
    except Exception as error:  # whatever a broken kernel raises: nobody could overlook it
        return Fate(mutant, patch.digest, FOUND, type(error).__name__, where)
    finally:
        signal.alarm(0)
    return Fate(mutant, patch.digest, SURVIVES)


def _endless(_number: int, _frame: FrameType | None) -> None:
    raise Endless


def equivalent() -> dict[str, str]:
    """The reasons of mutants judged equivalent, by digest."""
    with EQUIVALENT.open("rb") as file:
        return {entry["digest"]: entry["reason"] for entry in tomllib.load(file)["equivalent"]}


def report(fates: list[Fate], out: Path | None) -> int:
    """Print survivors and rates; returns the exit status: 1 if a mutant survives that is not known to be equivalent."""
    known = equivalent()
    valid = [each for each in fates if each.verdict != INVALID]
    alive = [each for each in valid if each.verdict == SURVIVES]
    same = [each for each in alive if each.digest in known]
    for each in alive:
        print(f"{each.digest} {each.mutant.name}: {known.get(each.digest) or each.how or 'survives'}")
        if out is not None and each not in same:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{each.mutant.file_name}.diff").write_text(each.mutant.diff, encoding="utf-8")
    for rule in mutation.RULES:
        mine = [each for each in valid if each.mutant.rule == rule]
        print(f"{rule}: {sum(each.verdict == FOUND for each in mine)} of {len(mine)} found")
    by = Counter(each.how for each in valid if each.verdict == FOUND)
    print("found by", ", ".join(f"{how} {count}" for how, count in by.most_common()))
    real = len(valid) - len(same)
    found = len(valid) - len(alive)
    print(f"{found} of {real} found ({100 * found / max(real, 1):.0f} %), {len(same)} more are equivalent")
    return int(len(alive) > len(same))


def main() -> int:
    """Make, draw, check, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="part of all mutants that is checked (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="which part (default: 1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--budget", type=int, default=40, help="executions by pct for each program (default: 40)")
    parser.add_argument("--seconds", type=int, default=600, help="at most so long for each mutant (default: 600)")
    parser.add_argument("--only", default="", help="mutants whose name has this text in it")
    parser.add_argument("--list", action="store_true", help="print the mutants' names")
    parser.add_argument("--out", type=Path, help="folder for the diffs of survivors")
    args = parser.parse_args()
    mutants = [mutant for mutant in mutation.mutants() if args.only in mutant.name]
    count = round(args.share * len(mutants))
    mutants = sorted(random.Random(args.seed).sample(mutants, count), key=lambda mutant: mutant.name)
    if args.list:
        print(*(mutant.name for mutant in mutants), sep="\n")
        return 0
    fates = []
    with ProcessPoolExecutor(args.jobs) as pool:
        for each in pool.map(fate, mutants, [args.budget] * count, [args.seconds] * count):
            fates.append(each)
            print(f"{each.verdict:8} {each.mutant.name} {each.how} {each.where}", file=sys.stderr, flush=True)
    return report(fates, args.out)


if __name__ == "__main__":
    sys.exit(main())
