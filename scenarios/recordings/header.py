"""What ``svs-sim record`` writes above the events: comments ``# svs-sim: key = value``, which other readers skip."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median_low

LONGEST = 19  # digits of a count


class Header:
    """The comments of one recording; every key is kept, those that mean something here can be asked for.

    Attributes:
        values: the text behind each key.
        whole: whether the file holds all that the recorder wrote.
        asked: whether the result is about the command that was recorded.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.values = dict(values or {})
        self.whole = self.asked = True

    @property
    def events(self) -> int:
        """How many events the recorder wrote; 0 if it does not say."""
        counts = [part.rpartition(":")[2] for part in self.values.get("events", "").split(",")]
        return sum(int(count) for count in counts if count.isdecimal() and len(count) < LONGEST)

    @property
    def pid(self) -> int | None:
        """The first process of the command that was recorded."""
        text = self.values.get("pid", "")
        return int(text) if text.isdigit() and int(text) else None

    @property
    def untraced_cpu_s(self) -> float | None:
        """CPU time of the command without a tracer, user and system, in its median run (seconds).

        The mean would be the first run's more than theirs: caches are cold then.  None also if the recorded run was
        interrupted or the recording cut, for the others were whole, and if somebody else is asked about.
        """
        if self._other:
            return None
        user, system = self._list("untraced_user_s"), self._list("untraced_system_s")
        return _median([a + b for a, b in zip(user, system, strict=False)])

    @property
    def untraced_elapsed_s(self) -> float | None:
        """Elapsed time of the command without a tracer, in its median run (seconds); None as above."""
        return None if self._other else _median(self._list("untraced_elapsed_s"))

    @property
    def _other(self) -> bool:
        """Whether the untraced runs were of something else than what is asked about."""
        return self.values.get("interrupted") == "yes" or not (self.whole and self.asked)

    def _list(self, key: str) -> list[float]:
        """A list of numbers; empty where it is missing or no such list."""
        try:
            numbers = [float(part) for part in self.values.get(key, "").split(",") if part.strip()]
        except ValueError:
            return []
        return [number for number in numbers if 0 <= number < float("inf")]


def _median(numbers: list[float]) -> float | None:
    """The middle one, of two the lower; None of none."""
    return median_low(numbers) if numbers else None
