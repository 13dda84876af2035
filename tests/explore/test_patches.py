"""Changes of the kernel as unified diffs: applied in memory, named everywhere, refused with their place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from patching import PMAP, ROOT, Write, edit, made

from sim.cli import main
from sim.explore.patches import Patch, sources
from sim.explore.patches.kernel import patched
from sim.explore.plants import find

FUTURE = "from __future__ import annotations\n"
LOAD = "def pmap_load(k: Kernel, lwp: Lwp) -> Proc:\n"
PLANT = find("no-second-look")
CELL = ["--profile", PLANT.profile, "--memory", PLANT.memory]
CHECK = ["check", PLANT.litmus, *CELL]
TWO = ["check", PLANT.litmus, "must-fault", *CELL]


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which bad input is refused."""
    assert main([*CHECK, *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_patch_finds_what_the_same_planted_bug_does(
    write: Write, capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    """A kernel of its own for each process; the sources stay as they are."""
    before = {path: path.read_bytes() for path in (ROOT / "sim" / "kernel").rglob("*.py")}
    words = [*TWO, "--jobs", jobs, "--json"]
    assert main([*words, "--patch", write(PLANT.patch.diff)]) == 1
    first, second = json.loads(capsys.readouterr().out)["results"]
    assert (first["invariant"], first["planted"]) == (PLANT.breaks, "my.diff")
    assert [set(it) for it in first["patches"]] == [{"name", "file", "digest"}]
    assert second["planted"] == "my.diff"
    assert main([*words, "--plant", PLANT.name]) == 1
    planted = json.loads(capsys.readouterr().out)["results"]
    differ = {"planted", "patches", "token"}
    assert [{key: it[key] for key in it if key not in differ} for it in planted] == [
        {key: it[key] for key in it if key not in differ} for it in (first, second)
    ]
    assert {path: path.read_bytes() for path in before} == before
    assert main([*words[:-1], "--quiet"]) == 0


def test_a_token_of_a_patched_kernel_needs_the_same_patch(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(PLANT.patch.diff)
    assert main([*CHECK, "--patch", file, "--json"]) == 1
    token = json.loads(capsys.readouterr().out)["results"][0]["token"]
    replay = ["check", "--replay", token]
    # A planted bug that changes the same lines is the same patch; without it, by a name that none has, it is missing.
    assert main([*replay, "--patch", file, "--json"]) == 1
    again = json.loads(capsys.readouterr().out)["results"][0]
    assert (again["token"], again["planted"]) == (token, "my.diff")
    other = write(find("no-svs-mutex").patch.diff, "other.diff")
    assert main([*replay, "--patch", file, "--patch", other]) == 2
    assert f"made without patch {other}" in capsys.readouterr().err


def test_a_token_whose_patch_is_missing_names_it(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(PLANT.patch.diff + edit(FUTURE, FUTURE + "# changed\n"))
    assert main([*CHECK, "--patch", file]) == 1
    shown = capsys.readouterr().out
    (command,) = (line for line in shown.splitlines() if "run again with: svs-sim" in line)
    words = command.partition("svs-sim ")[2].split()
    assert words[-2:] == ["--patch", file]
    assert main(words) == 1
    assert capsys.readouterr().out in shown
    assert main(words[:-2]) == 2
    assert "made with 'my.diff'" in capsys.readouterr().err
    write(PLANT.patch.diff + edit(FUTURE, FUTURE + "# changed again\n"))
    assert main(words) == 2
    assert "give that patch with --patch, as it was then" in capsys.readouterr().err


def test_patches_and_planted_bugs_are_combined_and_named_together(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second patch changes what the first one added."""
    monkeypatch.setenv("COLUMNS", "200")
    one = write(edit(FUTURE, FUTURE + "ONE = 1\n"), "one.diff")
    two = write(f"--- {PMAP}\n+++ {PMAP}\n@@ -1,1 +1,2 @@\n ONE = 1\n+TWO = ONE + 1\n", "two.diff")
    out = tmp_path / "out"
    words = [*CHECK, "--patch", one, "--plant", PLANT.name, "--patch", two]
    assert main([*words, "--out", str(out)]) == 1
    name = f"one.diff + {PLANT.name} + two.diff"
    assert capsys.readouterr().out.count(name) == 2
    assert list(pd.read_parquet(out / "explorations.parquet")["planted"]) == [name]
    (page,) = (out / "counterexamples").glob("*.html")
    assert name in page.read_text()
    assert main(["report", str(out), "--quiet"]) == 0
    assert f"--patch {one} --plant {PLANT.name} --patch {two}" in (out / "report.html").read_text()
    assert "two.diff: sim/kernel/pmap.py: hunk 1" in refused(["--patch", two, "--patch", one], capsys)


def test_constants_new_imports_and_new_files_take_effect() -> None:
    """Names are bound afresh in every module that has imported them, not only in the one that is patched."""
    new = made("sim/kernel/extra.py", '"""New."""\nLIMIT = 7\n')
    use = edit(FUTURE, FUTURE + "\nfrom sim.kernel.extra import LIMIT\n", "sim/kernel/cpuinfo.py", prefix="")
    with patched((Patch("new", new + use),)) as kernel:
        module = sys.modules["sim.kernel.cpuinfo"]
        assert module.LIMIT == 7
        assert kernel.run.__module__ == "sim.explore.run"
        assert sys.modules["sim.kernel.pmap"].CpuInfo is module.CpuInfo
    assert "sim.kernel.extra" not in sys.modules
    assert not hasattr(sys.modules["sim.kernel.cpuinfo"], "LIMIT")


def test_a_design_of_a_patch_can_be_checked(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    registry = "sim/kernel/designs/__init__.py"
    new = edit(
        "def isolating()",
        'register(PROFILES["svs-netbsd8"]._replace(name="svs-mine"))\n\n\ndef isolating()',
        registry,
    )  # fmt: skip
    words = ["check", "remove-page", "--memory", "sc", "--json", "--profile"]
    assert main([*words, "svs-mine", "--patch", write(new)]) == 0
    (mine,) = json.loads(capsys.readouterr().out)["results"]
    assert main([*words, "svs-netbsd8"]) == 0
    (shipped,) = json.loads(capsys.readouterr().out)["results"]
    assert (mine["executions"], mine["steps"]) == (shipped["executions"], shipped["steps"])
    assert main([*words, "svs-mine"]) == 2
    assert "unknown profile 'svs-mine'" in capsys.readouterr().err


def test_lines_may_have_moved_but_not_changed(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    diff = edit(FUTURE, FUTURE + "MOVED = 1\n")
    header = diff.splitlines()[2]
    for moved in (
        diff.replace("@@ -", "@@ -40"),
        diff.replace("\n", "\r\n"),
        "From: me\n\nWhy.\n\n" + diff,
    ):
        (source,) = sources((Patch("moved", moved),)).values()
        assert source is not None
        assert source.count("MOVED = 1\n") == 1
    for old, new in ((f"a/{PMAP}", f"{PMAP}.orig"), (f"b/{PMAP}", "new.py"), (f"b/{PMAP}", f"/tree/{PMAP}")):
        assert [str(path) for path in sources((Patch("copy", diff.replace(old, new)),))] == [PMAP]
    (line,) = (line for line in diff.splitlines() if line.startswith(" from"))
    said = refused(["--patch", write(diff.replace(line, line + "  # fuzz"))], capsys)
    assert f"my.diff: {PMAP}: hunk 1 ({header}) does not apply: line " in said
    assert said.endswith("'from __future__ import annotations', not 'from __future__ import annotations  # fuzz'\n")


@pytest.mark.parametrize(
    ("diff", "message"),
    [
        ("", "it has no hunk"),
        ("Just a letter.\n", "it has no hunk"),
        (edit(FUTURE, "", PMAP).replace(PMAP, "sim/kernel/no_such.py"), "there is no file sim/kernel/no_such.py"),
        (edit(FUTURE, "", "sim/errors.py"), "only Python files in sim/kernel and sim/hardware can be patched"),
        (edit(FUTURE, "").replace(PMAP, "sim/kernel/../errors.py"), "can be patched"),
        (edit(FUTURE, "").rsplit("\n", 2)[0], "line 5: not a unified diff: Hunk is shorter than expected"),
        (edit(FUTURE, FUTURE + "def (:\n"), f"{PMAP}:8, as patched: invalid syntax"),
        (edit(FUTURE, FUTURE + "X = nothing\n"), f"{PMAP}:8: NameError: name 'nothing' is not defined"),
        (edit(FUTURE, FUTURE + "import no_such_library\n"), f"{PMAP}:8: ModuleNotFoundError"),
        (edit(FUTURE, FUTURE + "while True:\n    pass\n"), f"imported: {PMAP}:1 makes no step and never ends"),
        (edit(FUTURE, FUTURE + "raise SystemExit(0)\n"), f"{PMAP}:8: SystemExit: 0"),
        (edit(LOAD, LOAD.replace("pmap_load", "pmap_laod")), "ImportError: cannot import name 'pmap_load'"),
        (f"--- {PMAP}\n+++ {PMAP}\n@@ -9,0 +10,1 @@\n+X = 1\n", "hunk 1 (@@ -9,0 +10,1 @@) has no line of context"),
        (made(PMAP, "X = 1"), f"{PMAP} is to be made, and is there already"),
    ],
)  # fmt: skip
def test_a_patch_that_makes_no_kernel_is_refused_with_its_place(
    write: Write, capsys: pytest.CaptureFixture[str], diff: str, message: str
) -> None:
    assert message in refused(["--patch", write(diff)], capsys)


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "absent.diff: no such file" in refused(["--patch", str(tmp_path / "absent.diff")], capsys)
    (tmp_path / "x.diff").write_bytes(b"\xff\xfe")
    assert "x.diff: cannot be read as text" in refused(["--patch", str(tmp_path / "x.diff")], capsys)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_error_of_a_patched_procedure_is_shown_with_the_patched_line(write: Write, jobs: str) -> None:
    """Not a property of the kernel: a traceback and status 70."""
    file = write(edit(LOAD, LOAD + "    lwp = lwp.no_such_thing\n"))
    command = [sys.executable, "-m", "sim", *TWO, "--patch", file, "--jobs", jobs]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "in pmap_load\n    lwp = lwp.no_such_thing\n" in done.stderr
    assert "pmap.py (patched)" in done.stderr
    assert f"with {Path(file).name}: an error of the patch" in done.stderr
    assert "bug of svs-sim" not in done.stderr


@pytest.mark.parametrize("what", ["SystemExit(0)", "GeneratorExit"])
def test_a_patched_procedure_cannot_end_the_command(
    write: Write, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    """Status 0 would say that all holds, status 1 that something does not."""
    assert main([*TWO, "--patch", write(edit(LOAD, LOAD + f"    raise {what}\n"))]) == 70
    assert what.removesuffix("(0)") in capsys.readouterr().err


def test_a_renamed_and_a_deleted_file() -> None:
    old = "sim/kernel/rwlock.py"
    new = "sim/kernel/rw.py"
    renamed = f"diff --git a/{old} b/{new}\nsimilarity index 90%\nrename from {old}\nrename to {new}\n"
    hunk = edit(FUTURE, FUTURE + "X = 1\n", old).replace(f"+++ b/{old}", f"+++ b/{new}")
    changed = {str(path): source for path, source in sources((Patch("renamed", renamed + hunk),)).items()}
    assert changed[old] is None
    assert changed[new] == (ROOT / old).read_text().replace(FUTURE, FUTURE + "X = 1\n")
    lines = (ROOT / old).read_text().splitlines()
    gone = f"--- a/{old}\n+++ /dev/null\n@@ -1,{len(lines)} +0,0 @@\n" + "".join(f"-{line}\n" for line in lines)
    assert list(sources((Patch("gone", gone),)).values()) == [None]


def test_a_planted_bug_without_a_program_says_where_it_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--plant", PLANT.name, "--json"]) == 1
    out, err = capsys.readouterr()
    (result,) = json.loads(out)["results"]
    assert (result["litmus"], result["profile"], result["memory"]) == (PLANT.litmus, PLANT.profile, PLANT.memory)
    said = f"found with {PLANT.litmus} under {PLANT.profile}, memory {PLANT.memory}\n"
    assert err == f"svs-sim: planted bug {PLANT.name} is {said}"
    assert main([*CHECK, "--plant", PLANT.name, "--json"]) == 1
    assert capsys.readouterr().err == ""


def test_the_list_of_planted_bugs_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--list-plants", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["plants"]
    (one,) = (it for it in listed if it["name"] == PLANT.name)
    assert one == {key: getattr(PLANT, key) for key in ("name", "breaks", "litmus", "says", "profile", "memory")}
