"""Run a scenario from Python, write its result, read it back."""

import tempfile
from pathlib import Path

from analysis.overview import df_overview
from analysis.results import read_result
from sim.cli import main

if __name__ == "__main__":  # the process that runs the profile imports this file, too
    out = Path(tempfile.mkdtemp()) / "null-syscall"
    main(["run", "null-syscall", "--quiet", "--out", str(out)])

    result = read_result(out)
    print(result.summary["profile"], "against", result.summary["baseline"])
    print("most is added by:", df_overview(result.summary)["cause"][0])

    ledger = result.frame("ledger")
    total = ledger[ledger["run"] == "profile"]["cycles"].sum()
    print("every cycle accounted for:", total == result.summary["elapsed_cycles"]["profile"] * result.summary["cpus"])
