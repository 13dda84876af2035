"""Ordinary edits of the kernel: a renamed text, a misspelt name, a missing line; what ``check`` makes of each."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from types import ModuleType

import pytest

from sim.cli import main
from sim.kernel import entry, mutex
from sim.kernel.crossings import Leave


@pytest.fixture(autouse=True)
def all_that_a_check_imports() -> None:
    """What is first imported while a procedure is edited would keep the edit."""
    for name in ("sim.explore.check", "sim.explore.run", "sim.explore.fingerprint"):
        importlib.import_module(name)


def edit(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, old: str, new: str) -> None:
    """Change a line of a kernel procedure, everywhere the procedure is known."""
    original = getattr(module, name)
    source = inspect.getsource(original)
    assert source.count(old) == 1
    made: dict[str, object] = {}
    exec(compile(source.replace(old, new), f"<edited {name}>", "exec"), vars(module), made)
    for other in [one for key, one in sys.modules.items() if key.startswith("sim.")]:
        if vars(other).get(name) is original:
            monkeypatch.setattr(other, name, made[name])


def checked(capsys: pytest.CaptureFixture[str], litmus: str, profile: str, *more: str) -> tuple[int, dict[str, object]]:
    """Exit status and result of a check."""
    status = main(["check", litmus, "--profile", profile, "--memory", "sc", "--budget", "60", "--json", *more])
    (result,) = json.loads(capsys.readouterr().out)["results"]
    return status, {key: value for key, value in result.items() if key != "seconds"}


def test_a_renamed_site_changes_no_verdict(monkeypatch, capsys):
    before = checked(capsys, "bad-segment", "svs-netbsd9")
    assert before[1]["verdict"] == "holds"
    object.__setattr__(Leave.pop_frame, "what", "take the registers back")
    try:
        assert str(Leave.pop_frame) == "leave:take the registers back"
        assert checked(capsys, "bad-segment", "svs-netbsd9") == before
    finally:
        object.__setattr__(Leave.pop_frame, "what", "pop frame")


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("ci.ci_data.pop(mutex.name)", 'ci.ci_data.pop("spc_mutx")', "KeyError: 'spc_mutx'"),
        ("ci.ci_data.pop(mutex.name)", "ci.ci_dat.pop(mutex.name)", "AttributeError"),
        ("who.mutex_exit)", "who.mutex_exti)", "AttributeError"),
        ("who.mutex_exit)", '"mutex_exit")', "unknown site: 'mutex_exit'"),
        ("mutex.ipl", "mutex.ipl[0]", "TypeError"),
    ],
)
def test_a_mistake_in_a_procedure_is_an_error_of_the_model(monkeypatch, capsys, old, new, error):
    edit(monkeypatch, mutex, "mutex_exit", old, new)
    assert main(["check", "install-in-use", "--profile", "svs-netbsd9", "--budget", "10"]) == 70
    shown = capsys.readouterr()
    assert "  crashed  " in shown.out
    assert error.partition(": ")[0] in shown.out
    assert "Traceback" in shown.err
    assert error in shown.err
    assert "bug of svs-sim" in shown.err


def test_a_kernel_that_breaks_before_the_first_choice_is_violated_like_any_other(monkeypatch, capsys, tmp_path):
    line = "    yield write_cr3(ci.ci_svs_updirpa, PCID_USER if pcid else PCID_KERN, pcid, Leave.cr3_user)\n"
    edit(monkeypatch, entry, "leave_svs", line, "")
    status, result = checked(capsys, "install-in-use", "svs-netbsd9", "--out", str(tmp_path / "out"))
    assert status == 1
    assert (result["verdict"], result["invariant"], result["executions"]) == ("violated", "entry-stack", 1)
    (text,) = (tmp_path / "out").rglob("*.txt")
    shown = text.read_text(encoding="utf-8")
    assert "(before the first choice)" in shown
    assert "leave:pop frame: page at" in shown
    assert "cpu0: " in shown.partition("state at the end:")[2]
    token = str(result["token"])
    assert main(["check", "--replay", token]) == 1
    assert "entry-stack" in capsys.readouterr().out


STEPS = "__import__('sim.hardware.steps').hardware.steps"


@pytest.mark.parametrize(
    ("again", "ends"),
    [
        ("spl(ci.cpu.ipl, who.mutex_exit)", ("violated", "steps in a row that nobody else could notice")),
        (f"{STEPS}.load(ci.ci_tlbstate, 0, who.mutex_exit)", ("violated", "livelock: 2 transitions lead back")),
        (
            f"{STEPS}.rmw(ci.ci_tlbstate, 0, {STEPS}.add, 1, who.mutex_exit)",
            ("incomplete", "budget of 2000 states spent"),
        ),
    ],
)
def test_an_execution_that_never_ends_is_ended(monkeypatch, capsys, again, ends):
    """By what it is, or by the budget."""
    edit(monkeypatch, mutex, "mutex_exit", "yield release(mutex, who.mutex_exit)", f"while True: yield {again}")
    words = ["check", "remove-page", "--profile", "svs-netbsd9", "--memory", "sc", "--json"]
    status = main([*words, "--budget", "2000states"])
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["verdict"] == ends[0]
    assert ends[1] in (result.get("reason") or result["left_out"])
    assert status == {"violated": 1, "incomplete": 3}[ends[0]]
    if "livelock" in ends[1]:
        assert main(["check", "--replay", result["token"]]) == 1
        assert ends[1] in capsys.readouterr().out
    elif status == 3:
        assert main([*words, "--strategy", "pct"]) == 3
        assert "not ended after 5000 steps" in capsys.readouterr().out
