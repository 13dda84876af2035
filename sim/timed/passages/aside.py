"""CPUs that stand aside: what they do next is known and concerns nobody else, so that they need not act meanwhile.

A CPU stands aside between two operations, for as many of those to come as only have to be counted.  Then it has no
event among those of others but the one at their end, and the others go past.  What its operations read and change is
held (:mod:`sim.timed.passages.holding`): whoever comes near it, or sends the CPU an interrupt, first has it called
back.  It then counts the operations that would be over by now, makes the one that would be under way up to this moment,
and the other goes on.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

from simpy.events import Event

from sim.hardware.steps import Op, Step
from sim.timed.clock import Clock
from sim.timed.cpu_process import CpuProcess
from sim.timed.interconnect import Interconnect
from sim.timed.passages.ahead import Stretch
from sim.timed.passages.holding import Holdings
from sim.timed.passages.watch import disturb

ASIDE = len(Op) + 2  # a step of the driver's own, [site, stretch]: to stand aside until its end


class Aside:
    """The CPUs of a machine that stand aside.

    Attributes:
        away: those that do, by index, and for which stretch.
        busy: whether none can stand aside now: one is being brought to this moment, for instance.
        called: how often one was called back.
    """

    def __init__(self, clock: Clock, interconnect: Interconnect, *, busy: bool) -> None:
        self._clock = clock
        self._interconnect = interconnect
        self._holdings = Holdings(self._reached)
        self._code: dict[int, int] = {}
        self.away: dict[int, tuple[CpuProcess, Stretch]] = {}
        self.busy = busy
        self.called = 0
        interconnect.before_code_changes = self.call_all

    def wait(self, cpu: CpuProcess, step: Step) -> Generator[Event, Any, Step | None]:
        """The driver's part of the step: wait for the stretch's end, or to be called back."""
        stretch: Stretch = step[2]
        if self._stand(cpu, stretch):
            yield self._clock.again(cpu.pause, stretch.cycles, cpu.priority)
            self._release(cpu.index)
        else:
            stretch.refused()
        return None

    def _stand(self, cpu: CpuProcess, stretch: Stretch) -> bool:
        if self.busy:
            return False
        self.away[cpu.index] = cpu, stretch
        for number, relied in enumerate(stretch.relied):
            if not self._holdings.hold(cpu.index, relied):
                del self.away[cpu.index]
                for before in stretch.relied[:number]:
                    self._holdings.release(cpu.index, before)
                return False
        for relied in stretch.relied:
            for words in relied.code:
                self._interconnect.watch_code(words, cpu)
                self._code[id(words.v)] = self._code.get(id(words.v), 0) + 1
        return True

    def _release(self, index: int) -> None:
        """The CPU stands aside no more, if it still does."""
        cpu, stretch = self.away.pop(index, (None, None))
        if cpu is None or stretch is None:
            return
        for relied in stretch.relied:
            self._holdings.release(index, relied)
            for words in relied.code:
                self._interconnect.unwatch_code(words, cpu)
                self._code[id(words.v)] -= 1

    def call(self, index: int) -> None:
        """Bring a CPU that stands aside to this moment, which may be that of one that is brought to a later one."""
        away = self.away.get(index)
        if away is None:
            return
        cpu, stretch = away
        self._release(index)
        self.called += 1
        disturb("another CPU is called back")
        stretch.stop(self._clock.cycle)
        busy, self.busy = self.busy, True
        self._clock.catch_up(cpu.pause, stretch.end)
        self.busy = busy

    def call_all(self) -> None:
        """The same for all."""
        self._reached(self.away)

    def call_near(self, places: Iterable[int]) -> None:
        """The same for all, if one of them relies on one of these objects, given by their ids."""
        held, code = self._holdings.held, self._code
        if self.away and any(place in held or code.get(place) for place in places):
            self.call_all()

    def _reached(self, cpus: Iterable[int]) -> None:
        for index in sorted(cpus):
            self.call(index)
