"""Counterexamples call values, addresses and pages by their names."""

from __future__ import annotations

import re

import pytest

from scenarios.litmus_reader import find
from sim.explore.counterexample.text import render
from sim.explore.named import Named, address, cpu_set
from sim.explore.run import KernelRun
from tests.explore.planted import planted


def test_values_have_names() -> None:
    run = KernelRun(find("switch-pmaps"), "svs-netbsd9", tso=False)
    k, named = run.machine.kernel, Named(run.machine.kernel, run.machine.mem)
    pmap, ci = run.state.pmaps["A"], k.cpus[0]
    assert [cpu_set(mask) for mask in (0, 1, 2, 5)] == ["{}", "{0}", "{1}", "{0,2}"]
    assert named.word(pmap.pm_cpus, 3) == "{0,1}"
    assert [named.word(ci.ci_tlbstate, value) for value in (0, 1, 2)] == ["VALID", "LAZY", "STALE"]
    assert named.word(ci.ci_pmap, pmap.number) == "A"
    assert named.word(ci.ci_curlwp_word, ci.ci_idlelwp.number) == "idle/0"
    assert named.word(pmap.pm_pdir, pmap.pm_pdir.v[0]) == "A L2 0x0 (P W U)"
    assert named.word(pmap.pm_pdir, 0) == "0"
    assert named.word(k.pmap_tlb_pendcount, 12) == "0xc"
    lock = run.state.lwps["a"].l_proc.vm_map_lock.rw_owner
    assert [named.word(lock, value) for value in (0, 4, 32, 66)] == [
        "nobody", "a writer", "1 reader", "2 readers, a writer waits",
    ]  # fmt: skip


def test_addresses_have_the_names_that_programs_give_them() -> None:
    litmus = find("kernel-page-reused")
    k = KernelRun(litmus, "svs-netbsd9", tso=False).machine.kernel
    layout = k.layout
    assert [address(k, litmus.va(*place)) for place in ((0, 0), (0, 1))] == ["0.0", "0.1"]
    assert address(k, k.kmem.va(0)) == "kernel memory 0"
    assert [address(k, va) for va in (layout.utls, layout.kernel_data)] == ["UTLS", "kernel data"]
    assert address(k, layout.text_user + 4096) == ".text.user page 1"
    assert [address(k, layout.entry_page(1, what)) for what in ("tss", "rsp0")] == ["cpu1 tss", "below cpu1 rsp0"]
    assert address(k, 0x1008) == "0x1008"  # no page


def test_a_freed_table_has_its_name() -> None:
    example = planted("everything-counts-as-user-page")
    assert "can still walk through table A L2 0x0, which was freed" in example.broken.reason
    assert "may have cached table A L2 0x0 (PCID 0), freed, since" in render(example)
    assert any("A L2 0x0 is freed" in step.changed for step in example.steps)


@pytest.mark.parametrize(
    "name", ["dead-packet", "scratch-not-cleared", "page-freed-before-update", "packet-before-claim"]
)
def test_no_address_stands_alone_that_has_a_name(name: str) -> None:
    """Only pages that share a name are told apart by their addresses."""
    text = " ".join(re.sub(r"--replay \S+", "", render(planted(name))).split())
    assert not re.findall(r"(?<!page )(?<!anon-)0x[0-9a-f]{4,}", text)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("wire-count-lost", "at rest the wire count of A L1 is 1, but 2 by the tables"),
        ("text-user-too-long", "cpu1: the kernel's page kernel data is reachable in user mode"),
        ("kernel-address-free-too-early", "cpu1 in kernel:kzalloc may hit a writable TLB entry kernel memory 0 -> "
         "a freed page 0x36000 that pmap kernel no longer has and in whose place pmap_enter has put another page"),
        ("rsp0-not-flushed", "cpu0 in leave:pop frame: the TLB may hold kstack a for cpu0 rsp0, where the tables have "
         "kstack b"),
    ],
)  # fmt: skip
def test_reasons_name_pages(name: str, reason: str) -> None:
    assert planted(name).broken.reason == reason
