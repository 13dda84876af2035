"""A self-contained HTML page that steps forward and back through a counterexample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

if TYPE_CHECKING:
    from sim.explore.counterexample import Counterexample


def render(example: Counterexample) -> str:
    """The page's source."""
    environment = Environment(
        loader=PackageLoader("sim.explore.counterexample", "."), autoescape=True, undefined=StrictUndefined,
        keep_trailing_newline=True,
    )  # fmt: skip
    steps = [
        {"cpu": s.cpu, "actor": s.actor, "lines": s.lines, "cpus": s.after.cpus, "tables": s.after.tables}
        for s in example.steps
    ]
    return environment.get_template("page.html.j2").render(
        example=example, data={"ncpus": example.ncpus, "steps": steps}
    )
