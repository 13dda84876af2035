"""The fast engine with thresholds so small that nearly everything is recorded, walked and counted."""

from __future__ import annotations

THRESHOLDS = {"player.OFTEN": 1, "player.LATE_OFTEN": 1, "counting.ENOUGH": 1, "counting.WORTH": 0}


def be_eager(monkeypatch, row=2):
    """Set them; *row*: operations in the short way after which one is looked at more closely."""
    for name, value in (THRESHOLDS | {"counting.ROW": row}).items():
        monkeypatch.setattr(f"sim.timed.passages.{name}", value)
