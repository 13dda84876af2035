"""A published curve that nobody published, as a user would write one: a workload and a data file beside it."""

from __future__ import annotations

from pathlib import Path

WORKLOAD = """
title = "discard of pages"

[machine]
cpus = 1

[[group]]
name = "caller"
iterations = 5
burst = "50 ns"
working_set = "10 pages"
pages_per_burst = 10
resident = true
[[group.syscalls]]
kind = "discard"
name = "madvise"
pages = "1 page"
kernel_time = "100 ns"
"""

CURVE = """
title = "an invented curve"
figure = "none"
source = "this test"
x = "pages"
quantity = "flush_cycles"
scenario = "workload.toml"

[run]
profile = "none+max-pages-20"
costs = "haswell"
iterations = 5

[vary]
"group.0.syscalls.0.pages" = "{x} pages"

[[fit]]
key = "offset"
at = 1
why = "what surrounds the flush"

[[point]]
x = 1
published = 1000

[[point]]
x = 2
published = 1250

[[point]]
x = 5
published = 1600
"""


def write(folder: Path, curve: str = CURVE, workload: str = WORKLOAD) -> Path:
    """Write both files; returns the curve's path."""
    (folder / "workload.toml").write_text(workload, encoding="utf-8")
    path = folder / "invented.toml"
    path.write_text(curve, encoding="utf-8")
    return path
