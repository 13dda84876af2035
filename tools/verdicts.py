"""Makes docs/verdicts.csv from results of ``svs-sim check`` given as files: ``summary.json``, or ``--json``.

The same litmus program, profile and memory model in a later file replaces an earlier one, and what the table has; the
rest of the table stays, but for programs that no longer ship.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from scenarios.litmus_reader import shipped
from sim.kernel.designs import isolating

Cells = dict[tuple[str, str, str], str]  # by litmus program, profile and memory model
OUT = Path(__file__).parent.parent / "docs" / "verdicts.csv"


def cell(result: dict[str, object]) -> str:
    """What one exploration gave: orders or states that exhausted it, where it stopped, or the invariant broken.

    Of one that was not made, because another decides: under which memory model that was.
    """
    if result.get("decided_under"):
        return f"{result['verdict']} ({result['decided_under']})"
    if result["verdict"] == "violated":
        after = f" ({result['states']:,} states)" if result.get("states") else ""
        return f"**{result['invariant']}**{after}"
    orders = int(str(result["executions"])) + int(str(result["abandoned"]))
    count = f"{result['states']:,} states" if result.get("states") else f"{orders:,}"
    return f"holds ({count})" if result["verdict"] == "holds" else f"none in {count}"


def stated() -> Cells:
    """The table as it is."""
    if not OUT.exists():
        return {}
    with OUT.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["litmus"] in shipped()]
    return {(row["litmus"], profile, row["memory"]): row.get(profile, "-") for row in rows for profile in isolating()}


def main() -> None:
    """Read the files, write the table."""
    found = stated()
    for name in sys.argv[1:]:
        for result in json.loads(Path(name).read_text(encoding="utf-8"))["results"]:
            found[result["litmus"], result["profile"], result["memory"]] = cell(result)
    with OUT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        profiles = isolating()
        writer.writerow(["litmus", "memory", *profiles])
        for litmus, memory in sorted({(key[0], key[2]) for key in found}):
            writer.writerow([litmus, memory, *(found.get((litmus, p, memory), "-") for p in profiles)])


if __name__ == "__main__":
    main()
