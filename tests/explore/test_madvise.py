"""madvise lets go of pages that others have, too, with the map locked for reading."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path

import pytest

from scenarios.litmus_reader import read
from sim.explore.blame import ROOT
from sim.explore.check import check
from sim.explore.explorer import Budget
from sim.explore.litmus import Litmus
from sim.explore.patches import Patch
from sim.explore.request import Request

FORKED = """
says = "Forked."
cpus = 2
slots = 1
[pmaps]
A = ["0.0"]
[[lwps]]
name = "a"
pmap = "A"
cpu = 0
ops = ["fork b", "madvise 0.0"]
[[lwps]]
name = "b"
pmap = "B"
cpu = 0
ops = ["recall 0.0"]
"""
FAULTS = """
[[lwps]]
name = "c"
pmap = "A"
cpu = 1
ops = ["touch 0.0"]
"""
LET_GO = "            _unrefer(k, proc.pages.pop(va))\n"
UNLOCKED = "        yield from mutex_exit(lwp.l_cpu, lock, UvmMapClean)\n"


def program(folder: Path, text: str) -> Litmus:
    path = folder / "own.toml"
    path.write_text(text)
    return read(path)


def test_the_child_keeps_a_page_that_the_parent_lets_go_of(tmp_path: Path) -> None:
    result = check(Request(program(tmp_path, FORKED), "svs-netbsd10", "sc"))
    assert (result.verdict, result.exhausted) == ("holds", True)
    assert set(result.finals) == {"b:recall 0.0=kept"}


def test_the_last_one_frees_it_and_a_fault_brings_another(tmp_path: Path) -> None:
    ops = 'ops = ["mremap 0.0 0.1", "madvise 0.1", "look 0.1", "recall 0.1"]'
    text = FORKED.replace('ops = ["fork b", "madvise 0.0"]', ops)
    result = check(Request(program(tmp_path, text[: text.rindex("[[lwps]]")]), "svs-netbsd10", "sc"))
    assert (result.verdict, result.exhausted) == ("holds", True)
    assert {end.rpartition("; ")[2] for end in result.finals} == {"a:recall 0.1=new"}


@pytest.mark.parametrize("profile", ["svs-netbsd9", "svs-netbsd10"])
def test_a_fault_on_it_meanwhile_finds_it_or_not(tmp_path: Path, profile: str) -> None:
    request = Request(program(tmp_path, FORKED + FAULTS), profile, "sc", (), "random", Budget(executions=30))
    result = check(request)
    assert result.counterexample is None
    assert result.executions == 30


def test_it_goes_under_its_owner_lock(tmp_path: Path) -> None:
    file = "sim/kernel/uvm_pages.py"
    old = (ROOT / file).read_text()
    new = old.replace(LET_GO, "").replace(UNLOCKED, UNLOCKED + f"        if page is not None:\n{LET_GO}")
    assert new.count(LET_GO) == 1
    diff = "".join(unified_diff(old.splitlines(True), new.splitlines(True), f"a/{file}", f"b/{file}"))
    request = Request(program(tmp_path, FORKED), "svs-netbsd10", "sc", (Patch("late", diff),))
    example = check(request).counterexample
    assert example is not None
    assert example.broken.invariant == "guarded"
