"""The tracer's own time: what an event costs the program that it is printed for.

While it is traced, a program takes longer, by about the same time for each event.  If its CPU time without a tracer is
known (the recorder's header, or ``--untraced-cpu``), that time is the difference divided by the events, and comes off
the stretches that the events lie in.  No event can have cost more than there is from one line to the next where lines
are densest.  What is left of the difference is not the tracer's: the machine was busier, or its caches colder, in one
of the runs; all stretches of the program are shorter or longer by the same share.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from scenarios.recordings.learned import Survey
from scenarios.recordings.lines import NS

MOST_LONGER = 4  # a program that took so many times as long without the tracer did something else
DENSEST_SHARE = 10  # of the paces of the program's lines, one in so many is quicker
MENTIONED, MUCH = Fraction(1, 100), Fraction(1, 10)
AGAIN = "A surer base: record again, with --untraced 3 and nothing else running."


@dataclass(frozen=True, slots=True)
class Tracer:
    """What is known of the tracer's share.

    Attributes:
        untraced_ns: CPU time of the program without it; None if unknown.
        traced_ns, lines: its CPU time in the recording, and how many lines were printed for it.
        densest_ns: how far apart these are where they are densest; None if they are few.
        source: where the untraced time is from.
    """

    untraced_ns: int | None
    traced_ns: int
    lines: int
    densest_ns: int | None = None
    source: str = ""

    @property
    def event_ns(self) -> float:
        """What one event cost (0 if unknown)."""
        if self.untraced_ns is None or not self.lines:
            return 0.0
        each = max(self.traced_ns - self.untraced_ns, 0) / self.lines
        return each if self.densest_ns is None else min(each, self.densest_ns)

    @property
    def scale(self) -> Fraction:
        """By what the program's stretches have to be multiplied once the events' cost is out of them."""
        left = self.traced_ns - round(self.event_ns * self.lines)
        if self.untraced_ns is None or left <= 0 or self.untraced_ns > MOST_LONGER * left:
            return Fraction(1)
        return Fraction(self.untraced_ns, left)

    def notes(self) -> list[str]:
        """What is done about it, in sentences; nothing if nothing is known."""
        if self.untraced_ns is None:
            return []
        known = f"{self.untraced_ns / 1e6:,.3f} ms of CPU time without the tracer ({self.source})"
        said = f"The program took {known}, {self.traced_ns / 1e6:,.3f} ms with it: "
        taken = f"{self.event_ns:,.0f} ns are taken out for each event"
        if self.scale == 1 and self.untraced_ns > MOST_LONGER * self.traced_ns:
            return [f"{said}these were no like runs, and nothing was taken out. {AGAIN}"]
        again = f" {AGAIN}" if abs(self.scale - 1) > MUCH else ""
        if self.scale > 1 + MENTIONED:
            how = f"runs differ by more than the tracer takes. Its times are made {self._percent()} longer."
            return [f"{said}{how}{again}"]
        if self.scale < 1 - MENTIONED:
            return [f"{said}{taken}, which is all that there is between lines where they are densest, and "
                    f"{self._percent()} of the rest, for the recorded run was slower.{again}"]  # fmt: skip
        return [f"{said}{taken if self.event_ns else 'nothing is taken out'}."]

    def _percent(self) -> str:
        return f"{abs(float(self.scale - 1)):.0%}".replace("%", " %")


def make_tracer(survey: Survey, untraced_cpu_s: float | None) -> Tracer:
    """What the recording, or whoever gave *untraced_cpu_s* (seconds), says of the tracer's share."""
    source = "given"
    if untraced_cpu_s is None:
        untraced_cpu_s, source = survey.header.untraced_cpu_s, "noted by the recorder"
    untraced = round(untraced_cpu_s * NS) if untraced_cpu_s else None
    densest = sorted(survey.paces)[len(survey.paces) // DENSEST_SHARE] if survey.paces else None
    return Tracer(untraced, survey.chosen.cpu_ns, survey.chosen.lines, densest, source)
