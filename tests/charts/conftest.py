"""Results that the tests of charts share."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.charts import OpenedResult, open_result
from tests.charts.folders import make_check, make_run, make_sweep


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A result folder of each kind."""
    base = tmp_path_factory.mktemp("results")
    return {"run": make_run(base / "run"), "sweep": make_sweep(base / "sweep"), "check": make_check(base / "check")}


@pytest.fixture(scope="session")
def opened_results(folders: dict[str, Path]) -> dict[str, OpenedResult]:
    """The same, opened."""
    return {kind: open_result(path) for kind, path in folders.items()}
