"""The tracer's own time: what an event costs the program that it is printed for.

While it is traced, a program takes longer, by about the same time for each event.  If its CPU time without a tracer is
known (the recorder's header, or ``--untraced-cpu``), that time is the difference divided by the events, and comes off
the stretches that the events lie in.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.recordings.survey import Survey


@dataclass(frozen=True, slots=True)
class Tracer:
    """What is known of the tracer's share.

    Attributes:
        untraced_ns: CPU time of the program without it; None if unknown.
        traced_ns, lines: its CPU time in the recording, and how many lines were printed for it.
        source: where the untraced time is from.
    """

    untraced_ns: int | None
    traced_ns: int
    lines: int
    source: str = ""

    @property
    def event_ns(self) -> float:
        """What one event cost (0 if unknown)."""
        if self.untraced_ns is None or not self.lines:
            return 0.0
        return max(self.traced_ns - self.untraced_ns, 0) / self.lines

    def notes(self) -> list[str]:
        """What is done about it, in a sentence; nothing if nothing is known."""
        if self.untraced_ns is None:
            return []
        known = f"{self.untraced_ns / 1e6:,.3f} ms of CPU time without the tracer ({self.source})"
        traced = f"{self.traced_ns / 1e6:,.3f} ms with it"
        if not self.event_ns:
            return [f"The program took {known}, and no more than that, {traced}: nothing was taken out."]
        return [f"The program took {known}, {traced}: {self.event_ns:,.0f} ns are taken out for each event."]


def make_tracer(survey: Survey, untraced_cpu_s: float | None) -> Tracer:
    """What the recording, or whoever gave *untraced_cpu_s* (seconds), says of the tracer's share."""
    source = "given"
    if untraced_cpu_s is None:
        untraced_cpu_s, source = survey.header.untraced_cpu_s, "noted by the recorder"
    untraced = None if untraced_cpu_s is None else round(untraced_cpu_s * 1_000_000_000)
    return Tracer(untraced, survey.chosen.cpu_ns, survey.chosen.lines, source)
