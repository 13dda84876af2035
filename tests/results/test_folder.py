"""A result folder is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.folder import result_folder
from sim.errors import InputError


def content(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


def write(path: Path, files: dict[str, str], *, fail: bool = False) -> None:
    with result_folder(path, ("a", "b", "summary.json")) as stage:
        for name, text in files.items():
            (stage / name).write_text(text)
        if fail:
            raise OSError(28, "No space left on device")


def test_a_new_folder_with_its_parents(tmp_path: Path) -> None:
    write(tmp_path / "x" / "y", {"a": "1", "summary.json": "{}"})
    assert content(tmp_path / "x" / "y") == {"a": "1", "summary.json": "{}"}
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["y"]


def test_failing_leaves_nothing_not_even_the_parents(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write to .*: No space"):
        write(tmp_path / "x" / "y", {"a": "1"}, fail=True)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_result_is_replaced_and_its_leftovers_go(tmp_path: Path) -> None:
    write(tmp_path / "r", {"a": "1", "b": "1", "summary.json": "1"})
    (tmp_path / "r" / "notes.txt").write_text("mine")
    write(tmp_path / "r", {"a": "2", "summary.json": "2"})
    assert content(tmp_path / "r") == {"a": "2", "notes.txt": "mine", "summary.json": "2"}


def test_an_earlier_result_survives_a_failure(tmp_path: Path) -> None:
    write(tmp_path / "r", {"a": "1", "summary.json": "1"})
    with pytest.raises(InputError, match="cannot write to .*: No space"):
        write(tmp_path / "r", {"a": "2", "summary.json": "2"}, fail=True)
    assert content(tmp_path / "r") == {"a": "1", "summary.json": "1"}


def test_a_failure_between_the_renames_leaves_no_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "r", {"a": "1", "b": "1", "summary.json": "1"})
    whole = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if self.name == "b":
            raise OSError(5, "Input/output error")
        return whole(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(InputError, match="cannot write to .*: Input/output"):
        write(tmp_path / "r", {"a": "2", "b": "2", "summary.json": "2"})
    assert content(tmp_path / "r") == {"a": "2", "b": "1"}


def test_an_empty_folder_and_what_a_killed_run_left_are_welcome(tmp_path: Path) -> None:
    (tmp_path / "r" / ".r.partial-abc").mkdir(parents=True)
    write(tmp_path / "r", {"summary.json": "1"})
    assert (tmp_path / "r" / "summary.json").read_text() == "1"


def test_a_folder_with_other_things_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="holds files but no earlier result"), result_folder(tmp_path):
        pytest.fail("must not be entered")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_files_and_dangling_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(InputError, match="is a file"), result_folder(tmp_path / "f"):
        pytest.fail("must not be entered")
    (tmp_path / "l").symlink_to("nowhere")
    with pytest.raises(InputError, match="link to nothing"), result_folder(tmp_path / "l"):
        pytest.fail("must not be entered")


def test_a_parent_that_is_a_file_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(InputError, match="cannot write to"), result_folder(tmp_path / "f" / "r"):
        pytest.fail("must not be entered")
