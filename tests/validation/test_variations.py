"""Variations of designs, each seen by exactly what it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.behaviours import load_behaviour
from sim.errors import InputError
from sim.timed.paired import RunResult, check_profile, run_paired
from tests.validation.invented import WORKLOAD

THREADS = (
    WORKLOAD.replace("cpus = 1", "cpus = 4").replace('name = "caller"', 'name = "caller"\nbind = [0]')
    + """
[[group]]
name = "spinner"
shares = "caller"
lwps = 2
bind = [1, 2]
iterations = 1
burst = "1 ms"
pages_per_burst = 1
"""
)


def run(folder: Path, text: str, profile: str, **overrides: object) -> RunResult:
    """The workload under one profile, skylake-client, PCID."""
    path = folder / "workload.toml"
    path.write_text(text, encoding="utf-8")
    scenario = load_behaviour(path, overrides={key.replace("__", "."): value for key, value in overrides.items()})
    pair = run_paired(
        scenario.source, profile=profile, baseline="none", pcid=True, cpus=scenario.cpus, costs=scenario.costs,
        seed=0,
    )  # fmt: skip
    assert pair.profile.conserved
    return pair.profile


def test_the_limit_of_pages_decides_between_pages_and_everything(tmp_path: Path) -> None:
    pages = {"group__0__syscalls__0__pages": "3 pages"}
    few = run(tmp_path, WORKLOAD, "none+max-pages-2", **pages)
    many = run(tmp_path, WORKLOAD, "none+max-pages-3", **pages)
    assert few.counters.get("INVLPG", 0) == 0
    assert few.frames["shootdowns"]["pages"] == [-1] * 5
    assert many.counters["INVLPG"] == 15
    assert many.frames["shootdowns"]["pages"] == [3] * 5


def test_a_deferred_flush_is_one_flushing_load_in_place_of_invpcids(tmp_path: Path) -> None:
    pages = {"group__0__syscalls__0__pages": "3 pages"}
    now = run(tmp_path, WORKLOAD, "pti", **pages)
    later = run(tmp_path, WORKLOAD, "pti+defer-user-flush", **pages)
    assert now.counters["INVPCID address"] == 15
    assert "INVPCID address" not in later.counters
    assert later.counters["INVLPG"] == now.counters["INVLPG"] == 15
    assert later.counters["CR3 writes, flush"] - now.counters["CR3 writes, flush"] == 5
    # Each of the five bursts that follow walks for all of its 10 data pages, the stack and the 2 pages of text.
    assert later.counters["page walks, user"] > now.counters["page walks, user"]


def test_without_global_pages_every_load_forgets_the_entry(tmp_path: Path) -> None:
    path = tmp_path / "workload.toml"
    path.write_text(WORKLOAD, encoding="utf-8")
    scenario = load_behaviour(path)
    walks = {}
    for profile in ("pti+no-global", "pti", "pti+text-global"):
        pair = run_paired(scenario.source, profile=profile, baseline="none", pcid=False, cpus=1,
                          costs=scenario.costs, seed=0)  # fmt: skip
        walks[profile] = pair.profile.counters["page walks, kernel"]
    assert walks["pti+no-global"] > walks["pti"] > walks["pti+text-global"]


def test_each_page_of_text_is_walked_for_unless_text_is_global(tmp_path: Path) -> None:
    """Three pages of kernel text more, without PCID: three walks more for each of five calls, and a few others."""
    path = tmp_path / "workload.toml"
    path.write_text(WORKLOAD, encoding="utf-8")
    more = {}
    for profile in ("pti", "pti+text-global"):
        walks = []
        for pages in (1, 4):
            scenario = load_behaviour(path, overrides={"kernel_pages.text": pages})
            pair = run_paired(scenario.source, profile=profile, baseline="none", pcid=False, cpus=1,
                              costs=scenario.costs, seed=0)  # fmt: skip
            walks.append(pair.profile.counters["page walks, kernel"])
        more[profile] = walks[1] - walks[0]
    assert 3 * 5 <= more["pti"] <= 3 * 20
    assert more["pti+text-global"] <= 3


def test_the_order_of_flush_and_ipi_is_seen_by_the_initiator(tmp_path: Path) -> None:
    """Local first costs up to one INVLPG more (194 cycles), less what the acks' cache line costs one who looks early.

    Early acknowledgement saves the receiver's INVLPG, less a few instructions and two more cache lines (of 75 cycles):
    the packet's copy, and the word that the initiator waits for.
    """
    totals = {}
    for profile in ("none+local-first", "none", "none+early-ack"):
        frame = run(tmp_path, THREADS, profile).frames["shootdowns"]
        rows = zip(frame["pages"], frame["targets"], frame["total_cycles"], frame["local_cycles"], strict=True)
        full = [(total, local) for pages, targets, total, local in rows if pages == 1 and targets == 2]
        assert {local for _, local in full} == {194}
        totals[profile] = min(int(str(total)) for total, _ in full)
    assert 0 < totals["none+local-first"] - totals["none"] <= 194
    assert 194 - 2 * 75 - 20 <= totals["none"] - totals["none+early-ack"] < 194


def test_names_are_checked() -> None:
    assert check_profile("pti+no-global+max-pages-33") == "pti+no-global+max-pages-33"
    with pytest.raises(InputError, match="unknown variation 'no-globals'"):
        check_profile("pti+no-globals")
    with pytest.raises(InputError, match="'defer-user-flush' is for the profile pti, not for svs-netbsd9"):
        check_profile("svs-netbsd9+defer-user-flush")
    with pytest.raises(InputError, match="unknown profile 'ptti'.*did you mean 'pti'"):
        check_profile("ptti+no-global")


def test_sharing_an_address_space_is_checked(tmp_path: Path) -> None:
    for wrong, message in (
        ('shares = "nobody"', "no group is named 'nobody'"),
        ('shares = "spinner"', "must be another user group"),
        ('shares = "caller"\nprocesses = 2', "'caller' has 1 processes and not 2"),
    ):
        path = tmp_path / "workload.toml"
        path.write_text(THREADS.replace('shares = "caller"', wrong), encoding="utf-8")
        with pytest.raises(InputError, match=message):
            load_behaviour(path)


def test_queues_have_no_mailbox_and_one_ipi_for_each_target(tmp_path: Path) -> None:
    """Five discards, two spinners: nobody waits for a mailbox, and each target is told and unlocks its entry."""
    found = run(tmp_path, THREADS, "pti+call-queues")
    assert found.counters["TLB shootdown"] == 5
    assert found.counters["TLB shootdown interrupts"] == 10
    assert found.ledger["shootdown mailbox wait"] == (0, 0)
    assert found.ledger["shootdown ack wait"][1] > 0
    assert found.frames["shootdowns"]["targets"] == [2] * 5


def test_a_serial_queue_flushes_before_it_sends(tmp_path: Path) -> None:
    serial, concurrent = (run(tmp_path, THREADS, f"pti+{name}") for name in ("serial-call-queues", "call-queues"))
    assert serial.counters["INVLPG"] == concurrent.counters["INVLPG"] == 5 + 10
    assert sum(serial.frames["shootdowns"]["total_cycles"]) > sum(concurrent.frames["shootdowns"]["total_cycles"])


EVERYBODY = WORKLOAD.replace("cpus = 1", "cpus = 4").replace(
    'name = "caller"', 'name = "caller"\nlwps = 4\nbind = [0, 1, 2, 3]\nown_pages = true'
)


def test_many_initiators_share_a_targets_interrupts(tmp_path: Path) -> None:
    """Every CPU flushes at once: a queue takes several calls for one interrupt, and who has flushed behind several
    changes skips the calls that tell of them; both engines agree on everything."""
    path = tmp_path / "workload.toml"
    path.write_text(EVERYBODY, encoding="utf-8")
    scenario = load_behaviour(path)
    fast, plain = (
        run_paired(
            scenario.source, profile="pti+call-queues", baseline="none", pcid=True, cpus=4, costs=scenario.costs,
            seed=0, engine=engine,
        ).profile
        for engine in ("fast", "plain")
    )  # fmt: skip
    assert (fast.elapsed_cycles, fast.ledger, fast.counters) == (plain.elapsed_cycles, plain.ledger, plain.counters)
    assert fast.conserved
    told = sum(int(str(targets)) for targets in fast.frames["shootdowns"]["targets"])
    assert 0 < fast.counters["TLB shootdown interrupts"] < told
    assert 0 < fast.counters["INVLPG"] < 20 + told
