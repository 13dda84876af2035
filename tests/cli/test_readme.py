"""What the README promises."""

from __future__ import annotations

import os
import re
import subprocess
from configparser import ConfigParser
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


def test_ci_runs_the_readmes_commands_before_it_installs_anything() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    order = [
        "README.rst",
        '"${commands[0]}"\n[',
        'bash -c "${commands[1]}"',
        "pip install",
        "apt-get install",
        "-m pytest",
    ]
    places = [script.index(part) for part in order]
    assert places == sorted(places)
    assert script.count("install --quiet") == 1


def test_the_tests_install_no_library_of_another_extra() -> None:
    """What only style, types, documentation and optional tests need must not be needed by ./run-tests."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = {
        extra: {line.split()[0] for line in lines.strip().splitlines()}
        for extra, lines in setup["options.extras_require"].items()
    }
    assert set(extras) == {"test", "lint", "docs", "cluster", "browser"}
    assert sum(map(len, extras.values())) == len(set().union(*extras.values()))
    assert f"'.[{','.join(extras)}]'" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert {"need_venv test"} == {
        line for line in (ROOT / "run-tests").read_text(encoding="utf-8").splitlines() if line.startswith("need_venv")
    }


@pytest.mark.parametrize("command", ["svs-sim", "run-tests"])
def test_a_python_without_ensurepip_is_reported_each_time(command: str, tmp_path: Path) -> None:
    """As on a Debian without python3-venv: the module leaves a folder with an interpreter and no pip behind."""
    python = tmp_path / "python3"
    python.write_text(
        "#!/bin/sh\n"
        '[ "$1 $2" = "-m venv" ] || exit 0\n'
        'mkdir -p "$3/bin" && ln -sf /bin/false "$3/bin/python"\n'
        "echo ensurepip is not available >&2; exit 1\n"
    )
    python.chmod(0o755)
    env = {**os.environ, "PYTHON": str(python), "SVS_VENV": str(tmp_path / "venv")}
    for _ in range(2):
        done = subprocess.run([ROOT / command], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-2:] == [
            "ensurepip is not available",
            f"svs-sim: error: '{python} -m venv {tmp_path}/venv' failed (see above); on Debian install python3-venv",
        ]


def test_a_machine_without_a_recent_python_is_told_so(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    env = {**os.environ, "PYTHON": str(python), "SVS_VENV": str(tmp_path / "venv")}
    done = subprocess.run([ROOT / "svs-sim"], env=env, capture_output=True, text=True, check=False)
    said = "svs-sim: error: Python 3.11 or newer is needed; name one with PYTHON=/path/to/python3\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
