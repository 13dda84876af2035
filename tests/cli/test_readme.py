"""What the README promises."""

from __future__ import annotations

import re
from pathlib import Path

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


def test_ci_runs_what_the_readme_says() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.rst" in script
    assert '"${commands[0]}"' in script
    assert '"${commands[1]}"' in script
