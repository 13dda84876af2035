"""What whoever reads a recording's result has to know first, in sentences that stand above the table."""

from __future__ import annotations

from scenarios.recordings.learned import Survey
from scenarios.recordings.lines import NS


def notes(survey: Survey) -> list[str]:
    """What the recording lacks, with the recorder's option that adds it, and what was left out of it."""
    found = survey.evidence.notes()
    if survey.overwritten:
        found.append(
            f"The ring buffer ran over: {survey.overwritten:,} events before the first are lost (record with a larger "
            "buffer: trace-cmd -b, perf -m)."
        )
    lost = survey.tolerated.get("lost_events", 0)
    if lost:
        found.append(f"The recorder lost {lost:,} events on the way (a larger buffer: trace-cmd -b, perf -m).")
    if not survey.header.whole:
        found.append(
            f"The file holds {survey.events:,} of the {survey.header.events:,} events that the recorder wrote: it has "
            "been cut, and what the command took without the tracer says nothing of it."
        )
    if survey.gap_ns:
        found.append(
            f"For {survey.gap_ns // NS:,} s nothing was recorded, as between two recordings in one file: "
            "nobody is taken to have worked then."
        )
    return found
