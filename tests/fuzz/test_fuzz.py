"""A small share of the fuzzer's cases, and that the fuzzer keeps what it finds and gives the same case again."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tools import fuzz

SHARE = {"recording": 4, "toml": 25, "token": 60, "arguments": 25, "scenario": 2, "litmus": 2}


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_a_small_share(kind: str, tmp_path: Path) -> None:
    ends = {number: fuzz.fuzz_one(kind, 0, number, tmp_path) for number in range(SHARE[kind])}
    assert {number: end for number, end in ends.items() if end not in ("ok", "refused")} == {}


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_a_case_depends_on_its_seed_alone(kind: str) -> None:
    assert fuzz.KINDS[kind](Random("5")).data == fuzz.KINDS[kind](Random("5")).data
    assert len({fuzz.KINDS[kind](Random(str(n))).data for n in range(9)}) > 3


def test_what_is_found_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise ZeroDivisionError(path.read_text())

    monkeypatch.setitem(fuzz.KINDS, "toml", lambda rng: fuzz.Case(b"x = 1", ".toml", broken))
    assert fuzz.fuzz_one("toml", 3, 7, tmp_path).startswith("ZeroDivisionError: x = 1 (test_fuzz.py:")
    assert (tmp_path / "toml-3-7.toml").read_bytes() == b"x = 1"
