"""tools/equality.py on a few lines, and that it would see a difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scenarios.open import open_scenario
from tools import equality
from tools.equality import Machine, beginning, differences, results


def test_both_engines_agree_on_a_beginning(capsys: pytest.CaptureFixture[str]) -> None:
    assert equality.main(["munmap-storm", "--lines", "120", "--cpus", "2"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "munmap-storm.ftrace, 2 CPUs, with PCID: 8 runs, the same"
    assert shown[1] == "munmap-storm.ftrace, 2 CPUs, without PCID: 12 runs, the same"
    assert shown[-1] == "2 machines, 0 with differences"


def test_profiles_and_their_variations_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["munmap-storm", "--lines", "60", "--cpus", "2", "--profiles", "none,svs-2018-02,pti+no-global"]
    assert equality.main(words) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2] for line in shown[:2]] == ["4 runs, the same", "6 runs, the same"]


def test_every_difference_is_seen(tmp_path: Path) -> None:
    path = beginning("munmap-storm", 120, tmp_path)
    run = results(open_scenario(path), Machine(str(path), None, 2), "fast")["svs-netbsd9"]
    calls = run.frames["calls"]
    rows = len(calls["cycles"])
    changed = {
        "counters: faults: 1 and True": (replace(run, counters={"faults": 1}), replace(run, counters={"faults": True})),
        "elapsed_cycles: 5 and 5.0": (replace(run, elapsed_cycles=5), replace(run, elapsed_cycles=5.0)),  # type: ignore[arg-type]
        f"frame calls: {rows} rows of {list(calls)} and {rows - 1} of {list(calls)}": (
            run, replace(run, frames=run.frames | {"calls": {name: column[:-1] for name, column in calls.items()}})
        ),
        "frame calls: there is only one": (
            run, replace(run, frames={name: frame for name, frame in run.frames.items() if name != "calls"})
        ),
    }  # fmt: skip
    for says, (one, other) in changed.items():
        assert list(differences(one, other)) == [says]
    off = [*calls["cycles"][:-1], -1]
    (found,) = differences(run, replace(run, frames=run.frames | {"calls": calls | {"cycles": off}}))
    assert found.startswith(f"frame calls, row {rows - 1}: (")


def test_what_differs_is_printed_and_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Here:
        """Workers that are this process, where a patch holds."""

        def __init__(self, _: int) -> None: ...

        def __enter__(self) -> Here:
            return self

        def __exit__(self, *_: object) -> None: ...

        map = staticmethod(map)

    def other_costs(scenario: object, machine: Machine, engine: str) -> object:
        return results(open_scenario(machine.path, costs="haswell" if engine == "plain" else None), machine, engine)

    monkeypatch.setattr(equality, "Workers", Here)
    monkeypatch.setattr(equality, "results", other_costs)
    assert equality.main(["munmap-storm", "--lines", "60", "--cpus", "2"]) == 1
    shown = capsys.readouterr().out
    assert (
        "munmap-storm.ftrace, 2 CPUs, with PCID: 8 runs, DIFFERENT\n  none, fast and plain: elapsed_cycles: " in shown
    )
    assert "  svs-netbsd9: " in shown
    assert "2 machines, 2 with differences" in shown
