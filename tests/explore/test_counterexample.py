"""Counterexamples for people: what is told and what is folded, arrows between CPUs, pictures, the documentation's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scenarios.litmus_reader import find, read
from sim.explore.check import check, fingerprint
from sim.explore.counterexample import Counterexample, replay
from sim.explore.counterexample.page import render as render_page
from sim.explore.counterexample.picture import ARROWS, draw
from sim.explore.counterexample.races import arrows
from sim.explore.counterexample.rows import ALONE, rows
from sim.explore.counterexample.text import render
from sim.explore.fingerprint import Fingerprint
from sim.explore.request import Request
from sim.explore.run import KernelRun
from tests.explore.planted import planted

EXAMPLE = Path(__file__).parent.parent.parent / "docs" / "examples" / "no-second-look.txt"


@pytest.fixture(scope="module")
def second_look() -> Counterexample:
    return planted("no-second-look")


@pytest.fixture(scope="module")
def late_store() -> Counterexample:
    example = check(Request(find("exit-next-process"), "svs-netbsd8", "tso")).counterexample
    assert example is not None
    return example


def test_the_documentation_shows_what_is_printed(second_look: Counterexample) -> None:
    text = render(second_look)
    shown = text[text.index("        cpu0") : text.index("state at the end")]
    assert EXAMPLE.read_text(encoding="utf-8") == shown, "write it anew, and look whether litmus.rst still explains it"


def test_rows_are_all_steps_once_and_end_in_the_guilty_one(
    second_look: Counterexample, late_store: Counterexample
) -> None:
    for example in (second_look, late_store):
        shown = rows(example.steps)
        assert [n for row in shown for n in range(row.first, row.last + 1)] == [*range(1, len(example.steps) + 1)]
        assert [row.mark for row in shown].count("guilty") == 1
        assert shown[-1].mark == "guilty"
        assert sum(row.mark == "folded" for row in shown) > 3
        assert len(shown) < len(example.steps) * 0.75
        for row in shown:
            if row.mark == "folded":
                assert not any(step.changed for step in example.steps[row.first - 1 : row.last])
                assert {step.cpu for step in example.steps[row.first - 1 : row.last]} == {row.cpu}


def test_a_store_in_its_buffer_is_missed_by_the_read_before_it_drains(late_store: Counterexample) -> None:
    steps = late_store.steps
    missed = [arrow for arrow in arrows(steps) if arrow.kind == "missed" and arrow.what == "B.pm_pdir[1]"]
    assert missed
    for arrow in missed:
        drained = next(n for n, step in enumerate(steps, 1)
                       if any(line.startswith("store buffer drains: B.pm_pdir[1]") for line in step.lines))  # fmt: skip
        assert any("store B.pm_pdir[1]" in line for line in steps[arrow.tail - 1].lines)
        assert arrow.tail < arrow.head < drained
        assert steps[arrow.head - 1].cpu != steps[arrow.tail - 1].cpu
    assert f"does not see the store of step {missed[0].tail}" in " ".join(render(late_store).split())


def test_a_store_in_place_of_another_reads_nothing(second_look: Counterexample) -> None:
    """The planted kernel's store hides the directory's, and is what breaks the invariant."""
    (over,) = [arrow for arrow in arrows(second_look.steps) if arrow.kind == "over"]
    head, tail = second_look.steps[over.head - 1], second_look.steps[over.tail - 1]
    assert over.what == "cpu1 ci_svs_updir[1]"
    assert [line.partition(" ")[0] for line in head.lines] == ["svs_pmap_sync:write"]
    assert [line.partition(" ")[0] for line in tail.lines] == ["svs_pdir_switch:copy"]
    for arrow in arrows(second_look.steps):
        if arrow.kind == "seen":
            assert not any(f"store {arrow.what} = " in line for line in second_look.steps[arrow.head - 1].lines)


def test_the_first_entry_of_a_table_is_called_so() -> None:
    assert "A L1 0x0[0]" in {arrow.what for arrow in arrows(planted("clean-page-not-shot").steps)}


def test_interrupts_and_their_answers_have_arrows() -> None:
    def build(**more: bool) -> KernelRun:
        return KernelRun(find("remove-page"), "svs-netbsd9", tso=False, **more)

    run, choices = build(), list[int]()
    while enabled := run.enabled():
        choices.append(enabled[-1])  # interrupts as soon as they can
        run.step(choices[-1])
    steps, broken = replay(build, choices, Fingerprint().of, run.n)
    assert broken is None
    found = arrows(steps)
    sent = [arrow for arrow in found if arrow.kind == "interrupt"]
    assert sent
    for arrow in sent:
        assert any("IPI -> " in line for line in steps[arrow.tail - 1].lines)
        assert steps[arrow.head - 1].actor == "interrupt"
    answers = [arrow for arrow in found if arrow.kind == "seen" and arrow.what == "pmap_tlb_pendcount"]
    assert any(arrow.tail > sent[0].head and arrow.head > arrow.tail for arrow in answers)  # the sender waits for it


def test_what_is_on_a_stack_ends_where_its_procedure_returns() -> None:
    example = planted("dead-packet")
    (end,) = [arrow for arrow in arrows(example.steps) if arrow.kind == "ended"]
    assert (end.what, end.head) == ("cpu0.packet[0]", len(example.steps))
    assert example.steps[end.tail - 1].cpu == 0
    assert f"its procedure has returned in step {end.tail}" in " ".join(render(example).split())


def test_a_return_is_no_store_that_an_earlier_use_missed() -> None:
    """Whoever reads a packet while its sender waits has missed nothing."""
    assert not [arrow for arrow in arrows(planted("mailbox-not-released").steps)
                if arrow.kind == "missed" and arrow.what.startswith("cpu0.packet")]  # fmt: skip


def test_what_may_be_cached_says_since_when(second_look: Counterexample) -> None:
    held = second_look.since(1)
    assert any("B page" in kept.text and ", since step " in kept.text for kept in held)
    assert second_look.since(0)[0].text.endswith("since before the first step")


def test_the_page_has_every_row_and_its_links(second_look: Counterexample) -> None:
    page = render_page(second_look)
    shown = rows(second_look.steps)
    assert page.count('<div class="row ') == len(shown)
    assert page.count('class="link"') == sum(len(row.links) for row in shown)
    assert "show(states.length,true)" in page
    assert page.count('<div class="why">') == 1  # at the step at which the page opens


def test_a_token_is_tied_to_how_cpus_idle() -> None:
    """What decides executions and is not in the program's operations."""
    litmus = find("wake-across")
    other = replace(litmus, mwait=not litmus.mwait)
    assert fingerprint(litmus) != fingerprint(other)
    assert fingerprint(litmus) == fingerprint(replace(litmus, name="another", says="?"))


def test_a_token_is_of_one_set_of_pages() -> None:
    litmus = find("write-against-page-remove")
    assert litmus.shared
    assert litmus.unused
    others = [replace(litmus, shared={}), replace(litmus, unused=frozenset()), replace(litmus, kernel=1)]
    assert len({fingerprint(it) for it in (litmus, *others)}) == 4


def test_an_interrupt_in_which_it_breaks_has_its_arrow() -> None:
    example = planted("nmi-trusts-frame")
    (sent,) = [arrow for arrow in arrows(example.steps) if arrow.kind == "interrupt"]
    assert sent.head == len(example.steps)
    assert any("NMI -> {0}" in line for line in example.steps[sent.tail - 1].lines)
    assert example.steps[-1].lines[0].startswith("NMI lands on ")


def test_where_nothing_races_the_last_steps_are_told() -> None:
    example = planted("disable-not-awaited")
    assert not arrows(example.steps)
    folded, *told = rows(example.steps)[-ALONE - 1 :]
    assert folded.mark == "folded"
    assert [row.first for row in told] == [row.last for row in told]


def test_the_picture_has_every_kind_of_actor(late_store: Counterexample, tmp_path: Path) -> None:
    """A page walk, too, which few schedules keep."""
    examples = [planted("unshot-protection-clears-accessed"), planted("level-kept-after-handler"), late_store]
    assert {step.actor for example in examples for step in example.steps} == {
        "cpu", "interrupt", "page walk", "store buffer",
    }  # fmt: skip
    for number, example in enumerate(examples):
        assert all(path.stat().st_size for path in draw(example, tmp_path / f"{number}"))


def test_an_interrupt_that_has_nothing_to_do_with_it_is_left_out(tmp_path: Path) -> None:
    """Its handler passes the place where the NMI lands, too: steps cannot be counted, nor visits."""
    program = tmp_path / "own.toml"
    program.write_text(
        'says = ""\ncpus = 2\nslots = 1\n[pmaps]\nA = ["0.0", "0.1"]\n[[lwps]]\nname = "a"\ncpu = 0\npmap = "A"\n'
        'ops = ["syscall", "read 0.0"]\n[[lwps]]\nname = "b"\ncpu = 1\npmap = "A"\nops = ["nmi 0", "remove 0.1"]\n'
    )
    found = check(Request(read(program), "svs-netbsd8", "sc", mirror=False)).counterexample
    assert found is not None
    assert found.broken.invariant == "kernel-mapped"
    done = "; ".join(line for step in found.steps for line in step.lines)
    assert "NMI lands on a in kernel mode" in done
    assert "IPI" not in done
    assert "litmus:remove" not in done


@pytest.fixture(scope="module")
def masked() -> Counterexample:
    return planted("mailbox-spin-masked")


def test_an_interrupt_that_never_lands_is_pending_at_the_end(masked: Counterexample) -> None:
    (sent,) = [row for row in rows(masked.steps) if any("TLB IPI -> {1}" in line for line in row.lines)]
    assert (sent.lines[-1], sent.mark) == ("(still pending on cpu1 at the end)", "race")
    assert "cpu1 never takes the TLB IPI that is pending there" in masked.broken.reason
    assert masked.broken.reason.endswith("; cpu1 waits for itself")


def test_walks_that_come_with_a_flush_race_where_they_matter(
    masked: Counterexample, second_look: Counterexample
) -> None:
    """Both CPUs flush and load tables beside the other's zap of another page, which none of that has to do with."""
    assert {arrow.what for arrow in arrows(masked.steps)} == {"pmap_tlb_pendcount"}
    (late,) = [
        arrow for arrow in arrows(second_look.steps) if arrow.what == "cpu1 ci_svs_updir[1]" if arrow.kind == "missed"
    ]
    assert any("CR3 = cpu1 ci_svs_updir" in line for line in second_look.steps[late.head - 1].lines)
    for example in (masked, second_look):
        walking = {n for n, step in enumerate(example.steps, 1) if step.walked}
        assert walking
        assert not [arrow for arrow in arrows(example.steps) if arrow.kind == "seen" and arrow.head in walking]


def test_the_step_that_breaks_says_what_it_frees_and_releases() -> None:
    assert planted("page-freed-before-update").steps[-1].changed == ("A page 0x3a000 is freed",)
    assert planted("owner-back-before-flush").steps[-1].lines == (
        "uvm_fault_internal:mutex_exit: anon-0x3b000.am_lock",
    )


def test_a_store_says_when_it_drains(late_store: Counterexample) -> None:
    told = {row.first: row.lines for row in rows(late_store.steps) if row.mark != "folded"}
    drains = [(n, line) for n, lines in told.items() for line in lines if "(drains in step " in line]
    assert drains
    for number, line in drains:
        drained = int(line.rpartition("step ")[2].rstrip(")"))
        assert late_store.steps[drained - 1].actor == "store buffer"
        assert drained > number + 1
        if drained in told:
            assert told[drained][0].endswith(f"(stored in step {number})")


def test_a_translation_that_the_tables_no_longer_have_is_marked() -> None:
    held = [kept for cpu in range(3) for kept in planted("packet-before-claim").since(cpu)]
    assert any(kept.stale for kept in held)
    assert any(not kept.stale for kept in held)
    for kept in held:
        assert kept.stale == kept.text.startswith(("0.1 -> ", "kernel memory 0 -> "))  # what is shot down
        assert kept.stale == ("; gone from the tables)" in kept.text)
    (freed, *_) = [kept.text for kept in planted("dead-packet").since(1) if "freed" in kept.text]
    assert freed.startswith("0.1 -> A page 0x3c000 (writable, PCID 0; freed), since")


def test_who_spins_waits_for_a_pending_interrupt_only_if_it_is_a_shootdown() -> None:
    reason = planted("barrier-not-locked").broken.reason
    assert "never takes the reschedule IPI" in reason
    assert "waits for itself" not in reason
    assert "cycle" not in reason


def test_the_picture_has_room_for_a_long_reason(masked: Counterexample, tmp_path: Path) -> None:
    """Above the legend, which lies below all else."""
    short = replace(masked, broken=masked.broken._replace(reason="it hangs"))
    pictures = [
        draw(example, tmp_path / name)[0].read_bytes() for name, example in (("long", masked), ("short", short))
    ]
    long, brief = (int.from_bytes(picture[20:24]) for picture in pictures)  # height, in a PNG's header
    assert long - brief > 30


def test_arrows_differ_in_more_than_colour() -> None:
    assert len({style for _, style, _ in ARROWS.values()}) == len(ARROWS)
