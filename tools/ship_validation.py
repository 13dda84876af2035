#!/usr/bin/env python3
"""Makes the validation that reports show by default: what 'svs-sim validate --out DIR' wrote, with the code's hash.

tools/ship_validation.py DIR
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from analysis.report.validation import KEYS, NAME  # noqa: E402
from sim.version import code_version  # noqa: E402

REMARKS = ("unit", "explained")


def main(folder: str) -> int:
    """Write the package's file."""
    data = json.loads((Path(folder) / NAME).read_text(encoding="utf-8"))
    points = [{key: point[key] for key in (*KEYS, *REMARKS)} for point in data["points"]]
    text = json.dumps({"code": code_version(), "points": points}, indent=1, sort_keys=True, ensure_ascii=False)
    (ROOT / "analysis" / "report" / NAME).write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
