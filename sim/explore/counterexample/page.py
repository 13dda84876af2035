"""A self-contained HTML page of a counterexample: its rows, and the state behind each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from sim.explore.counterexample.rows import rows

if TYPE_CHECKING:
    from sim.explore.counterexample import Counterexample


def render(example: Counterexample) -> str:
    """The page's source."""
    environment = Environment(
        loader=PackageLoader("sim.explore.counterexample", "."), autoescape=True, undefined=StrictUndefined,
        keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    shown = [
        {**row._asdict(), "steps": [(n, example.steps[n - 1].lines) for n in range(row.first, row.last + 1)]}
        for row in rows(example.steps)
    ]
    return environment.get_template("page.html.j2").render(
        example=example, rows=shown, states=_states(example), cached=[example.since(i) for i in range(example.ncpus)]
    )


def _states(example: Counterexample) -> list[dict[str, Any]]:
    """The state behind each step: facts of the CPUs and of what they share, those that are new marked."""
    found = []
    before = None
    for step in example.steps:
        now = step.after
        old_cpus = before.cpus if before else now.cpus
        old_shared = before.shared if before else now.shared
        cpus = [[(what, fact, (what, fact) not in old) for what, fact in facts]
                for facts, old in zip(now.cpus, old_cpus, strict=True)]  # fmt: skip
        shared = [(what, fact, (what, fact) not in old_shared) for what, fact in now.shared]
        found.append({"cpus": cpus, "shared": shared})
        before = now
    return found
