"""The shipped litmus programs: the verdicts that the documentation states, premises, own programs."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from scenarios.litmus_reader import find, read, shipped
from sim.explore.check import check
from sim.explore.explorer import Budget
from sim.explore.invariants import INVARIANTS
from sim.explore.request import Request

DOCS = Path(__file__).parent.parent.parent / "docs"
FEW = 25


def stated() -> list[tuple[str, str, str, str]]:
    """(litmus, memory, profile, cell) of the table in the documentation."""
    with (DOCS / "verdicts.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        (row["litmus"], row["memory"], profile, cell)
        for row in rows
        for profile, cell in row.items()
        if profile not in ("litmus", "memory")
    ]


def small(cell: str) -> bool:
    """Whether an exploration is short enough to be repeated here: a few orders, or something broken at once."""
    orders = cell.removeprefix("holds (").removesuffix(")").replace(",", "")
    return cell.endswith("**") or orders.isdigit() and int(orders) <= FEW


def broken(cell: str) -> str:
    """The invariant that a cell names as broken, or nothing."""
    return cell.split("**")[1] if cell.startswith("**") else ""


def test_the_table_has_every_program_profile_and_memory() -> None:
    assert len(shipped()) >= 30
    assert {(litmus, memory) for litmus, memory, _, _ in stated()} == {
        (name, memory) for name in shipped() for memory in ("sc", "tso")
    }
    assert all(cell != "-" for *_, cell in stated())


def test_what_breaks_unplanted_is_expected_by_its_program() -> None:
    for litmus, _, profile, cell in stated():
        if broken(cell):
            assert broken(cell) in find(litmus).violates[profile]


def test_what_is_said_to_follow_from_tso_was_explored_there() -> None:
    cells = {row[:3]: row[3] for row in stated()}
    for (litmus, memory, profile), cell in cells.items():
        if cell == "holds (tso)":
            assert memory == "sc"
            assert re.fullmatch(r"holds \([0-9,]+ states\)", cells[litmus, "tso", profile])


@pytest.mark.parametrize(("litmus", "memory", "profile", "cell"), [row for row in stated() if small(row[3])])
def test_a_stated_verdict(litmus: str, memory: str, profile: str, cell: str) -> None:
    # What is known to break does so soon; what may come after it is a longer story.
    for states in (400, 3_000) if broken(cell) else (50_000,):
        result = check(Request(find(litmus), profile, memory, budget=Budget(states=states)))
        if result.verdict != "incomplete":
            break
    if result.counterexample is not None:
        assert broken(cell) == result.counterexample.broken.invariant
    else:
        assert cell == f"holds ({result.executions + result.abandoned:,})"


def test_no_invariant_is_judged_in_vain() -> None:
    """A few executions of every program, under the profile that it concerns, judge every invariant."""
    judged: Counter[str] = Counter()
    for name in shipped():
        profile = "svs-netbsd8" if name.startswith("disable") else "svs-netbsd10"
        judged.update(check(Request(find(name), profile, "sc", budget=Budget(executions=2))).premises)
    missing = {i.name for i in INVARIANTS if not judged[i.name]}
    assert missing == set()


OWN = """
says = "{says}"
cpus = {cpus}
slots = 2
[pmaps]
A = ["0.0", "1.0"]
B = ["0.0"]
[shared]
X = ["A:0.5", "B:0.5", "A:1.5"]
[[lwps]]
name = "a"
pmap = "A"
cpu = 0
ops = {a}
[[lwps]]
name = "b"
pmap = "{pmap}"
cpu = {cpu}
ops = {b}
"""


@pytest.mark.parametrize(
    ("pmap", "cpus", "a", "b"),
    [
        ("A", 2, '["remove 1.0", "enter 1.1", "update"]', '["read 0.0", "syscall"]'),
        ("A", 1, '["fork", "write 0.0"]', '["read 0.0"]'),
        ("B", 2, '["block x", "read 0.0"]', '["wake x", "exit"]'),
        ("B", 3, '["protect 0.0", "nmi 2"]', '["write 0.0", "tick 0"]'),
        ("B", 2, '["enter B:1.2", "user"]', '["syscall", "read 0.0"]'),
        ("A", 2, '["zap 0.0", "update", "exit"]', '["user", "syscall"]'),
        ("B", 2, '["disable"]', '["syscall"]'),
        ("B", 2, '["page_protect X; page_remove X", "touch 0.5"]', '["touch 0.5", "munmap 0.5", "exit"]'),
        ("C", 1, '["fork b; enter_read 1.1", "touch 0.0"]', '["touch 0.0", "look 0.5", "exit"]'),
        ("A", 2, '["mremap 0.5 0.6; mremap 1.0+2 1.2", "touch 1.2"]', '["touch 0.6", "read 1.2", "mremap 0.0 0.6"]'),
        ("A", 2, '["remove 0.0+2", "touch 0.1"]', '["mprotect 1.0+3; madvise 1.0", "touch 1.0"]'),
        ("B", 2, '["kenter 1; kremove 1", "device 1 kenter 0"]', '["kread 1; kwrite 0", "device 0 kremove 2"]'),
        ("B", 2, '["block x; zap 0.0; update", "exec", "look 0.0"]', '["device 0 x", "device 1", "exec"]'),
    ],
)
@pytest.mark.parametrize("profile", ["svs-netbsd9", "pti"])
def test_own_programs_run(tmp_path: Path, pmap: str, cpus: int, a: str, b: str, profile: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN.format(says="x", cpus=cpus, a=a, b=b, pmap=pmap, cpu=cpus - 1))
    for memory in ("sc", "tso"):
        result = check(Request(read(path), profile, memory, budget=Budget(executions=40)))
        assert result.verdict in ("holds", "incomplete")
        assert result.premises["progress"] > 0
