"""A small sweep that many tests run."""

from __future__ import annotations

from pathlib import Path

import pytest

GRID = """
title = "small"
seed = 3
replications = 2
scenarios = ["ping-pong"]
profiles = ["svs-netbsd8", "svs-netbsd9"]
cpus = [1, 2]
[set]
"group.0.iterations" = [20, 40]
"group.1.iterations" = 40
"""
POINTS = 16


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(GRID)
    return path
