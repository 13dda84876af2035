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
        """CPU time of the command without a tracer, user and system, in its median run (seconds).

        The mean would be the first run's more than theirs: caches are cold then.  None also if the recorded run was
        interrupted, for the others were not.
        """
        if self._interrupted:
            return None
        user, system = self._list("untraced_user_s"), self._list("untraced_system_s")
        return _median([a + b for a, b in zip(user, system, strict=False)])

    @property
    def untraced_elapsed_s(self) -> float | None:
        """Elapsed time of the command without a tracer, in its median run (seconds); None as above."""
        return None if self._interrupted else _median(self._list("untraced_elapsed_s"))

    @property
    def _interrupted(self) -> bool:
        return self.values.get("interrupted") == "yes"

    def _list(self, key: str) -> list[float]:
        """A list of numbers; empty where it is missing or no such list."""
        try:
            numbers = [float(part) for part in self.values.get(key, "").split(",") if part.strip()]
        except ValueError:
            return []
        return [number for number in numbers if 0 <= number < float("inf")]


def _median(numbers: list[float]) -> float | None:
    """The middle one, of two the lower; None of none."""
    return sorted(numbers)[(len(numbers) - 1) // 2] if numbers else None
