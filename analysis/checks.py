"""What explorations found, as JSON objects, a frame and files (``svs-sim check``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.folder import Kind
from analysis.provenance import file_input, provenance, write_frame
from sim.explore.patches import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.explore.check import Result

CELLS = "cells"  # the folder within a result that keeps cells
KIND = Kind(
    ("results",),
    ("explorations.parquet", "explorations.csv", "counterexamples", "charts", "report.html"),
    kept=(CELLS,),
)


def as_json(result: Result) -> dict[str, Any]:
    """A result as the object that ``--json`` prints."""
    request = result.request
    out: dict[str, Any] = {
        "litmus": request.litmus.name,
        "profile": request.profile,
        "memory": request.memory,
        "planted": names(request.patches) or None,
        "patches": [{"name": it.name, "file": it.where or None, "digest": it.digest} for it in request.patches],
        "strategy": result.strategy,
        "seed": request.seed,
        "verdict": result.verdict,
        "executions": result.executions,
        "abandoned": result.abandoned,
        "steps": result.steps,
        "states": result.states,
        "depth": result.depth,
        "assignments": result.assignments,
        "exhausted": result.exhausted,
        "decided_under": result.decided_under or None,
        "left_out": result.left_out,
        "premises": result.premises,
    }
    example = result.counterexample
    if example is not None:
        out |= {"invariant": example.broken.invariant, "reason": example.broken.reason, "token": example.token}
    return out


def write_checks(stage: Path, results: Sequence[Result], command: str | None = None, asked: int | None = None) -> None:
    """Write summary.json, the frame of explorations and the counterexamples into *stage*.

    *stage* is a folder of :func:`analysis.folder.result_folder`; *command* is the command line to be kept; *asked*,
    how many cells were to be explored, if a signal may have left some out.
    """
    from sim.explore.counterexample import page, picture, text

    (stage / "counterexamples").mkdir()
    for result in results:
        example = result.counterexample
        if example is None:
            continue
        stem = stage / "counterexamples" / f"{example.litmus}-{example.profile}-{example.memory}"
        stem.with_name(stem.name + ".txt").write_text(text.render(example), encoding="utf-8")
        stem.with_name(stem.name + ".html").write_text(page.render(example), encoding="utf-8")
        picture.draw(example, stem)
    inputs = [file_input("litmus", Path(result.request.litmus.where)) for result in results]
    left_out = (asked or len(results)) - len(results)
    summary = {
        "results": [as_json(result) for result in results],
        **({"not_explored": left_out} if left_out else {}),
        **provenance(inputs, command),
    }
    _write_frame(stage / "explorations.parquet", results, summary)
    (stage / "summary.json").write_text(json.dumps(summary, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_frame(path: Path, results: Sequence[Result], summary: dict[str, Any]) -> None:
    """One row a result; ``seconds`` is host time, ``first_violation`` the number of the violating execution or 0.

    ``decided_under``: the memory model whose result decides this one, which was not explored; empty for others.
    """
    import pandas as pd

    rows = [
        {
            "litmus": r.request.litmus.name,
            "profile": r.request.profile,
            "memory": r.request.memory,
            "planted": names(r.request.patches),
            "strategy": r.strategy,
            "verdict": r.verdict,
            "executions": r.executions,
            "abandoned": r.abandoned,
            "steps": r.steps,
            "states": r.states,
            "depth": r.depth,
            "switches": r.switches,
            "assignments": r.assignments,
            "exhausted": r.exhausted,
            "decided_under": r.decided_under,
            "left_out": r.left_out,
            "seconds": r.seconds,
            "first_violation": r.first_violation,
        }
        for r in results
    ]
    write_frame(path, pd.DataFrame(rows), summary)
