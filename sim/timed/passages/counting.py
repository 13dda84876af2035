"""Operations of a program that leave everything as they found it, so that they need only be counted.

An operation that has just been made by passages alone, and whose pages all hit, leaves words and registers with the
values that the passages write.  If that is what it read, too, and what every other such operation made since reads and
writes there, then each of them can come again, in any order, and nothing changes but time, who is charged, who owes
what, and which page was used last.  So they are counted, each with the length that it has, until one comes that is of
another kind or does not fit before the next event; and what they come to is written down at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sized
from typing import Any

from sim.hardware.known_hits import Uses
from sim.kernel.lwp import Lwp
from sim.kernel.program import Operation, Syscall, User
from sim.kernel.uvm import are_entered
from sim.timed.clock import Beat
from sim.timed.ledger import CHARGE
from sim.timed.parts import Parts
from sim.timed.passages.ahead import Ahead, Stretch
from sim.timed.passages.aside import Aside
from sim.timed.passages.contested import Contested
from sim.timed.passages.members import Choice, Member, kind
from sim.timed.passages.played import Played, Values
from sim.timed.passages.views import same
from sim.timed.recorder import Recorder

ENOUGH = 8  # operations for which it is worth standing aside
ROW = 12  # operations made in the short way, one after the other, before they are looked at more closely
WORTH, LONGEST = 64, 1024  # if fewer are counted than that, twice as many have to be made before, at most so many


def uncounted(cpus: Mapping[int, Counting], lwp: Lwp, program: Iterator[Operation]) -> Iterator[Operation]:
    """The operations of an LWP's program that are left to be made, the others being counted; *cpus*: by CPU."""
    ahead = Ahead(program)
    while True:
        operation = next(ahead.source, None)
        if operation is None:
            return
        counting = cpus[lwp.l_cpu.ci_index]
        core = counting.core
        left: Operation | None = operation
        if core.slow != counting.slow:
            counting.begin()
        elif counting.members:
            left = counting.go_on(lwp, operation, ahead)
        if left is not None:
            counting.log.clear()
            counting.cached = counting.caches.now
            yield left
            if core.slow == counting.slow:
                counting.made(left)


class Counting:
    """Counts operations on one CPU.

    Attributes:
        core: the CPU.
        due: the stretch for which the CPU is to stand aside before its next operation.
        disturbed: whether others may have acted since the last operation began.
        members: the operations that can be counted, by their kind.
        slow: what :attr:`~sim.timed.core.Core.slow` was when they began to follow one another.
        cached: the state of the data caches when the operation that goes on now began.
        log: what the operation that goes on now was made of, so far: passages, and the touches of known sequences.
        counted: operations that were only counted.
    """

    def __init__(self, parts: Parts, pending: Sized, recorder: Recorder, aside: Aside) -> None:
        self.core = parts.core
        self._aside = aside
        self._clock = parts.clock
        self._account = parts.account
        self._queue = parts.clock.waiting()
        self._known = parts.core.cpu.tlb.known
        self.caches = parts.steps.caches
        self._hit = parts.steps.costs["stlb_hit_data"]
        self._pending = pending
        self._recorder = recorder
        self.members = Choice()
        self._contested: Contested | None = None
        self._choice = self.members  # what can be counted next
        self._reads: Values = {}
        self._leaves: Values = {}
        self._cached: object = None
        self.cached: object = None
        self.slow = -1
        self._row = self._gained = 0
        self._needed = ROW
        self.log: list[Any] = []
        self.counted = 0
        self.due: Stretch | None = None
        self.disturbed = False
        self._rest = 0  # operations to be made before the CPU stands aside again
        self._patience = ROW

    def begin(self) -> None:
        """More than time may have changed: begin with no operation known."""
        self.slow = self.core.slow
        self._row = 0
        if self.members:
            gained, self._gained = self._gained, 0
            self._needed = ROW if gained > WORTH else min(2 * self._needed, LONGEST)
            self._contested = None
            self._choice = self.members = Choice()
            self._reads.clear()
            self._leaves.clear()

    def go_on(self, lwp: Lwp, operation: Operation, ahead: Ahead) -> Operation | None:
        """Count operations of the program as long as they can be; return the first that is left, None at its end."""
        if self.caches.now is not self._cached:
            self.begin()
        if not self.members or self._pending or self._account.until != self._clock._now:
            return operation
        if self.disturbed:
            if not self._undisturbed(lwp):
                self.core.slow += 1
                self.begin()
                return operation
            self.disturbed = False
        if self._aside.away:
            self._aside.call_near(place[0] for place in self._leaves)
        choice = self.members if self._contested is None else self._contested.choice()
        if choice is None:
            return operation
        left = self._count(lwp, operation, ahead.source, choice)
        if left is not None:
            self._look_ahead(left, ahead)
        return left

    def _undisturbed(self, lwp: Lwp) -> bool:
        """Whether what the operations find is still there; *lwp* makes them."""
        members, pmap = self.members.values(), lwp.l_proc.pmap
        if lwp.resident and not all(one.parts or are_entered(pmap, one.operation.touches) for one in members):
            return False  # a page of a recorded stretch would be entered first
        return all(part.stands(None) for member in members for part in member.parts)

    def _look_ahead(self, operation: Operation, ahead: Ahead) -> None:
        """Stand aside if it is an event of some CPU that leaves no room for the operation, and for long enough."""
        queue, now = self._queue, self._account.until
        if not queue or type(queue[0][3]) is Beat or self._aside.busy:
            return
        if self._rest:
            self._rest -= 1
            return
        found = self.members.get(kind(operation)[0])
        if found is None or not found.alone:
            return
        stretch = Stretch(now, operation, ahead)
        stretch.look(self._choice, self._account.window_end - now, self.core.cpu)
        if stretch.made >= ENOUGH:
            self.due = stretch
        else:
            stretch.over(1)
            self._rest = ROW

    def take(self, lwp: Lwp, stretch: Stretch) -> None:
        """The CPU stands aside no more: write down what it has made meanwhile."""
        self.disturbed = True  # what these operations read was held, not what others read
        made = stretch.members[: stretch.made]
        if made:
            for member, times in Counter(made).items():
                member.times = times
                self.core.debt[0] += member.owed * times
            for at, member in enumerate(dict.fromkeys(reversed(made))):
                member.last = -at
            self.counted += len(made)
            self._gained += len(made)
            self._account.until = stretch.end
            self._choice = made[-1].nexts
            self._write_down(lwp)
            self._account.current = made[-1].last_cause or self._account.current
        if not stretch.stood:
            self._rest = ROW
        elif stretch.made < min(WORTH, len(stretch.members)):
            self._rest = self._patience
            self._patience = min(2 * self._patience, LONGEST)
        else:
            self._patience = ROW
        stretch.over(stretch.made)

    def _count(self, lwp: Lwp, operation: Operation, program: Iterator[Operation], choice: Choice) -> Operation | None:
        account, debt, deduct = self._account, self.core.debt, self._recorder.debts.deduct
        now, at, current = account.until, 0, account.current
        limit = min(account.window_end, self._queue[0][0]) if self._queue else account.window_end
        left: Operation | None = operation
        previous, member = choice.before, choice.before.follower
        while left is not None:
            cycles = member.length
            if left is not member.operation:  # what is equal need not be of one kind: as tuples, work is as sleep
                key, cycles = kind(left)
                found = previous.nexts.get(key) or previous.nexts.make(key)
                if found is None:
                    break
                member = previous.follower = found
            if now + member.cycles + cycles >= limit:
                break
            now += member.cycles
            debt[0] += member.owed
            if cycles:
                cycles = deduct(lwp, cycles)
                debt[0] += member.owed_after
                if cycles > 0:
                    now += cycles
                    member.stretches += 1
                    member.spent += cycles
                    current = member.cause
            current = member.last_cause or current
            member.times += 1
            at += 1
            member.last = at
            previous, member = member, member.follower
            left = next(program, None)
        self._choice = previous.nexts
        if at:
            self.counted += at
            self._gained += at
            self._clock._now = account.until = now
            self._write_down(lwp)
            account.current = current
        return left

    def made(self, operation: Operation) -> None:
        """An operation has been made in the short way: see whether others of its kind can be counted."""
        self._row += 1
        if self._row < self._needed:
            return
        key, _ = kind(operation)
        if key in self.members:
            return
        member = self._member(operation) if key is not None else None
        if member is None or not self._agrees(member):
            self.core.slow += 1  # it may have changed anything
        else:
            self._cached = self.caches.now
            self.members[key] = member
            self._contend(member)

    def _member(self, operation: Operation) -> Member | None:
        """What the operation that has just been made was made of; None if it cannot be counted."""
        assert isinstance(operation, User | Syscall)
        parts = [part for part in self.log if isinstance(part, Played)]
        uses: list[Uses] = []
        for part in self.log:
            found = self._known.sequences.get(id(part))
            if found is not None and found[0] is part and found[2].cached is self.caches.now:
                uses.append(found[2])
            elif not isinstance(part, Played) or self.cached is not self.caches.now:
                return None
        computes = isinstance(operation, Syscall) and bool(operation.body)
        expected = 2 if computes else 0 if isinstance(operation, User) and operation.recorded else 1
        if len(parts) != expected or len(self.log) > max(expected, 1) or not all(part.repeats for part in parts):
            return None
        return Member(operation, parts, uses, self.members)

    def _contend(self, member: Member) -> None:
        """See which sets of the first-level TLB the operations' pages contend for, the new one's among them.

        None, if all that they are known to hit is there: a second-level hit may cost nothing, so cycles do not tell.
        """
        uses = (places for one in self.members.values() for known in one.uses for places in known.places)
        if self._contested is None and len(member.uses) == len(self.log) and all(key in ways for ways, key in uses):
            return
        self._contested = Contested(self.members, self.core.cpu, self._hit)
        if not self._contested.find():
            self.core.slow += 1

    def _agrees(self, member: Member) -> bool:
        """Whether what it leaves is what it and the others read, and the same as they leave; note that if so."""
        reads: Values = {}
        leaves: Values = {}
        for part in member.parts:
            for place, value in part.reads.items():
                reads.setdefault(place, value)
            leaves.update(part.leaves)
        for place, value in leaves.items():
            for others in (reads, self._reads, self._leaves):
                if not same(others.get(place, value), value):
                    return False
        if not all(same(self._leaves.get(place, value), value) for place, value in reads.items()):
            return False
        self._reads.update(reads)
        self._leaves.update(leaves)
        return True

    def _write_down(self, lwp: Lwp) -> None:
        """What those counted come to, those last that came last."""
        account, recorder, noted = self._account, self._recorder, self._known.noted
        counted = self.members.values() if self._contested is None else self._contested.cases
        for member in sorted((one for one in counted if one.times), key=lambda member: member.last):
            if member.call is not None:
                recorder.calls_begin(lwp, member.call, member.times)
            if member.stretches:
                tally = account.charging
                tally[member.cause] = tally.get(member.cause, 0) + CHARGE * member.stretches + member.spent
            for part in member.parts:
                self._add(part, member.times)
            if member.call is not None:
                recorder.call_end(lwp)
            for uses in member.uses:
                noted.pop(uses, None)
                noted[uses] = None
            for ways, key in member.moves:
                ways[key] = ways.pop(key)
            member.times = member.stretches = member.spent = member.last = 0
        if self._contested is not None:
            self._contested.leave(self._choice)

    def _add(self, played: Played, times: int) -> None:
        account, recorder, core = self._account, self._recorder, self.core
        for marks, charges in played.segments:
            for hook, arguments in marks:
                if hook == "call_begin":
                    recorder.calls_begin(arguments[0], arguments[1], times)
                else:
                    recorder.call_end(*arguments)
            if charges:
                tally = account.charging
                for cause, charged in charges.items():
                    tally[cause] = tally.get(cause, 0) + charged * times
        for name, n in played.counts.items():
            recorder.count(core.ci, name, n * times)
