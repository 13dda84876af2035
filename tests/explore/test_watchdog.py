"""A procedure that makes no step and never ends is a verdict; one that takes its time is not."""

from __future__ import annotations

import sys

import pytest

from sim.explore import watchdog
from sim.explore.model import AtWork, Violation


@pytest.fixture(autouse=True)
def procedure_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AtWork, "judge", object())
    monkeypatch.setattr(watchdog, "LOOK", 0.01)


def long_walk(pages: int) -> int:
    va = 0
    while va < pages:
        va += 1
    return va


def test_a_loop_without_end_is_named() -> None:
    with watchdog.watchdog(), pytest.raises(Violation, match="long_walk makes no step and never ends"):
        long_walk(sys.maxsize)
    assert sys.gettrace() is None


def test_a_long_computation_is_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "MOST_LINES", 10**9)
    with watchdog.watchdog():
        assert long_walk(300_000) == 300_000


def test_only_the_kernel_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AtWork, "judge", None)
    with watchdog.watchdog():
        assert long_walk(600_000) == 600_000
