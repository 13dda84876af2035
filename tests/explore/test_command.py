"""``svs-sim check`` as people use it: tokens, folders, bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import Future
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from scenarios.litmus_reader import find
from sim.cli import main
from sim.experiments.checks import explored, key
from sim.explore.check import Result, check
from sim.explore.request import Request
from sim.signals import Ended

ROOT = Path(__file__).parent.parent.parent
GOOD = """
says = "x"
cpus = 2
slots = 2
[pmaps]
A = ["0.0"]
[[lwps]]
name = "a"
pmap = "A"
cpu = 0
ops = ["read 0.0"]
"""


def violated(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert main(["check", "switch-pmaps", "--plant", "no-second-look", "--json"]) == 1
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["verdict"], result["invariant"], result["planted"]) == (
        "violated",
        "updir-current",
        "no-second-look",
    )
    found: dict[str, object] = result
    return found


def test_a_token_replays_to_the_same_steps_in_a_fresh_process(capsys: pytest.CaptureFixture[str]) -> None:
    token = str(violated(capsys)["token"])
    traces = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "sim", "check", "--replay", token, "--json"],
            cwd=ROOT, env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        (result,) = json.loads(done.stdout)["results"]
        assert (result["invariant"], result["token"]) == ("updir-current", token)
        traces.append(result["trace"])
    assert traces[0] == traces[1]
    assert traces[0]


def test_a_folder_holds_results_frame_and_counterexamples(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["check", "bad-segment", "wake-across", "--profile", "svs-2018-02", "--out", str(out), "--quiet"]) == 1
    frame = pd.read_parquet(out / "explorations.parquet")
    assert list(frame["litmus"]) == ["bad-segment", "wake-across"]
    assert {"strategy", "executions", "steps", "depth", "first_violation", "seconds"} <= set(frame.columns)
    stem = "bad-segment-svs-2018-02-tso"
    assert {p.name for p in (out / "counterexamples").iterdir()} == {
        f"{stem}.{e}" for e in ("txt", "png", "svg", "html")
    }
    page = (out / "counterexamples" / f"{stem}.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "entry-stack" in page


@pytest.mark.parametrize("verdict", [("wake-across", 0), ("two-shootdowns-three-cpus", 3)])
def test_exit_status_tells_the_verdict(verdict: tuple[str, int]) -> None:
    name, status = verdict
    assert main(["check", name, "--budget", "300", "--quiet"]) == status


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cpus = 2", "cpu = 2", "unknown key"),
        ("cpus = 2", 'cpus = "two"', "cpus: 'two' must be a whole number"),
        ("cpus = 2", "cpus = 9", "cpus: 9 must be 4 or less"),
        ("slots = 2", "", "'slots' is missing"),
        ('"read 0.0"', '"raed 0.0"', "unknown operation 'raed'"),
        ('"read 0.0"', '"read 7.0"', "there are only 2 user slots"),
        ('"read 0.0"', '"read"', "read takes a page, SLOT.PAGE"),
        ('"read 0.0"', '"user 0.0"', "user takes nothing"),
        ('pmap = "A"', 'pamp = "A"', "unknown key 'lwps[0].pamp'; did you mean 'pmap'?"),
        ('ops = ["read 0.0"]', 'ops = []\n[[lwps]]\nname = "a"\ncpu = 1\nops = []', "two LWPs are called"),
        ('"read 0.0"', '"switch z"', "no LWP 'z'"),
        ('"read 0.0"', '"await a"', "that is the LWP itself"),
        ('ops = ["read 0.0"]', 'ops = ["switch b"]\n[[lwps]]\nname = "b"\npmap = "A"\ncpu = 1\nops = []', "to CPU 1"),
        ('"read 0.0"', '"nmi 5"', "there are CPUs 0 to 1"),
        ('"read 0.0"', '"exit", "syscall"', "'exit' can only come last"),
        ('pmap = "A"', 'pmap = "C"', "no pmap 'C'"),
        ("cpu = 0", "cpu = 3", "lwps[0].cpu: 3 must be 1 or less"),
        ('A = ["0.0"]', 'A = ["0.0", "0.0"]', "a page is listed twice"),
        ('A = ["0.0"]', 'A = ["0.0"]\n[shared]\nX = ["A:0.1", "A:0.0"]', "two pages are at one place"),
        ('A = ["0.0"]', 'A = ["0.0"]\n[shared]\nX = ["0.1"]', "no pmap ''; say PMAP:SLOT.PAGE"),
        ("slots = 2", 'slots = 2\nunused = ["A:0.1"]', "unused: 'A:0.1' is no page that is mapped first"),
        ("slots = 2", 'slots = 2\nunused = ["0.0"]', "say PMAP:SLOT.PAGE"),
        ('"read 0.0"', '"page_remove X"', "no shared page 'X'"),
        ('"read 0.0"', '"fork z"', "no LWP 'z'"),
        ('"read 0.0"', '"mremap 0.0"', "mremap takes a page or a range, and where"),
        ('"read 0.0"', '"mremap 0.0+2 1.63"', "has only 64 pages"),
        ('"read 0.0"', '"mremap 0.0 A:0.1"', "within its own pmap"),
        ('"read 0.0"', '"fork a"', "has a new pmap"),
        ('ops = ["read 0.0"]', 'ops = ["fork c"]\n[[lwps]]\nname = "c"\npmap = "C"\ncpu = 1\nops = []', "begins on"),
        ('pmap = "A"\ncpu = 0\nops = ["read 0.0"]', 'pmap = "C"\ncpu = 0\nops = ["fork a"]', "or by itself"),
        ("says", "says =", "not valid TOML"),
        ('ops = ["read 0.0"]', 'ops = ["read 0.0"]\n[expect]\nholds = false', "expect.violates"),
        ('ops = ["read 0.0"]', 'ops = ["read 0.0+2"]', "is not a page"),
        ('ops = ["read 0.0"]', 'ops = ["remove 0.0+65"]', "has only 64 pages"),
        ('ops = ["read 0.0"]', 'ops = ["remove 0.0+0"]', "a range has a page or more"),
        ('ops = ["read 0.0"]', 'ops = ["remove 0.0; read 0.0"]', "is no part of a system call"),
        ('ops = ["read 0.0"]', 'ops = ["read 0.0"]\n[expect.violates]\nsvs-netbsd9 = "x"', "unknown invariant 'x'"),
    ],
)  # fmt: skip
def test_a_wrong_program_is_told_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    path = tmp_path / "own.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "own.toml" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-litmus"], "no litmus program"),
        (["absent.toml"], "cannot read 'absent.toml'"),
        (["--plant", "no-second-lok"], "no-second-look"),
        (["--replay", "svs2-rubbish"], "damaged"),
        (["--replay", "rubbish"], "begins with svs2-"),
        (["--replay", ""], "begins with svs2-"),
        (["--strategy", "dopr"], "unknown strategy 'dopr'"),
        (["--memory", "pso"], "unknown memory model"),
        (["--profile", "svs-netbsd11"], "svs-netbsd1"),
        (["--budget", "-3"], "-3"),
        (["--preemptions", "-1"], "negative"),
    ],
)
def test_wrong_words_are_told(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["check", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_token_with_a_character_more_or_less_or_changed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    token = str(violated(capsys)["token"])
    middle = len(token) // 2
    other = "A" if token[middle] != "A" else "B"
    for wrong in (token + "x", token[:-1], token[:middle] + other + token[middle + 1 :], token.upper()):
        assert main(["check", "--replay", wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_one_violation_may_be_stated_for_every_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.toml"
    path.write_text(GOOD.replace('ops = ["read 0.0"]', 'ops = ["block c"]\n[expect]\nviolates = "progress"'))
    assert main(["check", str(path), "--memory", "sc"]) == 1
    assert "as expected" in " ".join(capsys.readouterr().out.split())
    path.write_text(GOOD + '[expect]\nviolates = "progres"')
    assert main(["check", str(path)]) == 2
    assert "unknown invariant 'progres'" in capsys.readouterr().err


def test_a_token_of_another_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = str(violated(capsys)["token"])
    path = tmp_path / "own.toml"
    path.write_text(GOOD)
    assert main(["check", str(path), "--replay", token]) == 2
    assert "another version" in capsys.readouterr().err


CELLS = ["wake-across", "--profile", "svs-netbsd8", "bad-segment"]  # words behind options count as well


def test_each_verdict_is_a_line_with_whole_names(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert main(["check", *CELLS, "--memory", "both"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["litmus", "profile", "memory", "verdict", "executions", "steps", "what"]
    assert [row.split()[:4] for row in rows] == [
        [name, "svs-netbsd8", memory, "holds"]
        for name in ("wake-across", "bad-segment")
        for memory in ("tso", "sc")
    ]  # fmt: skip


def test_what_is_kept_is_not_explored_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    words = ["check", "bad-segment", "wake-across", "--profile", "svs-2018-02", "--out", str(out), "--json"]
    assert main(words) == 1
    first = capsys.readouterr().out

    def never(request: object) -> None:
        raise AssertionError("explored again")

    monkeypatch.setattr("sim.experiments.checks.check", never)
    assert main(words) == 1
    assert capsys.readouterr().out == first
    for other in (["--seed", "2"], ["--budget", "7"], ["--plant", "ipi-forgotten"]):
        assert main([*words, *other]) == 70
        assert "explored again" in capsys.readouterr().err
    monkeypatch.setattr("sim.experiments.checks.kernel_version", lambda: "another")
    assert main(words) == 70


def test_whatever_is_changed_in_a_program_is_explored_again() -> None:
    """Each field counts that decides executions, or what is expected of them."""
    litmus = find("wake-across")
    other: dict[str, Any] = {
        "name": "x", "cpus": 3, "slots": 3, "pmaps": {}, "lwps": (), "violates": {"pti": ("progress",)},
        "outcomes": ("a",), "shared": {"X": (("A", 0, 7),)}, "kernel": 1, "unused": frozenset({("A", 0, 0)}),
        "mwait": not litmus.mwait, "pcid": False, "roles": "10",
    }  # fmt: skip
    assert {item.name for item in fields(litmus)} == {*other, "says", "covers", "where", "shipped"}
    programs = [litmus, *(replace(litmus, **{name: value}) for name, value in other.items())]
    keys = {key(Request(program, "pti", "sc")) for program in programs}
    assert len(keys) == len(programs)
    assert key(Request(replace(litmus, says="?", where="?"), "pti", "sc")) in keys
    one, two = (replace(litmus, unused=frozenset(pages)) for pages in ("abcdefgh", "hgfedcba"))
    assert key(Request(one, "pti", "sc")) == key(Request(two, "pti", "sc"))


def test_an_interrupt_keeps_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    seen: list[str] = []

    def interrupted(request: Request) -> Result:
        seen.append(request.litmus.name)
        if len(seen) == 2:
            raise Ended(2)
        return check(request)

    monkeypatch.setattr("sim.experiments.checks.check", interrupted)
    words = ["check", *CELLS, "--out", str(out), "--quiet"]
    assert main(words) == 130
    summary = json.loads((out / "summary.json").read_text())
    assert [result["litmus"] for result in summary["results"]] == ["wake-across"]
    assert summary["not_explored"] == 1
    assert main(words) == 0
    assert seen == ["wake-across", "bad-segment", "bad-segment"]
    assert "not_explored" not in json.loads((out / "summary.json").read_text())


def test_several_processes_begin_with_what_takes_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """More CPUs, more operations on each, store buffers; results keep the numbers of their requests."""
    begun: list[Request] = []

    class Pool:
        def __init__(self, count: int) -> None:
            assert count == 2

        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *_error: object) -> None: ...

        def submit(self, _check: object, task: list[Request]) -> Future[list[Request]]:
            begun.extend(task)
            done: Future[list[Request]] = Future()
            done.set_result(task)
            return done

    monkeypatch.setattr("sim.experiments.checks.Workers", Pool)
    names = ("bad-segment", "two-removers", "exec-lazy-elsewhere")
    requests = [Request(find(name), "pti", memory) for name in names for memory in ("sc", "tso")]
    got = dict(explored(requests, jobs=2))
    assert [(one.litmus.name, one.memory) for one in begun] == [
        ("two-removers", "tso"), ("two-removers", "sc"), ("exec-lazy-elsewhere", "tso"), ("exec-lazy-elsewhere", "sc"),
        ("bad-segment", "tso"), ("bad-segment", "sc"),
    ]  # fmt: skip
    assert [got[number] for number in range(len(requests))] == requests


@pytest.mark.parametrize(("name", "states"), [("wake-across", 100_000), ("two-removers", 15_000)])
def test_the_default_budget_goes_by_the_number_of_cpus(name: str, states: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Request] = []

    def stopped(request: Request) -> Result:
        seen.append(request)
        raise Ended(2)

    monkeypatch.setattr("sim.experiments.checks.check", stopped)
    main(["check", name, "--no-mirror"])
    main(["check", name, "--no-mirror", "--strategy", "dpor"])
    assert [(one.budget.states, one.budget.executions) for one in seen] == [(states, None), (None, 2000)]
