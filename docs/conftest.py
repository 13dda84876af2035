"""Runs every ``examples/NAME.py`` and compares what it prints with ``NAME.out``, as the documentation shows both."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> pytest.Collector | None:
    """Take every program that has its expected output beside it."""
    if file_path.suffix == ".py" and file_path.with_suffix(".out").exists():
        collector: pytest.Collector = ExampleFile.from_parent(parent, path=file_path)
        return collector
    return None


class ExampleFile(pytest.File):
    """A program with its expected output."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the one test."""
        yield ExampleItem.from_parent(self, name=self.path.stem)


class ExampleItem(pytest.Item):
    """The program must end well and print just what the documentation says."""

    def runtest(self) -> None:
        """Run and compare."""
        command = [sys.executable, str(self.path)]
        root = Path(__file__).parent.parent
        env = {**os.environ, "PYTHONPATH": str(root)}
        done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout == self.path.with_suffix(".out").read_text(encoding="utf-8")
