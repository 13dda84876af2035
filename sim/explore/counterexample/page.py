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
    environment.filters["arrows"] = lambda text: text.replace("->", "→")  # a line may be broken in "->"
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
    after = [step.after for step in example.steps]
    for old, now in zip([after[0], *after], after, strict=False):  # nothing is new in the first
        cpus = [[(what, fact, (what, fact) not in was) for what, fact in facts]
                for facts, was in zip(now.cpus, old.cpus, strict=True)]  # fmt: skip
        shared = [(what, fact, (what, fact) not in old.shared) for what, fact in now.shared]
        found.append({"cpus": cpus, "shared": shared})
    return found
