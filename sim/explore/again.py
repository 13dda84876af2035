"""Transitions that are made once more, on the way back to a state: what they change, and nothing else.

A search goes back by making an execution anew up to there.  What a transition touched, and that it broke nothing, is
known from the first time; what its accesses met was kept (:class:`Script`).  So only what it leaves behind is made:
memory, registers, what may be cached, and whatever judges keep of it.  Handlers are as those of
:mod:`sim.explore.effects` and :mod:`sim.explore.registers` without what only looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sim.explore.effects import DO, WALKS, Effect, Effects
from sim.explore.machine import RESUME
from sim.explore.touched import Touched
from sim.hardware.memory import Words
from sim.hardware.paging import A, D
from sim.hardware.steps import CALLS, Access, Op, Step

if TYPE_CHECKING:
    from sim.explore.driver import Driver
    from sim.explore.start import Start


class Made(NamedTuple):
    """A transition: the actor, what its accesses met, how many private steps followed.

    *grew*: whether each CPU could cache something new.
    """

    actor: int
    met: list[Any]
    sends: int
    grew: tuple[bool, ...]


class Script:
    """The transitions of the last execution of a program, for the next one that begins in the same way.

    Attributes:
        boots_once: the next ones have the objects of the first.  A patched kernel might keep something where no object
            leads to, in a module, or end a generator with a ``finally`` that changes the next execution: it boots anew.
        executions: how many there have been.
        start: where exploration begins, to be had again; None if it is not known how.
        made: the transitions from there.
    """

    def __init__(self, *, boots_once: bool = True) -> None:
        self.boots_once = boots_once
        self.executions = 0
        self.start: Start | None = None
        self.made: list[Made] = []

    def note(self, at: int, made: Made) -> None:
        """The execution under way has made its transition number *at*."""
        del self.made[at:]
        self.made.append(made)

    def begins(self, actors: Sequence[int]) -> Iterator[Made] | None:
        """The first transitions, if they are of these actors."""
        made = self.made[: len(actors)]
        return iter(made) if [actor for actor, *_ in made] == list(actors) else None


def _changes(on: Effects, cpu: int, words: Words, index: int, value: Any) -> None:
    """A word is about to be changed by a step."""
    if id(words) in on.mem.table_of:
        on.judge.guards.changes_entry(cpu, words.v[index], value)


def _load(on: Effects, cpu: int, step: Step, touched: list[Any] | None) -> Any:
    words, index = step[2], step[3]
    on.judge.locks.loads(cpu, words)
    if touched is not None:
        on.looks(words, index)
    return on.read(cpu, words, index)


def _store(on: Effects, cpu: int, step: Step, touched: list[Any] | None) -> None:
    words, index, value = step[2], step[3], step[4]
    _changes(on, cpu, words, index, value)
    if touched is None or not words.shared:
        words.v[index] = value
    elif on.machine.tso:
        on.buffer(cpu, (words, index, value, on.machine.serial[cpu], None), touched)
    else:
        on.looks(words, index)
        on.write(words, index, value)


def _rmw(on: Effects, cpu: int, step: Step, touched: list[Any] | None) -> Any:
    words, index = step[2], step[3]
    old = words.v[index]
    new = step[4](old, step[5])
    if touched is not None:
        on.looks(words, index)
        if words is on.pending:
            on.judge.lifetimes.acknowledged(cpu)
    if new != old:
        on.judge.locks.reaches(cpu, words)
        _changes(on, cpu, words, index, new)
        on.write(words, index, new)
    return old


def _wait(on: Effects, cpu: int, step: Step, _touched: list[Any] | None) -> Any:
    return on.read(cpu, step[2], step[3])


def _access(on: Effects, cpu: int, step: Step, _touched: list[Any] | None) -> Any:
    """What it met is known; of the kernel's pages that are followed, walks set A and D."""
    met, of_kernel = next(on.to_meet), on.judge.uses.kernel_vas
    if of_kernel:
        if step[0] is Op.ACCESS:
            pairs = ((step[2], step[3]),) if met is None else ()
        else:
            pairs = step[2][step[3] : met if met >= 0 else None]
        root = on.kernel.cpus[cpu].cpu.cr3_pa
        for va, kind in pairs:
            if va in of_kernel:
                on.walked(root, va, A | D if kind is Access.WRITE else A, None)
    return met


def _flush(on: Effects, cpu: int, step: Step, _touched: list[Any] | None) -> None:
    getattr(on.kernel.cpus[cpu].cpu, CALLS[step[0]])(*step[2:])
    on.machine.refresh(cpu)


def _pge(on: Effects, cpu: int, step: Step, touched: list[Any] | None) -> None:
    if on.kernel.cpus[cpu].cpu.pge != step[2]:
        _flush(on, cpu, step, touched)


def _reg(on: Effects, cpu: int, step: Step, _touched: list[Any] | None) -> None:
    registers = on.kernel.cpus[cpu].cpu
    if step[2] != "user":
        if step[2] in ("rsp", "tss_rsp0"):
            setattr(registers, step[2], step[3])
        return
    registers.user = step[3]
    if step[3]:
        if not on.judge.user_mode.tables.knows(cpu):  # what is allowed is what the kernel has the first time
            on.judge.user_mode.to_user(cpu)
        registers.rsp = 0


_AGAIN: dict[Op, Effect] = {
    Op.LOAD: _load,
    Op.STORE: _store,
    Op.RMW: _rmw,
    Op.WAIT: _wait,
    Op.MWAIT: Effects.nothing,
    Op.ACCESS: _access,
    Op.TOUCH: _access,
    Op.CR3: _flush,
    Op.PGE: _pge,
    Op.INVLPG: _flush,
    Op.INVPCID: _flush,
    Op.REG: _reg,
}
AGAIN: list[Effect] = [_AGAIN.get(op, DO[op]) for op in Op]  # the others hardly look at anything


def make_again(driver: Driver, transitions: Iterable[Made]) -> None:
    """Make transitions as they were made before."""
    machine = driver.machine
    Touched.now = machine.touched
    try:
        for actor, met, sends, grew in transitions:
            for cache, grows in zip(machine.caches, grew, strict=True):
                cache.grows = grows
            driver.effects.to_meet = iter(met)
            _make(driver, actor, met, sends)
    finally:
        for cache in machine.caches:
            cache.grows = True
        machine.touched.take()


def _make(driver: Driver, actor: int, met: list[Any], sends: int) -> None:
    n = driver.machine.n
    if actor >= 6 * n:
        driver.walkers.walk_early(actor - 6 * n)
    elif actor >= 2 * n:
        driver.land(actor)
        _advance(driver, (actor - 2 * n) // 4, None, sends)
    elif actor >= n:
        driver.effects.drain(actor - n)
    elif met and met[0] is WALKS:
        need = driver.walkers.need(actor)
        assert need is not None
        driver.walkers.walk(actor, need)
    else:
        step = driver.machine.steps[actor]
        if step[0] is Op.HALT:
            driver.machine.halted[actor] = True
        else:
            _advance(driver, actor, AGAIN[step[0]](driver.effects, actor, step, []), sends)


def _advance(driver: Driver, cpu: int, value: Any, sends: int) -> None:
    """Send *value* to what runs on the CPU and go on for so many steps, which nobody else could notice."""
    machine, effects = driver.machine, driver.effects
    lwp = machine.current[cpu]
    driver.judge.guards.ci = machine.kernel.cpus[cpu]
    machine.moves(lwp)
    for left in range(sends, -1, -1):
        try:
            step = lwp.frames[-1].send(value)
        except StopIteration:
            step = driver.frame_ended(cpu, lwp)
            if step is RESUME:
                value = None
                continue
        if not left:
            driver.stands(cpu, step)
        elif step[0] is Op.SWITCH:
            lwp, value = step[2], None
            machine.current[cpu] = lwp
            machine.moves(lwp)
        else:
            value = AGAIN[step[0]](effects, cpu, step, None)
