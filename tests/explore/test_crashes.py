"""Mistakes of a patched kernel: each is a verdict of its own, says what and where, and spoils nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from patching import PMAP, ROOT, Write, edit

from sim.cli import main

LOAD = "def pmap_load(k: Kernel, lwp: Lwp) -> Proc:\n"
KERNEL, CPU = "sim/kernel/kernel.py", "sim/hardware/cpu.py"
BOOT = "    def _boot_cpu(self, ci: CpuInfo) -> None:\n"
CR3 = "    def write_cr3(self, pa: int, pcid: int, noflush: bool) -> None:\n"
WORDS = ["--profile", "svs-netbsd9", "--memory", "sc", "--no-mirror"]


def below(old: str, path: str = PMAP) -> str:
    """File and number of the line below that one."""
    return f"{path}:{(ROOT / path).read_text().partition(old)[0].count(chr(10)) + 2}"


AT_STEP = f"at the step that pmap_load ({below(LOAD)}) yields: "
IN_LOAD = f"in pmap_load ({below(LOAD)})"
OLD = "\n\n\ndef old(k: Kernel, lwp: Lwp) -> Proc:\n"


@pytest.mark.parametrize(
    ("path", "old", "new", "says"),
    [
        (PMAP, LOAD, "    yield None\n", f"ModelError {AT_STEP}None is no step"),
        (PMAP, LOAD, "    yield 'load'\n", f"ModelError {AT_STEP}'load' is no step"),
        (PMAP, LOAD, "    yield (load, 'x')\n", "has an unknown site: 'x'"),
        (PMAP, LOAD, "    yield (99, PmapLoad.ci_pmap)\n", f"IndexError {AT_STEP}"),
        (PMAP, LOAD, "    next(iter(()))\n", f"RuntimeError {IN_LOAD}: generator raised StopIteration"),
        (PMAP, LOAD, "    raise SystemExit(0)\n", f"SystemExit {IN_LOAD}: 0"),
        (PMAP, LOAD, "    [0] * 10**15\n", f"MemoryError {IN_LOAD}"),
        (PMAP, LOAD, "    lwp.l_nothing = 1\n", f"AttributeError {IN_LOAD}: "),
        (PMAP, LOAD, "    k.dice = __import__('random').Random(1)\n", "compared: not all of a Random can be seen"),
        (PMAP, LOAD, f"    return None{OLD}", "TypeError in userret (sim/kernel/traps.py:"),
        (PMAP, LOAD, f"    return [1]{OLD}", "yields: 1 is no step"),
        (KERNEL, BOOT, "        ci.nothing.v = 1\n", f"AttributeError in Kernel._boot_cpu ({below(BOOT, KERNEL)}): "),
        (CPU, CR3, "        pa.v = 1\n", f"AttributeError in Cpu.write_cr3 ({below(CR3, CPU)}), at the step that "),
    ],
)
def test_a_mistake_is_named_with_its_place(
    write: Write, capsys: pytest.CaptureFixture[str], path: str, old: str, new: str, says: str
) -> None:
    patch = write(edit(old, old + new, path))
    assert main(["check", "switch-pmaps", *WORDS, "--json", "--patch", patch]) == 70
    out, err = capsys.readouterr()
    (result,) = json.loads(out)["results"]
    assert result["verdict"] == "crashed"
    assert says in result["left_out"]
    assert err.startswith("Traceback")
    assert f"svs-sim: crashed: switch-pmaps, svs-netbsd9, sc: {result['left_out']}"[:900] in err
    assert "with my.diff: an error of the patch" in err
    assert "bug of svs-sim" not in err


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_other_explorations_go_on(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: str) -> None:
    """A mistake that two of three programs meet, in the order of the command line; a later call tries them again."""
    mistake = LOAD + "    if lwp.l_proc.name == 'B':\n        lwp.l_nothing = 1\n"
    words = ["check", "switch-pmaps", "must-fault", "switch-stale", *WORDS, "--patch", write(edit(LOAD, mistake))]
    out = tmp_path / "out"
    for _ in range(2):
        assert main([*words, "--jobs", jobs, "--out", str(out)]) == 70
        shown, err = capsys.readouterr()
        crashed = [line.split()[0] for line in shown.splitlines() if "  crashed  " in line]
        assert sorted(crashed) == ["switch-pmaps", "switch-stale"]
        assert "must-fault    svs-netbsd9  sc      my.diff  holds" in shown
        assert err.count("Traceback") == 1
        assert "svs-sim: crashed: switch-pmaps, svs-netbsd9, sc and 1 more: AttributeError in pmap_load" in err
    found = pd.read_parquet(out / "explorations.parquet")
    assert list(found["verdict"]) == ["crashed", "holds", "crashed"]
    assert main(["report", str(out), "--quiet"]) == 0
    assert "Of 3 explorations 1 holds, 2 crashed." in (out / "report.html").read_text()


def test_what_a_patch_prints_is_no_result(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither at import nor in a procedure."""
    patch = write(edit(LOAD, "print('imported')\n\n\n" + LOAD + "    print('called')\n"))
    assert main(["check", "must-fault", *WORDS, "--json", "--patch", patch]) == 0
    out, err = capsys.readouterr()
    assert [result["verdict"] for result in json.loads(out)["results"]] == ["holds"]
    assert {"imported", "called"} <= set(err.splitlines())
