"""Running a scenario and keeping its result: what ``svs-sim run`` does, as a function."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.folder import result_folder
from analysis.notebook import in_notebook, notebook_progress
from analysis.overview import plot_overview
from analysis.pictures import save_figure
from analysis.provenance import Input, file_input, provenance, text_input
from analysis.results import KIND, Result, summarize, write_result
from analysis.tables import write_csv
from scenarios.catalogue import list_scenarios
from scenarios.recordings import looks_like_recording
from sim.errors import InputError
from sim.experiments.repeats import numbers, run_repeats, sureness
from sim.experiments.sampled import run_sample
from sim.experiments.side_by_side import run_side_by_side, worth_a_process
from sim.inputs.shown import printable
from sim.timed import paired

if TYPE_CHECKING:
    from scenarios.scenario import Scenario


def run_scenario(
    scenario: Scenario,
    out: Path | str,
    *,
    profile: str | None = None,
    baseline: str | None = None,
    pcid: bool | None = None,
    engine: str = "fast",
    window: tuple[int, int] | None = None,
    progress: Callable[[str, float], None] | None = None,
    command: str | None = None,
    repeats: int = 1,
    csv: bool = False,
    jobs: int = 1,
) -> Result:
    """Run *scenario* under a baseline and a profile, write the result folder *out*, and return the result.

    *profile*, *baseline* and *pcid* None mean the scenario's own.  *engine* is "fast" or "plain" (the same numbers).
    *window*, two times in CPU cycles, asks for the ``timeline`` frame of that stretch.  *progress* is called with
    "baseline" or "profile" and a fraction.  *command* is the command line to be kept.  *repeats*: so many runs in
    all, all but the first with the unknowns drawn anew, show how sure the difference is.  *csv* asks for frames
    as CSV, too.  *jobs*: so many processes may be used, for the same bytes; with more than one, a script needs the
    usual ``if __name__ == "__main__":``.  In a notebook, progress is shown below the cell.  Raises InputError, and
    then leaves nothing half-written.
    """
    out = Path(out)
    if progress is None and in_notebook():
        progress = notebook_progress()
    options: dict[str, Any] = {
        "profile": profile or scenario.profile,
        "baseline": baseline or scenario.baseline,
        "pcid": scenario.pcid if pcid is None else pcid,
        "cpus": scenario.cpus,
        "costs": scenario.costs,
        "seed": scenario.seed,
        "engine": engine,
    }
    if scenario.parts is not None and (window is not None or repeats > 1):
        raise InputError("a sample of a recording has no timeline, and its windows take the place of repeats")
    with result_folder(out, KIND) as stage:
        pair, sample = _pair(scenario, options, window, progress, jobs)
        repeated = run_repeats(scenario, repeats, options, jobs)
        _check_window(window, pair)
        summary = summarize(
            pair, scenario=scenario.name, seed=scenario.seed, engine=engine, costs=scenario.costs.name,
            file=None if _ships(scenario) else printable(scenario.path.name), window=window,
            repeats=None if sample else sureness(numbers(pair), repeated), sample=sample,
        ) | provenance(_inputs(scenario), command)  # fmt: skip
        write_result(stage, pair, summary)
        if csv:
            write_csv(stage)
        save_figure(plot_overview(summary), stage / "chart")
    return Result(out, summary)


def _pair(
    scenario: Scenario,
    options: dict[str, Any],
    window: tuple[int, int] | None,
    progress: Callable[[str, float], None] | None,
    jobs: int,
) -> tuple[paired.PairedResult, dict[str, Any] | None]:
    """Run baseline and profile; of a sample, what ``summary.json`` says of it, too."""
    if scenario.parts is not None:
        return run_sample(scenario, options, jobs=jobs, progress=progress)
    if worth_a_process(scenario, jobs):
        return run_side_by_side(scenario, options, window=window, progress=progress, meanwhile=_load), None
    return paired.run_paired(scenario.source, **options, progress=progress, window=window), None


def _load() -> None:
    """Load what results are written and drawn with, which takes a while."""
    for name in ("matplotlib.figure", "pandas", "pyarrow.parquet"):
        import_module(name)


def _check_window(window: tuple[int, int] | None, pair: paired.PairedResult) -> None:
    """A window after the end of both runs would show nothing."""
    end = max(pair.baseline.elapsed_cycles, pair.profile.elapsed_cycles)
    if window is not None and window[0] >= end:
        start_ms, end_ms = (1e3 * cycles / pair.profile.frequency_hz for cycles in (window[0], end))
        raise InputError(f"the window begins {start_ms:.6g} ms after the start, but the run ends at {end_ms:.6g} ms")


def _inputs(scenario: Scenario) -> list[Input]:
    """What the numbers stand on besides the code."""
    kind = "recording" if looks_like_recording(scenario.path) else "scenario"
    return [file_input(kind, scenario.path), text_input("costs", scenario.costs.name, scenario.costs.text)]


def _ships(scenario: Scenario) -> bool:
    """Whether a scenario's name is enough to find it again."""
    return any(entry.name == scenario.name and entry.path == scenario.path for entry in list_scenarios())
