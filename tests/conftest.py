"""Tests that need an optional extra carry a marker of its name, and are skipped with the reason where it is missing."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

OPTIONAL = {"cluster": "distributed", "browser": "selenium"}  # extra: what it installs


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the test of an extra that is not installed."""
    for extra, library in OPTIONAL.items():
        if item.get_closest_marker(extra) is not None and find_spec(library) is None:
            pytest.skip(f"{library} is not installed (extra '{extra}')")
