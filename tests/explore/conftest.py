"""The helpers beside these tests can be imported by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from patching import Write  # noqa: E402


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a diff to a file and return its name."""

    def write(diff: str, name: str = "my.diff") -> str:
        (tmp_path / name).write_text(diff)
        return str(tmp_path / name)

    return write
