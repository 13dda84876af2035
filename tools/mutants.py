"""Makes mutants of the kernel by rule, checks them with the litmus programs, and prints which survive.

``python tools/mutants.py --out DIR --part 1/5`` takes one of five samples, each of which has a fifth of the mutants of
every procedure and none of another's.  ``DIR/mutants.jsonl`` gets a line for each mutant as soon as its fate is known,
and a second call goes on behind the last; ``DIR/survivors`` gets their diffs, for ``svs-sim check --patch``.  Survivors
that change nothing that a kernel promises are listed with the reason in ``tools/equivalent.toml``.  With files,
``python tools/mutants.py --out DIR FILE.diff ...`` checks these diffs in the same way.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import hunt
import mutation
from reached import all_reached
from sampling import interval, sample

from scenarios.litmus_reader import shipped

EQUIVALENT = Path(__file__).parent / "equivalent.toml"


def equivalent() -> dict[str, str]:
    """The reasons of mutants judged equivalent, by key."""
    with EQUIVALENT.open("rb") as file:
        return {entry["mutant"]: entry["reason"] for entry in tomllib.load(file)["equivalent"]}


def report(rows: list[dict[str, str]]) -> int:
    """Print survivors and rates; returns the exit status: 1 if a mutant survives that is not known to be equivalent."""
    known = equivalent()
    valid = [row for row in rows if row["verdict"] != hunt.INVALID]
    same = [row for row in valid if row["key"] in known]
    real = [row for row in valid if row["key"] not in known]
    alive = [row for row in real if row["verdict"] != hunt.FOUND]
    for row in same:
        odd = f", but {row['verdict']} by {row['how']}" if row["verdict"] == hunt.FOUND else ""
        print(f"{row['name']} [{row['key'].split()[-1]}]: equivalent{odd}: {known[row['key']]}")
    for row in alive:
        print(f"{row['name']} [{row['key'].split()[-1]}]: {row['verdict']} {row['how']}")
    for rule in sorted({row["rule"] for row in real}):
        mine = [row for row in real if row["rule"] == rule]
        print(f"{rule}: {sum(row['verdict'] == hunt.FOUND for row in mine)} of {len(mine)} found")
    by = Counter(row["how"] for row in real if row["verdict"] == hunt.FOUND)
    print("found by", ", ".join(f"{how} {count}" for how, count in by.most_common()))
    found = len(real) - len(alive)
    low, high = interval(found, len(real))
    rate = 100 * found / max(len(real), 1)
    print(f"{found} of {len(real)} found ({rate:.1f} %, of all {100 * low:.1f} to {100 * high:.1f} %)")
    print(f"{len(same)} more are equivalent, {len(rows) - len(valid)} make no kernel")
    print(f"{sum(float(row['seconds']) for row in rows):.0f} seconds of CPU time")
    return int(bool(alive))


def run(mutants: list[mutation.Mutant], jobs: int, effort: int, cache: Path) -> Iterator[hunt.Fate]:
    """The fates of mutants as they are known, each looked for with so many times the usual *effort*."""
    cells = all_reached(hunt.pairs(shipped()), cache, jobs)
    with ProcessPoolExecutor(jobs) as pool:
        asked = [pool.submit(hunt.fate, mutant, hunt.dealt(mutant, cells), effort) for mutant in mutants]
        for known in as_completed(asked):
            yield known.result()


def main() -> int:
    """Make, draw, check, report."""
    args = _parser().parse_args()
    number, parts = args.part
    mutants = [mutation.of_diff(path) for path in args.diffs]
    if not mutants:
        gone = set(args.beyond.read_text(encoding="utf-8").split("\n")) if args.beyond else set()
        mutants = [each for each in mutation.mutants() if args.only in each.name and each.key not in gone]
        mutants = sample(mutants, number, parts, args.seed)
    if args.list:
        print(*(mutant.key for mutant in mutants), sep="\n")
        return 0
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "mutants.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    known = {row["key"]: row for row in map(json.loads, lines)}
    over = {key for key, row in known.items() if not args.again or row["verdict"] == hunt.FOUND}
    left = [mutant for mutant in mutants if mutant.key not in over]
    with path.open("a", encoding="utf-8") as file:
        for each in run(left, args.jobs, args.effort, args.out / "reached.json") if left and not args.report else ():
            mutant = each.mutant
            row = {
                **{key: getattr(mutant, key) for key in ("key", "name", "rule", "diff")},
                **{key: getattr(each, key) for key in ("verdict", "how", "where", "seconds")},
            }
            known[mutant.key] = row
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(f"{each.verdict:9} {mutant.name} {each.how} {each.where}", file=sys.stderr, flush=True)
    rows = [known[mutant.key] for mutant in mutants if mutant.key in known]
    _diffs(args.out / "survivors", rows)
    return report(rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("diffs", nargs="*", type=Path, metavar="DIFF", help="check these instead of mutants by rule")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="I/N", help="one of N samples (default: 1/1)")
    parser.add_argument("--seed", type=int, default=1, help="how mutants are dealt to the samples (default: 1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--effort", type=int, default=1, help="so many times as many schedules and states (default: 1)")
    parser.add_argument("--beyond", type=Path, metavar="FILE", help="leave out mutants whose keys are lines of FILE")
    parser.add_argument("--only", default="", help="mutants whose name has this text in it")
    parser.add_argument("--list", action="store_true", help="print the mutants' keys")
    parser.add_argument("--report", action="store_true", help="check nothing, report what is known")
    parser.add_argument("--again", action="store_true", help="check those that survived before once more")
    parser.add_argument("--out", type=Path, default=Path("mutants"), help="folder for results (default: mutants)")
    return parser


def _part(text: str) -> tuple[int, int]:
    """Read I/N."""
    match = re.fullmatch(r"([0-9]{1,3})/([0-9]{1,3})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"a part is like 1/5, not '{text}'")
    return int(match[1]), int(match[2])


def _diffs(folder: Path, rows: list[dict[str, str]]) -> None:
    """Write the diffs of survivors that are not known to be equivalent."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.diff"):
        old.unlink()
    known = equivalent()
    for row in rows:
        if row["verdict"] in (hunt.SURVIVES, hunt.UNREACHED) and row["key"] not in known:
            name = row["key"].replace("/", "-").replace(" ", "-")
            (folder / f"{name}.diff").write_text(row["diff"], encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
