"""What the README promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sim.cli import main

ROOT = Path(__file__).parents[2]


def test_the_readme_has_a_picture_and_exactly_two_commands_to_start_with() -> None:
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    start = text[: text.index("Going on\n---")]
    commands = re.findall(r"^ {4}(\S.*)$", start, re.MULTILINE)
    assert commands == ["./svs-sim run cc-build --out out/cc-build", "./run-tests"]
    (picture,) = re.findall(r"^\.\. image:: (\S+)$", start, re.MULTILINE)
    assert (ROOT / picture).is_file()
    for command in commands:
        assert (ROOT / command.split()[0]).stat().st_mode & 0o111


@pytest.mark.parametrize("status", [0, 1])
def test_the_checks_of_the_readme_end_as_it_says(status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The one without a plant holds, the one with a plant is violated and shows how."""
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    (words,) = (words for words in re.findall(r"``\./svs-sim (check [^`]+)``", text) if ("--plant" in words) == status)
    assert main(words.split()) == status
    assert ("run again with: svs-sim check --replay" in capsys.readouterr().out) == bool(status)


def test_ci_runs_what_the_readme_says() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.rst" in script
    assert '"${commands[0]}"' in script
    assert '"${commands[1]}"' in script
