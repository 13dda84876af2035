"""Results in the formats of other tools."""

from analysis.export.perfetto import perfetto_events, write_perfetto

__all__ = ["perfetto_events", "write_perfetto"]
