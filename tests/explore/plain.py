"""Plain step generators under the exploring driver's own memory, store buffers and mutexes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from sim.explore.cached import BornMem, MaybeCached
from sim.explore.driver import Driver
from sim.explore.effects import Effects
from sim.explore.machine import Machine
from sim.explore.model import Broken, Footprint, Violation
from sim.explore.touched import Touched
from sim.explore.trace import Trace
from sim.hardware.cpu import Cpu
from sim.hardware.memory import Words
from sim.hardware.paging import Geometry
from sim.hardware.sites import Procedure
from sim.hardware.steps import Op, Proc, wait


class T(Procedure, name="t", cause="kernel work"):
    """A test's own steps."""


class Quiet:
    """A judge without opinions, and each of its parts."""

    def __getattr__(self, _name: str) -> Quiet:
        return Quiet()

    def __call__(self, *_args: Any, **_kw: Any) -> None:
        pass


class Plain:
    """An execution of one generator a CPU; ``final`` is what *observe* returns at the end."""

    def __init__(self, programs: Sequence[Callable[[], Proc]], tso: bool, observe: Callable[[], Any]) -> None:
        geometry = Geometry()
        mem = BornMem(geometry, lambda: None)
        caches = [MaybeCached(mem) for _ in programs]
        self.never = Words("never")
        self.observe = observe
        cpus = [
            SimpleNamespace(
                cpu=Cpu(i, caches[i], geometry),
                ci_curlwp=SimpleNamespace(frames=[self._endless(program)], saved=[], l_name=str(i)),
            )
            for i, program in enumerate(programs)
        ]
        kernel: Any = SimpleNamespace(cpus=cpus, user_limit=0)
        self.machine = Machine(kernel, mem, caches, Touched(), tso=tso)
        judge: Any = Quiet()
        trace = Trace(on=False)
        self.driver = Driver(self.machine, Effects(self.machine, judge, trace), judge, trace, self.never)
        for cpu in range(self.machine.n):
            self.driver.advance(cpu, None)

    def _endless(self, program: Callable[[], Proc]) -> Proc:
        yield from program()
        yield wait(self.never, 0, lambda _value: False, T.site("end"))

    def enabled(self) -> list[int]:
        return self.driver.enabled()

    def step(self, actor: int) -> Footprint:
        return self.driver.step(actor)

    def follow(self, actors: Sequence[int]) -> None:
        for actor in actors:
            self.driver.step(actor)

    def stuck(self) -> Iterator[tuple[int, Footprint]]:
        return self.driver.stuck()

    def finish(self) -> None:
        for step in self.machine.steps:
            if step[0] is not Op.WAIT or step[2] is not self.never:
                raise Violation(Broken("progress", "deadlock"))
        self.final = self.observe()
