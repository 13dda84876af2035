"""Whatever a file holds or is: one line with file and key or line, exit status 2, at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios.litmus_reader import find
from sim.cli import main
from sim.errors import InputError
from sim.experiments.sweep import load_sweep
from sim.experiments.validation import select_curves
from sim.inputs.door import MIB, read_bytes
from sim.inputs.toml import MOST_BYTES, parse_toml
from sim.timed.costs import load_costs

ODD = {
    "lists in each other": "says = " + "[" * 100_000,
    "closed lists in each other": "says = " + "[" * 50 + "]" * 50,
    "tables in each other": "[" + ".".join("a" * 30) + "]",
    "a key of many parts": ".".join(["a"] * 200_000) + " = 1",
    "a decimal number of 5,000 digits": "says = " + "9" * 5_000,
    "a hexadecimal number of 5,000 digits": "says = 0x" + "f" * 5_000,
    "10 to the 400": "cpus = 1" + "0" * 400,
    "infinity": "cpus = inf",
    "not a number": "cpus = nan",
    "a date": "cpus = 1979-05-27",
    "a key twice": "cpus = 1\ncpus = 2",
    "a long text": f'cpus = "{"x" * 100_000}"',
    "a long key": f"{'x' * 100_000} = 1",
    "a control character": 'says = "\x07"',
    "nothing": "",
    "no TOML": "\x1b[31m",
}
READERS: dict[str, Callable[[Path], list[str]]] = {
    "behaviour": lambda path: ["run", str(path), "--out", str(path.parent / "out")],
    "litmus": lambda path: ["check", str(path)],
    "sweep": lambda path: ["sweep", str(path), "--out", str(path.parent / "out")],
    "costs": lambda path: ["run", "null-syscall", "--costs", str(path), "--out", str(path.parent / "out")],
    "curve": lambda path: ["validate", "--curve", str(path)],
}


def refused(words: list[str], capsys: pytest.CaptureFixture[str], name: str) -> str:
    """The one line with which a command refuses its input."""
    assert main([*words, "--quiet"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert len(said.err) < 400 + len(name)
    assert name in said.err
    return said.err


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", ODD)
def test_odd_content(tmp_path: Path, capsys: pytest.CaptureFixture[str], reader: str, what: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(ODD[what])
    refused(READERS[reader](path), capsys, "odd.toml")
    assert [file.name for file in tmp_path.iterdir()] == ["odd.toml"]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", ["FIFO", "folder", "device", "bytes", "size", "link to nothing"])
def test_odd_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], reader: str, what: str) -> None:
    path = tmp_path / "odd.toml"
    if what == "FIFO":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "bytes":
        path.write_bytes(b"says = '\xff'")
    elif what == "size":
        with path.open("wb") as file:
            file.truncate(1 << 40)
    else:
        path.symlink_to("nothing")
    refused(READERS[reader](path), capsys, "odd.toml")


@pytest.mark.parametrize("reader", READERS)
def test_a_name_that_is_no_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str], reader: str) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff.toml"))
    path.write_text("cpus = -1")
    refused(READERS[reader](path), capsys, "odd\\udcff.toml")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("recording.txt", ["run", "recording.txt", "--out", "out"]),
        ("recording.txt.gz", ["sweep", "sweep.toml", "--out", "out"]),
        ("result/summary.json", ["chart", "result"]),
        ("result/summary.json", ["report", "result"]),
        ("result/timeline.parquet", ["chart", "result", "--kind", "timeline"]),
        ("result/validation.json", ["report", "result", "--validation", "result"]),
    ],
)
def test_a_fifo_in_place_of_what_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "result").mkdir()
    summary = dict.fromkeys(("scenario", "profile", "baseline", "frequency_hz", "busy_cycles", "elapsed_cycles"), 1)
    text = json.dumps({**summary, "ledger": {}, "counters": {}, "cpus": 1, "seed": 0, "costs": "x"})
    (tmp_path / "result" / "summary.json").write_text(text)
    sweep = 'scenarios = ["recording.txt.gz"]\nprofiles = ["pti"]\n'
    (tmp_path / "sweep.toml").write_text(sweep)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    assert main([*words, "--quiet"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5_000, "[]", "{", "\x07"])
def test_odd_json(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "summary.json").write_text(text)
    refused(["chart", str(tmp_path)], capsys, "summary.json")


def test_a_file_that_grows_while_it_is_read_is_read_within_its_bound(tmp_path: Path) -> None:
    # Files of /proc have no size, and may hold anything.
    with pytest.raises(InputError, match="larger than 1 MiB"):
        read_bytes(Path("/proc/kallsyms"), MIB)
    assert read_bytes(Path("/proc/self/stat"), MIB)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("top", 2),
        ("table.in.x", 4),
        ("table.z", 5),
        ("group[0].a", 8),
        ("group[1].a", 15),
        ("group[1].calls[0].b", 17),
        ("group[1].calls[1].b", 19),
        ("group[1].new", 14),  # not there: the nearest above it
    ],
)
def test_the_line_of_a_key(key: str, line: int) -> None:
    text = (
        'title = """\na = 1"""\n[table]\nin.x = 1\n"z" = 2\n\n[[group]]\na = 1\ntext = """\n[group]\na = 2\n'
        '"""\n\n[[group]]\na = 2\n[[group.calls]]\nb = 1\n[[group.calls]]\nb = 2 # b = 3\n'
    ).replace('title = """\na = 1"""', "# a comment\ntop = 1", 1)
    table = parse_toml(text, "f")
    assert str(table.fail("x", "no")).startswith("f: x: no")
    where = table
    *way, last = key.replace("[", ".").replace("]", "").split(".")
    names: list[str | int] = [int(part) if part.isdigit() else part for part in way]
    where.path = tuple(names)
    assert str(where.fail(last, "no")).startswith(f"f:{line}: ")


def test_a_line_is_not_guessed() -> None:
    table = parse_toml('a = """\nb = 1\n"""\n', "f")
    assert str(table.fail("b", "no")) == "f: b: no"


def test_each_reader_takes_what_ships() -> None:
    assert find("must-fault").cpus
    assert load_sweep("cpus").points
    assert select_curves(["getppid"])
    assert load_costs("haswell").figures
    assert MOST_BYTES == MIB
