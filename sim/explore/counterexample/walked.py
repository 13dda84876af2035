"""Which words of page tables a step has read by walks alone.

A change of tables and a flush let the hardware walk anew, whatever the program does: their footprint is all words that
lead to addresses that are followed. For people few of them matter: those that lead to what was flushed, those of the
table that was loaded, and those below it if more may be cached from then on.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from sim.explore.cached import translate
from sim.explore.model import Footprint
from sim.explore.run import KernelRun
from sim.hardware.steps import Invpcid, Op

Words = frozenset[Hashable]
_NONE: Words = frozenset()


def walked(
    run: KernelRun, cpu: int, step: tuple[Any, ...], footprint: Footprint, *, fresh: bool
) -> tuple[Words, Words]:
    """Words of tables that a step has read by walks alone: those that matter, and the others.

    Args:
        run: the execution behind the step.
        cpu: whose step it was.
        step: the step.
        footprint: what it touched.
        fresh: whether the CPU may have cached something since that it could not before.
    """
    op = int(step[0])  # a patched kernel has an Op of its own
    if op not in (Op.CR3, Op.PGE, Op.INVLPG, Op.INVPCID):
        return _NONE, _NONE
    tables = {words.name for words in run.machine.mem.held}
    every = frozenset(it for it, mode in footprint if mode <= 0 and isinstance(it, tuple) and it[0] in tables)
    matter = every & _leading(run, cpu, step, op, fresh=fresh)
    return matter, every - matter


def _leading(run: KernelRun, cpu: int, step: tuple[Any, ...], op: int, *, fresh: bool) -> Words:
    """The words that lead to what was flushed, or may be cached since."""
    mem, uses, root = run.machine.mem, run.judge.uses, run.machine.kernel.cpus[cpu].cpu.cr3_pa
    vas = uses.user_vas + uses.kernel_vas
    if op == Op.INVLPG:
        vas = (step[2],)
    elif op == Op.INVPCID and step[2] == Invpcid.ADDRESS:
        vas = (step[4],)
    levels = 1 if op == Op.CR3 and not fresh else None
    return frozenset((table.name, index) for va in vas for table, index in translate(mem, root, va)[1][:levels])
