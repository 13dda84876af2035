"""A result folder is written whole or not at all, and only over nothing or over an earlier result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.checks import KIND as CHECK
from analysis.folder import Kind, result_folder
from analysis.inspect.study import KIND as INSPECTION
from analysis.results import KIND as RUN
from sim.cli import main
from sim.errors import InputError
from sim.experiments.validation import KIND as VALIDATION

KIND = Kind(("answer",), ("a", "b", "page-*"))
ONE, TWO = '{"answer": 1}', '{"answer": 2}'


def content(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


def write(path: Path, files: dict[str, str], *, fail: bool = False) -> None:
    with result_folder(path, KIND) as stage:
        for name, text in files.items():
            (stage / name).write_text(text)
        if fail:
            raise OSError(28, "No space left on device")


def test_a_new_folder_with_its_parents(tmp_path: Path) -> None:
    write(tmp_path / "x" / "y", {"a": "1", "summary.json": ONE})
    assert content(tmp_path / "x" / "y") == {"a": "1", "summary.json": ONE}
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["y"]


def test_failing_leaves_nothing_not_even_the_parents(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write to .*: No space"):
        write(tmp_path / "x" / "y", {"a": "1"}, fail=True)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_result_is_replaced_and_its_leftovers_go(tmp_path: Path) -> None:
    write(tmp_path / "r", {"a": "1", "b": "1", "page-7": "1", "summary.json": ONE})
    (tmp_path / "r" / "notes.txt").write_text("mine")
    write(tmp_path / "r", {"a": "2", "summary.json": TWO})
    assert content(tmp_path / "r") == {"a": "2", "notes.txt": "mine", "summary.json": TWO}


def test_an_earlier_result_survives_a_failure(tmp_path: Path) -> None:
    write(tmp_path / "r", {"a": "1", "summary.json": ONE})
    with pytest.raises(InputError, match="cannot write to .*: No space"):
        write(tmp_path / "r", {"a": "2", "summary.json": TWO}, fail=True)
    assert content(tmp_path / "r") == {"a": "1", "summary.json": ONE}


def test_a_failure_between_the_renames_leaves_no_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "r", {"a": "1", "b": "1", "summary.json": ONE})
    whole = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if self.name == "b":
            raise OSError(5, "Input/output error")
        return whole(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(InputError, match="cannot write to .*: Input/output"):
        write(tmp_path / "r", {"a": "2", "b": "2", "summary.json": TWO})
    assert content(tmp_path / "r") == {"a": "2", "b": "1"}
    with pytest.raises(InputError, match="holds files but no earlier result"):
        write(tmp_path / "r", {"a": "3", "summary.json": ONE})


def test_an_empty_folder_and_what_a_killed_run_left_are_welcome(tmp_path: Path) -> None:
    (tmp_path / "r" / ".r.partial-abc").mkdir(parents=True)
    write(tmp_path / "r", {"summary.json": ONE})
    assert (tmp_path / "r" / "summary.json").read_text() == ONE


def test_a_result_that_a_killed_process_was_replacing_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "r" / ".r.partial-abc").mkdir(parents=True)
    (tmp_path / "r" / "a").write_text("2")
    write(tmp_path / "r", {"b": "3", "summary.json": ONE})
    assert content(tmp_path / "r") == {"b": "3", "summary.json": ONE}
    (tmp_path / "r" / "summary.json").unlink()
    (tmp_path / "r" / ".r.partial-abc").mkdir()
    (tmp_path / "r" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="holds files but no earlier result"):
        write(tmp_path / "r", {"b": "4", "summary.json": ONE})


@pytest.mark.parametrize("text", ["", "1", "{}", "[]", '{"name": "my-project"}', "\xff", "{" * 5000])
def test_a_summary_of_something_else_is_no_earlier_result(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_text(text)
    (tmp_path / "a").write_text("mine")
    with pytest.raises(InputError, match=r"summary\.json is not one"):
        write(tmp_path, {"a": "1", "summary.json": ONE})
    assert content(tmp_path) == {"a": "mine", "summary.json": text}


SMALL = '[[group]]\nname = "a"\niterations = 2\n'
COMMANDS = {
    "run": (RUN, ["run", "small.toml"]),
    "check": (CHECK, ["check", "must-fault"]),
    "inspect": (INSPECTION, ["inspect", "small.toml", "--at", "1us"]),
    "validate": (VALIDATION, ["validate", "--curve", "getppid"]),
    "sweep": (Kind(("sweep",), ()), ["sweep", "grid.toml"]),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a result of each command, named after it."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "small.toml").write_text(SMALL)
    (folder / "grid.toml").write_text('scenarios = ["small.toml"]\nprofiles = ["pti"]\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, (_, words) in COMMANDS.items():
            assert main([*words, "--quiet", "--out", name]) == 0
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_knows_its_own_results_and_only_these(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.chdir(results)
    kind, words = COMMANDS[command]
    before = json.loads((results / command / kind.marker).read_text())
    assert set(kind.keys) <= before.keys()
    assert main([*words, "--quiet", "--out", command]) == 0
    assert json.loads((results / command / kind.marker).read_text()) == before
    for other in COMMANDS.keys() - {command}:
        assert main([*words, "--quiet", "--out", other]) == 2
        assert "holds files but no earlier" in capsys.readouterr().err


def test_a_cache_of_something_else_is_no_earlier_sweep(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A home folder has a ``.cache``, too."""
    monkeypatch.chdir(results)
    words = ["sweep", "grid.toml", "--quiet", "--out", str(tmp_path)]
    (tmp_path / ".cache" / "pip").mkdir(parents=True)
    assert main(words) == 2
    (tmp_path / ".cache" / "pip").rmdir()
    assert main(words) == 0  # an empty one and nothing else: a sweep that was killed at once
    (tmp_path / "summary.json").unlink()
    assert main(words) == 0  # one that was killed before its end
    (tmp_path / "summary.json").write_text("{}")
    assert main(words) == 2
    assert capsys.readouterr().err.count("holds files but no earlier sweep") == 2


def test_a_folder_with_other_things_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="holds files but no earlier result"), result_folder(tmp_path, KIND):
        pytest.fail("must not be entered")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_files_and_dangling_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(InputError, match="is a file"), result_folder(tmp_path / "f", KIND):
        pytest.fail("must not be entered")
    (tmp_path / "l").symlink_to("nowhere")
    with pytest.raises(InputError, match="link to nothing"), result_folder(tmp_path / "l", KIND):
        pytest.fail("must not be entered")


def test_a_parent_that_is_a_file_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(InputError, match="cannot write to"), result_folder(tmp_path / "f" / "r", KIND):
        pytest.fail("must not be entered")
