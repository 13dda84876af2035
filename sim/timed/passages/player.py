"""Plays passages on one CPU, and decides which are worth recording."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence, Sized
from functools import partial
from typing import Any

from sim.errors import ModelError
from sim.hardware.steps import ACCESS, TOUCH, Proc, Step
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import Lwp
from sim.timed.parts import Parts
from sim.timed.passages.ahead import Stretch
from sim.timed.passages.aside import ASIDE, Aside
from sim.timed.passages.at_once import PASS, at_once
from sim.timed.passages.counting import Counting
from sim.timed.passages.passage import Passage
from sim.timed.passages.played import DIFFERS, LATE, Played, added
from sim.timed.passages.recording import Recording, rest
from sim.timed.passages.rewinding import resumed, unheard
from sim.timed.passages.source import Machine, Source
from sim.timed.passages.walking import Ground, Walk, can_be_walked
from sim.timed.quick_steps import lasts
from sim.timed.recorder import Recorder

OFTEN = 3  # so many times a procedure has to be called before it is recorded
KINDS = 256  # procedures with arguments known of an LWP
MOST = 4  # passages kept of one procedure
LATE_OFTEN = 32  # so many times there has to be no room for a passage before it is walked
TRIES = 12  # recordings tried of one procedure


class Calls:
    """What is known of one procedure with its arguments."""

    __slots__ = ("made", "passages", "tries")

    def __init__(self) -> None:
        self.made = 0
        self.tries = 0
        self.passages: list[Played] = []

    def worth_a_try(self) -> bool:
        """Whether to record it now: the more recordings were of no use, the less often."""
        return self.made >= OFTEN << self.tries and self.tries < TRIES and len(self.passages) < MOST


class Player:
    """Plays the passages of one CPU.

    Attributes:
        played, left: how often a passage was played to its end, and only in part.
        walked, resumed: how often one was made step by step, and how often the procedure itself had to go on.
        recorded, failed: how many there are, and how often something could not be recorded, by reason.
    """

    def __init__(self, parts: Parts, kernel: Kernel, pending: Sized, recorder: Recorder, aside: Aside) -> None:
        self._parts = parts
        self._kernel = kernel
        self._pending = pending
        self._recorder = recorder
        self._aside = aside
        self.counting = Counting(parts, pending, recorder, aside)
        self.at_once = at_once(parts, pending, self.counting.log)
        self._calls: dict[Lwp, dict[Any, Calls]] = {}
        self._clock = parts.clock
        self._account = parts.account
        self._queue = parts.clock.waiting()
        self._recording: Recording | None = None
        self.played = 0
        self.recorded = 0
        self.left = 0
        self.walked = 0
        self.resumed = 0
        self.failed: dict[str, int] = {}
        parts.steps.handlers += [self._pass, _make_recorded, lasts]

    def _pass(self, step: Step) -> int:
        """The handler of PASS."""
        self._parts.core.value = step[2]
        return step[1]  # type: ignore[no-any-return]

    def forget(self, lwp: Lwp) -> None:
        """The LWP is gone."""
        self._calls.pop(lwp, None)

    def steps(self, procedure: Callable[..., Proc], k: Kernel, lwp: Lwp, others: tuple[Any, ...]) -> Any:
        """The steps of a procedure that are left to be made one by one."""
        account = self._account
        now: int = self._clock._now  # type: ignore[assignment]
        if self._pending or now != account.until:
            return procedure(k, lwp, *others)
        if self.counting.due is not None:
            return self._stand_aside(lwp, self.counting.due)
        try:
            calls = self._calls[lwp][procedure, others]
        except KeyError:
            calls = self._calls_of(lwp, (procedure, others))
        if calls.passages:
            limit = account.window_end
            if now >= limit:
                account.close_window(now)
                limit = account.window_end
            if self._queue and self._queue[0][0] < limit:
                limit = self._queue[0][0]
            for played in calls.passages:
                if self._aside.away:
                    self._aside.call_near(played.changed)
                if now + played.cycles >= limit and played.walk is not None and len(calls.passages) == 1:
                    self.walked += 1
                    return played.walk(lambda: procedure(k, lwp, *others))
                result = played.play(now, limit)
                if result is None:
                    self.played += 1
                    self.counting.log.append(played)
                    return ()
                if result is LATE:
                    return self._late(played, lambda: procedure(k, lwp, *others))
                if result is not DIFFERS:
                    return result
        calls.made += 1
        if calls.worth_a_try() and (self._recording is None or self._recording.over):
            return self._record(calls, procedure, k, lwp, others)
        return procedure(k, lwp, *others)

    def _stand_aside(self, lwp: Lwp, stretch: Stretch) -> Proc:
        """Stand aside instead of making the first operation of a stretch."""
        core, counting = self._parts.core, self.counting
        counting.due = None
        slow = core.slow
        yield ASIDE, None, stretch
        core.slow = slow  # only time has passed
        counting.take(lwp, stretch)

    def _late(self, played: Played, begin: Callable[[], Proc]) -> Proc:
        """The steps of a passage for which there is no room."""
        if played.walk is None:
            played.late += 1
            if played.late < LATE_OFTEN or not can_be_walked(played.passage):
                return begin()
            played.walk = Walk(played.passage, self._ground(played)).function()
        self.walked += 1
        return played.walk(begin)

    def _ground(self, played: Played) -> Ground:
        parts, core, passage = self._parts, self._parts.core, played.passage

        def resume(made: int, begin: Callable[[], Proc], sent: Any) -> Proc:
            self.resumed += 1
            core.slow += 1
            self._aside.call_all()
            return resumed(passage, made, begin(), sent, self._kernel, core.cpu)

        return Ground(
            cpu=core.cpu, core=core, clock=parts.clock, account=parts.account, queue=self._queue,
            pending=self._pending, watchers=parts.steps.watchers, ci=core.ci, add=self._recorder.count,
            hooks=self._recorder, handlers=parts.steps.handlers, resume=resume,
            caches=parts.steps.caches, walked=partial(self._walked, played),
        )  # fmt: skip

    def _over(self, played: Played, took: int) -> None:
        """A passage was played for which translations were looked up, but nothing walked for: that changed no more."""
        self._parts.core.slow -= 1
        if took == played.cycles:
            played.merge(self._parts.core.cpu.tlb.known, self._parts.steps.caches)

    def _walked(self, played: Played, was: tuple[int, int, int, int], yielded: int, start: int, cached: object) -> None:
        """A walk is over: see whether it came to the same as if the passage had been played in the short way."""
        core, known, caches = self._parts.core, self._parts.core.cpu.tlb.known, self._parts.steps.caches
        (slow, walks, refilled, pcid), took = was, self._clock._now - start
        refills = core.refilled - refilled
        in_time = took == played.cycles + refills and core.walks == walks and caches.now is cached
        own = played.pairs is not None and pcid == played.passage.pcid
        if not own or core.slow != slow + yielded or not in_time:  # more than its own steps
            core.slow += 1
            return
        core.slow = slow
        self.counting.log.append(played)
        self.counting.disturbed = True
        found = known.sequences.get(id(played))
        if not refills and (found is None or found[0] is not played or found[2].cached is not cached):
            played.merge(known, caches)

    def _calls_of(self, lwp: Lwp, key: Any) -> Calls:
        """What is known of a procedure that the LWP calls."""
        mine = self._calls.get(lwp)
        if mine is None:
            mine = self._calls[lwp] = {}
        found = mine.get(key)
        if found is None:
            if len(mine) >= KINDS:  # a program whose operations hardly ever come again
                mine.clear()
            found = mine[key] = Calls()
        return found

    def _record(
        self, calls: Calls, procedure: Callable[..., Proc], k: Kernel, lwp: Lwp, others: tuple[Any, ...]
    ) -> Proc:
        """The procedure's steps, recorded on the way."""
        calls.tries += 1

        def done(passage: Passage | str) -> None:
            if isinstance(passage, str):
                self.failed[passage] = self.failed.get(passage, 0) + 1
                return
            self.recorded += 1
            played = Played(passage, self._parts.core.cpu)
            machine = self._machine(lambda: procedure(k, lwp, *others))
            played.play = Source(played, machine).function()
            played.stands = partial(_stands, played, machine)
            calls.passages.append(played)

        self._recording = recording = Recording(self._parts, self._pending, self._recorder, lwp, done)
        return recording.steps(procedure(k, lwp, *others), (k, lwp, *others))

    def _machine(self, begin: Callable[[], Proc]) -> Machine:
        parts, steps, ci = self._parts, self._parts.steps, self._parts.core.ci
        access, touch = (steps.handlers[op] for op in (ACCESS, TOUCH))

        def stop(played: Played, number: int, now: int) -> Proc:
            parts.clock._now = parts.account.until = now
            return self._left(played.passage, number, begin)

        def left(played: Played, number: int, cycles: int) -> Proc:
            entry = played.passage.entries[number]
            if entry.cycles:  # a cost, after what was read
                parts.account.until += entry.cycles
                parts.account.current = entry.step[1].cause
            return self._left(played.passage, number + 1, begin, cycles + entry.cycles)

        return Machine(
            cpu=parts.core.cpu, core=parts.core, clock=parts.clock, queue=self._queue, account=parts.account,
            watchers=steps.watchers, locks=steps.locks, ci=ci, add=self._recorder.count, access=access, touch=touch,
            reads=steps.descriptors, hooks=self._recorder, caches=steps.caches,
            known=parts.core.cpu.tlb.known, over=self._over, left=left, stop=stop,
            longest=_longest(steps.costs, max(steps.far), parts.core.cpu.geometry.levels),
        )  # fmt: skip

    def _left(self, passage: Passage, made: int, begin: Callable[[], Proc], cycles: int = 0) -> Proc:
        """So many steps of a passage are made, the last of which still takes *cycles*; what is left of it.

        A new generator is brought to that point by what was recorded: the kernel's objects are as they were at the
        passage's beginning, and its hooks have heard nothing.
        """
        entries, core = passage.entries[:made], self._parts.core
        self.left += 1
        marked = max((n for n, entry in enumerate(entries) if entry.marks), default=0)
        tally = self._account.charging
        for cause, charged in added([entry.charges for entry in entries[marked:]]).items():
            tally[cause] = tally.get(cause, 0) + charged
        core.debt[0] += sum(entry.owed for entry in entries)
        for name, n in added([entry.counts for entry in entries]).items():
            self._recorder.count(core.ci, name, n)
        procedure, sent = begin(), None
        with unheard(self._kernel):
            for entry in entries:
                if procedure.send(sent)[:2] != entry.step[:2]:
                    raise ModelError(f"{entry.step[1]}: a passage is not what was recorded")
                sent = entry.result
        value, core.value = core.value, None
        return _passing(cycles, procedure, value if made and entries[-1].step[0] in (ACCESS, TOUCH) else sent)


def _stands(played: Played, machine: Machine, time: object) -> bool:
    """Whether all that a passage needs is there; what looks for that is made when it is first asked for."""
    played.stands = Source(played, machine).check()
    return played.stands(time)


def _longest(costs: Mapping[str, int], far: int, levels: int) -> int:
    """The most that the translation of one page can take, cycles: two walks of a guest, and all loads far away."""
    loads = 2 * (levels + 1) ** 2
    return costs["stlb_hit_data"] + costs["walk_base"] + loads * (costs["walk_load"] + far)


def _make_recorded(step: Step) -> int:
    """The handler of RECORDED."""
    return step[2].make(step[3])  # type: ignore[no-any-return]


def lasting(handlers: Sequence[Any]) -> list[Any]:
    """What makes PASS, which never lasts, and RECORDED where the step within it lasts, by those of the CPU."""

    def recorded(step: Step) -> Generator[Any, Any, Step | None]:
        within: Step = step[3]
        left: Step | None = yield from handlers[within[0]](within)
        return left

    return [None, recorded]


def _passing(cycles: int, procedure: Proc, sent: Any) -> Proc:
    """Let the cycles pass, then go on."""
    if cycles:
        yield PASS, cycles, None
    return (yield from rest(procedure, sent))
