"""Code under check that never ends is a verdict, wherever it runs; what takes its time is none."""

from __future__ import annotations

import json
import signal
import sys

import pytest
from patching import PMAP, edit

from sim.cli import main
from sim.explore import watchdog
from sim.explore.model import AtWork, Patience, Violation
from sim.hardware.memory import Words

KERNEL, PTP, CPU = "sim/kernel/kernel.py", "sim/kernel/ptp.py", "sim/hardware/cpu.py"
LOAD = "def pmap_load(k: Kernel, lwp: Lwp) -> Proc:\n"
REFERENCE = "        yield rmw(pmap.pm_obj_refs, 0, add, 1, PmapLoad.pmap_reference)\n"
SPL = "__import__('sim.hardware.steps').hardware.steps.spl(ci.cpu.ipl, PmapLoad.ci_pmap)"
CR3 = "    def write_cr3(self, pa: int, pcid: int, noflush: bool) -> None:\n"
NO_STEP, RECURSION = "makes no step and never ends", "calls itself and never ends"
BOOT = "    def _boot_cpu(self, ci: CpuInfo) -> None:\n"


def long_walk(pages: int) -> int:
    va = 0
    while va < pages:
        va += 1
    return va


class TestWhatIsWatched:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Patience, "look", 0.01)

    @pytest.fixture
    def at_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(AtWork, "judge", object())

    @pytest.mark.usefixtures("at_work")
    def test_a_loop_without_end_is_named(self) -> None:
        with watchdog.watchdog(), pytest.raises(Violation, match=r"long_walk \(.*\) makes no step and never ends"):
            long_walk(sys.maxsize)
        assert sys.gettrace() is None

    @pytest.mark.usefixtures("at_work")
    def test_a_long_computation_is_no_loop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Patience, "lines", 10**9)
        with watchdog.watchdog():
            signal.raise_signal(signal.SIGPROF)  # a fast machine may be done before the timer
            assert long_walk(300_000) == 300_000
        assert sys.gettrace() is None

    def test_only_the_kernel_is_watched(self) -> None:
        with watchdog.watchdog():
            assert long_walk(600_000) == 600_000

    def test_calls_that_end_are_counted_one_by_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each is the kernel's; who calls them again and again is not."""
        monkeypatch.setattr(Patience, "lines", 3000)
        with watchdog.watchdog():
            for _ in range(20_000):
                Words("x")
        assert sys.gettrace() is None


@pytest.mark.parametrize(
    ("path", "old", "new", "where", "reason"),
    [
        (PMAP, LOAD, "    while True:\n        k = k\n", "pmap_load", NO_STEP),
        (PMAP, LOAD, "    while True: pass\n", "pmap_load", NO_STEP),
        (PMAP, LOAD, "    yield from pmap_load(k, lwp)\n", "pmap_load", RECURSION),
        (PMAP, REFERENCE, "        yield from pmap_load(k, lwp)\n", "pmap_load", RECURSION),
        (PMAP, REFERENCE, f"        while True:\n            yield {SPL}\n", "pmap_load:", "could notice, and never"),
        (KERNEL, BOOT, "        while True:\n            ci = ci\n", "_boot_cpu", NO_STEP),
        (KERNEL, BOOT, "        self._boot_cpu(ci)\n", "_boot_cpu", RECURSION),
        (PTP, "    def make(level: int) -> int:\n", "        return make(level)\n", "make", RECURSION),
        (CPU, CR3, "        while pcid == 0:\n            pass\n", "Cpu.write_cr3", NO_STEP),
    ],
)
def test_a_kernel_that_never_ends_breaks_progress(write, capsys, path, old, new, where, reason) -> None:
    """As it boots, as the program is set up, before the first choice and after it."""
    words = ["--profile", "svs-2018-02", "--memory", "sc", "--no-mirror", "--json"]
    assert main(["check", "switch-pmaps", *words, "--patch", write(edit(old, old + new, path))]) == 1
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["verdict"], result["invariant"]) == ("violated", "progress")
    assert where in result["reason"]
    assert reason in result["reason"]
