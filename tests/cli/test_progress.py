"""What is shown of work that goes on: on a terminal, and nowhere else."""

from __future__ import annotations

import io
import sys

import pytest

from sim.cli._output import working


class Terminal(io.StringIO):
    """A standard error that people look at."""

    def isatty(self) -> bool:
        return True


def test_how_far_the_reading_is_is_shown_as_soon_as_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with working("reading [odd] name", quiet=False) as report:
        assert report is not None
        report(0.376)
    shown = sys.stderr.getvalue()
    assert "reading [odd] name" in shown
    assert "reading [odd] name: 38 %" in shown


def test_without_a_terminal_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with working("reading", quiet=False) as report:
        assert report is None
    assert sys.stderr.getvalue() == ""
