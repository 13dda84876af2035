"""What the operations of litmus programs work on, and the sites of their own steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sim.explore.cached import BornMem
from sim.explore.judges.tally import Tally
from sim.explore.judges.uses import Uses
from sim.explore.judges.view import View
from sim.explore.litmus import Op
from sim.explore.litmus_state import LitmusState
from sim.explore.touched import Touched
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Proc
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import Lwp
from sim.kernel.mutex import TakesMutex
from sim.kernel.pmap import Pmap

Pages = tuple[tuple[int, int], ...]  # pa and birth


class LitmusProgram(Procedure, name="litmus", cause="kernel work"):
    """What the program itself does; the texts of its operations become sites as it is read."""

    start = site("start")
    end = site("end")
    await_ = site("await")
    uvmspace_free = site("uvmspace_free")
    nmi = site("nmi")
    tick = site("tick")
    device = site("device")
    mark = site("mark")


class LitmusSwitch(TakesMutex, name="litmus:switch", cause="kernel work"): ...


class LitmusKernel(Procedure, name="kernel", cause="kernel work"): ...


@dataclass(frozen=True, slots=True)
class Setting:
    """What operations work on, and whom they tell what a pmap's user may rely on from now on.

    ``body`` is the life of an LWP with these operations.
    """

    kernel: Kernel
    mem: BornMem
    touched: Touched
    view: View
    tally: Tally
    uses: Uses
    payloads: list[tuple[object, ...]]
    state: LitmusState
    body: Callable[[Setting, Lwp, tuple[Op, ...]], Proc]


def target(on: Setting, lwp: Lwp, op: Op) -> Pmap:
    """The pmap that an operation is about."""
    return on.state.pmaps[op.pmap] if op.pmap else lwp.l_proc.pmap


def said(on: Setting, lwp: Lwp, op: Op, result: object) -> None:
    """Leave an observation that belongs to the final outcome: of the LWP, or of the handler that has hit it."""
    who = "device" if lwp.cpu_intr_p else lwp.l_name
    on.state.outcomes.append(f"{who}:{op.text}={result}")


def usable(on: Setting, pmap: Pmap, vas: Iterable[int]) -> dict[int, Pages]:
    """What may be used at each address, as somebody begins to remove it."""
    return {va: on.uses.usable(pmap, va) for va in vas}
