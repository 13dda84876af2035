"""NetBSD's assertions are on in every run, and one that fails ends the run loudly."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scenarios.open import open_scenario
from sim.errors import InputError, KernelAssertion, MachineCheck, ModelError, kassert
from sim.kernel import pmap, svs
from sim.timed.paired import run_once


def run(profile="svs-netbsd9", *, fast=True, cpus=None):
    scenario = open_scenario("mixed-server", overrides={"group.0.iterations": 3})
    return run_once(
        scenario.source(), profile, pcid=None, cpus=cpus or scenario.cpus, costs=scenario.costs,
        engine="fast" if fast else "plain",
    )  # fmt: skip


def test_assertions_are_a_family_of_their_own():
    assert issubclass(KernelAssertion, ModelError)
    assert issubclass(MachineCheck, ModelError)
    assert not issubclass(ModelError, InputError)
    kassert(True, "fine")
    with pytest.raises(KernelAssertion, match="not fine"):
        kassert(False, "not fine")


@pytest.mark.parametrize("fast", [True, False])
def test_a_broken_assertion_ends_a_timed_run(monkeypatch, fast):
    """pmap_deactivate that forgets to become lazy: the KASSERT of the next pmap_activate sees it."""
    monkeypatch.setattr(pmap, "TLBSTATE_LAZY", pmap.TLBSTATE_VALID)
    with pytest.raises(KernelAssertion, match="ci_tlbstate is not VALID"):
        run(fast=fast)


def test_a_double_fault_ends_a_timed_run(monkeypatch):
    """UTLS that leads nowhere: the entry code's push is a double fault."""
    monkeypatch.setattr(svs, "svs_utls_init", lambda k, ci: setattr(ci, "ci_svs_utls", k.mem.words(k.pti_page(ci))))
    monkeypatch.setattr("sim.kernel.kernel.Kernel.pti_page", lambda k, ci: k.mem.alloc_page("lost"), raising=False)
    with pytest.raises(MachineCheck, match="double fault"):
        run()


def test_assertions_do_not_depend_on_pythons_own():
    """``python -O`` switches assert statements off, not these."""
    code = (
        "from tests.kernel import test_assertions as t; from sim.kernel import pmap\n"
        "pmap.TLBSTATE_LAZY = pmap.TLBSTATE_VALID\n"
        "try: t.run()\n"
        "except t.KernelAssertion as e: print('loud', e)\n"
    )
    done = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("loud pmap_activate"), done.stderr


def test_the_command_ends_with_a_traceback_and_status_70(tmp_path):
    code = (
        "import sys; from sim.kernel import pmap; from sim.cli import main\n"
        "pmap.TLBSTATE_LAZY = pmap.TLBSTATE_VALID\n"
        f"sys.exit(main(['run', 'ping-pong', '--quiet', '--out', {str(tmp_path / 'out')!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 70, done.stderr
    assert "KernelAssertion: pmap_activate: ci_tlbstate is not VALID" in done.stderr
    assert not (tmp_path / "out" / "summary.json").exists()
