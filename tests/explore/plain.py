"""Plain step generators under the exploring driver's own memory, store buffers and mutexes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from sim.explore.cached import BornMem
from sim.explore.driver import RESUME, KernelRun
from sim.explore.model import Broken, Violation
from sim.hardware.memory import Words
from sim.hardware.paging import Geometry
from sim.hardware.sites import Procedure
from sim.hardware.steps import Op, Proc, wait


class T(Procedure, name="t", cause="kernel work"):
    """A test's own steps."""


class Quiet:
    """A judge without opinions."""

    held: list[list[Any]] = []

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_args, **_kw: None


class Plain(KernelRun):
    """An execution of one generator a CPU; ``final`` is what *observe* returns at the end."""

    def __init__(self, programs: Sequence[Callable[[], Proc]], tso: bool, observe: Callable[[], Any]) -> None:
        self.n = n = len(programs)
        self.tso = tso
        self.traced = False
        self.notes, self.extra, self.trace = [], [], []
        self.mem = BornMem(Geometry(), lambda: None)
        self.kernel: Any = SimpleNamespace(cpus=[SimpleNamespace(cpu=SimpleNamespace()) for _ in range(n)])
        self.buffers = [deque() for _ in range(n)]
        self.serial = [0] * n
        self.busy = {}
        self.pending = [{} for _ in range(n)]
        self.never = Words("never")
        self.judge: Any = Quiet()
        self.observe = observe
        self.current: Any = [
            SimpleNamespace(frames=[self._endless(p)], saved=[], l_name=str(i)) for i, p in enumerate(programs)
        ]
        self.steps = [RESUME] * n
        self.user_limit = 0
        self.nmis_to_come = [0] * n
        for cpu in range(n):
            self._advance(cpu, None)

    def _endless(self, program: Callable[[], Proc]) -> Proc:
        yield from program()
        yield wait(self.never, 0, lambda _value: False, T.site("end"))

    def finish(self) -> None:
        for step in self.steps:
            if step[0] is not Op.WAIT or step[2] is not self.never:
                raise Violation(Broken("progress", "deadlock"))
        self.final = self.observe()
