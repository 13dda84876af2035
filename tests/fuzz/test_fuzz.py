"""A small share of the fuzzer's cases, and that the fuzzer keeps what it finds and gives the same case again."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tools import fuzz
from tools.fuzzing import watch
from tools.fuzzing.programs import run_both
from tools.fuzzing.watch import Case

FOUND = Path(__file__).parent / "found"
SHARE = {"recording": 4, "file": 25, "token": 12, "arguments": 40, "changed litmus": 6, "changed scenario": 4,
         "costs": 3, "scenario": 1, "litmus": 1, "result": 1}  # fmt: skip


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_a_small_share(kind: str, tmp_path: Path) -> None:
    ends = {number: fuzz.fuzz_one(kind, 0, number, tmp_path) for number in range(SHARE[kind])}
    assert {number: end.wrong for number, end in ends.items() if end.wrong} == {}


def test_cases_are_accepted_and_refused(tmp_path: Path) -> None:
    """What is refused at once tests nothing behind the first check."""
    ends = [fuzz.fuzz_one(kind, 1, number, tmp_path) for kind in ("file", "arguments") for number in range(30)]
    assert 5 < sum(end.status == 0 for end in ends) < 50


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_a_case_depends_on_its_seed_alone(kind: str) -> None:
    make = fuzz.KINDS[kind][0]
    assert make(Random("5")).data == make(Random("5")).data
    assert len({make(Random(str(n))).data for n in range(9)}) > 3


def broken(path: Path) -> int:
    raise ZeroDivisionError(path.read_text())


def silent(path: Path) -> int:
    return 2


def slow(path: Path) -> int:
    while True:
        pass


def leaves_something(path: Path) -> int:
    (path.parent / ".out.partial-1").touch()
    return 0


def large(path: Path) -> int:
    return 0


def talks_to_the_terminal(path: Path) -> int:
    print("\x1b[2J", file=sys.stderr)
    return 0


@pytest.mark.parametrize(
    ("run", "wrong"),
    [
        (broken, r"exit 70: test_fuzz.py\", line \d+: ZeroDivisionError: x = 1"),
        (silent, "0 lines for one error"),
        (slow, "took longer than 1 s"),
        (leaves_something, r"left \['.out.partial-1'\]"),
        (large, r"needed \d+ MiB"),
        (talks_to_the_terminal, "a line not fit to be printed"),
    ],
)
def test_what_is_found_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[Path], int], wrong: str
) -> None:
    monkeypatch.setitem(fuzz.KINDS, "file", (lambda rng: Case(b"x = 1", ".toml", run), 1))
    monkeypatch.setattr(watch, "LONGEST_S", 1)
    monkeypatch.setattr(watch, "MOST_MIB", 1)
    assert re.match(wrong, fuzz.fuzz_one("file", 3, 7, tmp_path).wrong)
    assert (tmp_path / "file-3-7.toml").read_bytes() == b"x = 1"


def test_the_kinds_are_drawn_by_their_shares() -> None:
    kinds = Counter(fuzz.kind_of(1, number) for number in range(2000))
    assert set(kinds) >= {kind for kind, (_, share) in fuzz.KINDS.items() if share > 7}
    assert kinds["file"] > kinds["recording"] > kinds["costs"]


@pytest.mark.parametrize("name", sorted(path.name for path in FOUND.iterdir()))
def test_what_was_found_is_mended(name: str) -> None:
    """Files of ``found``: scenarios on which the engines differed, recordings that took long or came to a stop."""
    engines = ("fast", "plain") if name.startswith("scenario") else ("fast",)
    end = watch.run(Case((FOUND / name).read_bytes(), Path(name).suffix, partial(run_both, engines=engines)))
    assert (end.wrong, end.status) == ("", 0)
