"""Results that the tests of reports share."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.catalogue import list_scenarios
from sim.cli import main
from tests.charts.folders import make_check, make_run, make_sweep


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A result folder of each kind, and one of a user's own recording."""
    base = tmp_path_factory.mktemp("results")
    own = base / "my <program> & co.txt.gz"
    shipped = next(entry.path for entry in list_scenarios() if entry.name == "dd-512")
    own.write_bytes(shipped.read_bytes())
    assert main(["run", str(own), "--out", str(base / "recording"), "--quiet"]) == 0
    return {"run": make_run(base / "run"), "sweep": make_sweep(base / "sweep"), "check": make_check(base / "check"),
            "recording": base / "recording"}  # fmt: skip
