"""One passage recorded while it happens in the plain way: its steps, what they led to, and what they were charged."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Any

from sim.hardware.memory import WORDS_PER_LINE, Words
from sim.hardware.steps import (
    ACCESS,
    ACQUIRE,
    CLI,
    COST,
    CR3,
    INVLPG,
    INVPCID,
    LOAD,
    PGE,
    REG,
    RELEASE,
    RMW,
    SPL,
    STI,
    STORE,
    TOUCH,
    USER,
    WORK,
    Op,
    Proc,
    Step,
)  # fmt: skip
from sim.kernel.lwp import Lwp
from sim.timed.ledger import CHARGE
from sim.timed.meter import NO_DEBT
from sim.timed.parts import Parts
from sim.timed.passages.passage import Counts, Entry, Line, Made, Passage, Sample
from sim.timed.passages.views import constant
from sim.timed.passages.watch import Watch
from sim.timed.recorder import Recorder

REGISTERS = (CLI, STI, SPL, REG, CR3, PGE, INVLPG, INVPCID)
KNOWN = (ACCESS, TOUCH, *REGISTERS, LOAD, STORE, RMW, ACQUIRE, RELEASE, COST, WORK, USER)
RECORDED = len(Op) + 1  # a step of the driver's own, [recording, step]: the step, looked at as it is made
UNSEEN: dict[int, Any] = {ACCESS: None, TOUCH: -1}  # what they send back where nothing faults


def rest(procedure: Proc, sent: Any) -> Proc:
    """Go on with a procedure that has begun."""
    while True:
        try:
            step = procedure.send(sent)
        except StopIteration as end:
            return end.value
        sent = yield step


class Recording:
    """Records one passage on one CPU; *done* is called with it, or with why there is none.

    Others may act between its steps: each step is looked at while it is made, by :meth:`make`.
    """

    def __init__(
        self, parts: Parts, pending: Sized, recorder: Recorder, lwp: Lwp, done: Callable[[Passage | str], None]
    ) -> None:
        self._parts = parts
        self._pending = pending
        self._recorder = recorder
        self._lwp = lwp
        self._done = done
        self._watch = Watch(recorder)
        self._entries: list[Entry] = []
        self._lines: dict[tuple[int, int, bool], Line] = {}
        self._mutexes: dict[int, Any] = {}
        self._account = parts.account
        self._tally = parts.account.charging
        self._pcid = parts.core.cpu.pcid
        self._made: Made | None = None
        self._over = False

    def steps(self, procedure: Proc, roots: tuple[Any, ...]) -> Proc:
        """The procedure's steps, recorded as far as that can be."""
        watch, sent = self._watch, None
        try:
            for root in (self._parts.core.cpu, *roots):
                if not constant(root) and not watch.reach(root):
                    watch.fail(f"{root!r} is handed in")
            while True:
                before = self._sample()
                try:
                    step = watch.resume(procedure, sent)
                except StopIteration as end:
                    self._finish(end.value, before)
                    return end.value
                asked = self._sample()
                self._tally = self._account.charging
                self._look_at(step)
                if watch.failed:  # whatever comes meanwhile need not be watched
                    self._give_up()
                    sent = yield step
                    break
                self._made = None
                sent = yield RECORDED, step[1], self, step
                self._note(step, sent, before, asked, self._made or self._lasted(step, asked))
                if self._watch.failed:
                    break
        finally:
            watch.close()
        self._give_up()
        return (yield from rest(procedure, sent))

    @property
    def over(self) -> bool:
        """Whether nothing is recorded any more."""
        return self._watch.closed

    def make(self, step: Step) -> int:
        """Make a step as the driver would; one that lasts is made by the driver itself."""
        watch, parts, op = self._watch, self._parts, step[0]
        cycles = watch.make(parts.steps.handlers[op], step, live=self._translates(step))
        if cycles >= 0:
            stored = None
            if op in (STORE, RMW):
                stored = step[2].v[step[3]]
                watch.changed(step[2].v, step[3], stored)
            self._made = Made(cycles, stored, self._sample())
        elif op not in (WORK, USER):
            watch.fail("a step that lasts")
        return cycles

    def _lasted(self, step: Step, asked: Sample) -> Made:
        """Computing that had to wait for the end of its time; whatever else lasts has failed the watch."""
        if step[0] not in (WORK, USER):
            return Made(0, None, asked)
        after, cycles = self._sample(), step[2]
        if _difference(asked.charges, after.charges) != {step[1].cause: CHARGE + cycles}:
            self._watch.fail("disturbed")
        return Made(cycles, None, after._replace(counts=asked.counts))

    def _give_up(self) -> None:
        """Watch no more; only the first time does anything."""
        self._watch.close()
        if not self._over:
            self._over = True
            self._done(self._watch.failed)

    # --- what is there ----------------------------------------------------------------------------------------------

    def _sample(self) -> Sample:
        core = self._parts.core
        used = next(reversed(core.cpu.tlb.known.noted), None), self._parts.steps.caches.now
        return Sample(
            self._parts.clock.cycle, dict(self._account.charging), core.debt[0], dict(self._recorder.counters), used
        )

    def _translates(self, step: Step) -> bool:
        """Whether what the step costs, and which cause is charged, differs from one time to another."""
        op = step[0]
        return op in UNSEEN or op is COST and step[2] in self._parts.steps.descriptors

    def _pages(self, step: Step) -> tuple[tuple[int, tuple[int, int]], ...]:
        """What it translates."""
        mode, op = self._parts.core.cpu.pcid << 1, step[0]
        if op is COST:
            return tuple((mode, pair) for pair in self._parts.steps.descriptors[step[2]])
        pairs = [(step[2], step[3])] if op is ACCESS else step[2][step[3] :]
        return tuple((mode | step[4], pair) for pair in pairs)

    def _fixed(self, step: Step) -> tuple[int, Counts, int]:
        """What a cost comes to without the reads before it: cycles, charges, and what the LWP owes."""
        cycles, cause = self._parts.steps.costs[step[2]], step[1].cause
        if not cycles:
            return 0, {}, 0
        return cycles, {cause: CHARGE + cycles}, cycles * ((cause not in NO_DEBT) + (cause == "kernel work"))

    def _undisturbed(self, time: int) -> bool:
        """Whether it is *time* and no later: nothing else has been done on this CPU, and nothing waits to be."""
        return (
            not self._pending
            and self._parts.core.lwp is self._lwp
            and self._account.charging is self._tally
            and self._parts.clock.cycle == self._account.until == time
        )

    # --- steps ------------------------------------------------------------------------------------------------------

    def _look_at(self, step: Step) -> None:
        """Fail unless the step that is about to be made can be part of a passage; note what it needs."""
        watch, op = self._watch, step[0]
        if op not in KNOWN:
            watch.fail(f"a step {op.name}")
        for operand in step[2:]:
            if not watch.admits(operand):
                watch.fail(f"{op.name} of something new")
        if watch.failed:
            return
        if op in (LOAD, STORE, RMW):
            self._need_word(step[2], step[3], write=op is not LOAD, read=op is not STORE)
        elif op is ACQUIRE:
            self._need_mutex(step[2])
        elif op is RELEASE and step[2].waiters:
            watch.fail("a mutex that is handed over")

    def _need_word(self, words: Words, at: int, *, write: bool, read: bool) -> None:
        watch, values = self._watch, words.v
        watch.read("attribute", words, "v", values)
        if read:
            watch.read("item", values, at, values[at])
        self._need_line(words, at // WORDS_PER_LINE, write=write)

    def _need_line(self, words: Words, line: int, *, write: bool) -> None:
        index = self._parts.core.index
        here = words.sharers.get(line, 0)
        mine = here == 1 << index and words.owner.get(line) == index if write else here >> index & 1
        if words.shared and not mine or write and id(words) in self._parts.steps.watchers:
            self._watch.fail("a line that is not here")
        self._lines[id(words), line, write] = Line(words, line, write)

    def _need_mutex(self, mutex: Any) -> None:
        if mutex.owner is not None or mutex.waiters:
            self._watch.fail("a mutex that is held")
        self._watch.reach(mutex.word)
        self._mutexes[id(mutex)] = mutex
        self._need_line(mutex.word, 0, write=True)

    def _note(self, step: Step, sent: Any, before: Sample, asked: Sample, made: Made) -> None:
        """The step is over."""
        watch, op = self._watch, step[0]
        live, after = self._translates(step), made.after
        if not self._undisturbed(asked.time + made.cycles):
            watch.fail("disturbed")
        if _spent(before, asked):
            watch.fail("the procedure itself spends time")
        until = asked if live else after
        charges = _difference(asked.charges, until.charges)
        cycles, owed = 0 if live else made.cycles, until.owed - asked.owed
        if live and op is COST:
            cycles, charges, owed = self._fixed(step)
        if set(charges) - {step[1].cause}:
            watch.fail("a step that costs more than itself")
        if not live and before.used != after.used:
            watch.fail("a step that uses pages or caches")
        if op in UNSEEN and sent != UNSEEN[op] or watch.show(sent) is not sent:
            watch.fail(f"{op.name} gives something new")
        if not watch.admits(made.stored):
            watch.fail("something new is stored")
        counts = _difference(before.counts, until.counts)
        pages = self._pages(step) if live else ()
        counted = _difference(before.counts, asked.counts)
        self._entries.append(
            Entry(step, watch.sections[-1], counted, sent, cycles, charges, owed, counts, made.stored,
                  tuple(watch.marks), pages)
        )  # fmt: skip
        watch.begin_section()

    def _finish(self, value: Any, before: Sample) -> None:
        """The procedure has ended."""
        watch = self._watch
        after = self._sample()
        watch.close()
        if value is not None:
            watch.fail("the procedure returns something")
        if _spent(before, after):
            watch.fail("the procedure itself spends time")
        if not self._entries:
            watch.fail("no steps")
        if watch.failed:
            self._done(watch.failed)
            return
        self._done(
            Passage(
                self._entries, watch.reads, list(self._lines.values()), list(self._mutexes.values()),
                _difference(before.counts, after.counts), list(watch.writes.values()), self._account.current,
                tuple(watch.marks), watch.sections[-1], self._pcid,
            )
        )  # fmt: skip


def _spent(before: Sample, after: Sample) -> bool:
    """Whether time has passed, or somebody owes more."""
    return before.time != after.time or before.owed != after.owed


def _difference(before: Counts, after: Counts) -> Counts:
    """What was added; mostly nothing."""
    if before == after:
        return {}
    return {name: n - before.get(name, 0) for name, n in after.items() if n != before.get(name, 0)}
