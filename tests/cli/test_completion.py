"""Scripts for the completion of shells."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from sim.cli import main
from sim.cli._parser import commands
from sim.cli.completion import SHELLS, completion_script

CHECK = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    return {shell: completion_script(shell) for shell in SHELLS}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_knows_commands_options_and_names(shell: str, scripts: dict[str, str]) -> None:
    words = [*commands(), "untraced", "no-pcid", "svs-netbsd10", "haswell", "install-against-load", "no-second-look"]
    assert [word for word in words if word not in scripts[shell]] == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_can_read_it(shell: str, scripts: dict[str, str]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(CHECK[shell], input=scripts[shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["compa"], ["compare"]),
        (["run", "--prof"], ["--profile"]),
        (["run", "x", "--profile", "svs-netbsd1"], ["svs-netbsd10"]),
        (["check", "install-against-load-"], ["install-against-load-tick"]),
    ],
)
def test_bash_completes(words: list[str], wanted: list[str], scripts: dict[str, str]) -> None:
    line = ["svs-sim", *words]
    ask = f"""
{scripts["bash"]}
COMP_WORDS=({" ".join(line)}); COMP_CWORD={len(words)}
function=$(complete -p svs-sim | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
"$function" svs-sim "${{COMP_WORDS[COMP_CWORD]}}" ""
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=False)
    assert done.stdout.split() == wanted, done.stderr


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str], scripts: dict[str, str]) -> None:
    assert main(["completion", "fish"]) == 0
    assert capsys.readouterr().out == scripts["fish"] + "\n"
    assert main(["completion", "tcsh"]) == 2
    assert "unknown shell 'tcsh' (one of bash, zsh, fish)" in capsys.readouterr().err
