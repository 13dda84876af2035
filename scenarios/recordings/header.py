"""What ``svs-sim record`` writes above the events: comments ``# svs-sim: key = value``, which other readers skip."""

from __future__ import annotations

from collections.abc import Mapping


class Header:
    """The comments of one recording; every key is kept, those that mean something here can be asked for.

    Attributes:
        values: the text behind each key.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.values = dict(values or {})

    @property
    def pid(self) -> int | None:
        """The first process of the command that was recorded."""
        text = self.values.get("pid", "")
        return int(text) if text.isdigit() and int(text) else None

    @property
    def untraced_cpu_s(self) -> float | None:
        """CPU time of the command without a tracer, user and system, the mean of its runs (seconds)."""
        user, system = self._mean("untraced_user_s"), self._mean("untraced_system_s")
        return None if user is None or system is None else user + system

    @property
    def untraced_elapsed_s(self) -> float | None:
        """Elapsed time of the command without a tracer, the mean of its runs (seconds)."""
        return self._mean("untraced_elapsed_s")

    def _mean(self, key: str) -> float | None:
        """The mean of a list of numbers; None where it is missing or no such list."""
        try:
            numbers = [float(part) for part in self.values.get(key, "").split(",") if part.strip()]
        except ValueError:
            return None
        good = [number for number in numbers if 0 <= number < float("inf")]
        return sum(good) / len(good) if good else None
