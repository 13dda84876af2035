"""What a timed run writes down besides the ledger: counters, switches, shootdowns, locks, deductions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from sim.hardware.memory import Words
from sim.hardware.sites import Site
from sim.hardware.steps import Proc, Step
from sim.kernel.cpuinfo import CpuInfo
from sim.kernel.hooks import Hooks
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import Lwp
from sim.kernel.program import Call, Operation, Who
from sim.kernel.shootdown import Packet
from sim.timed.debts import Debts, Payments
from sim.timed.ledger import Ledger
from sim.timed.lock_statistics import LockStatistics
from sim.timed.schema import columns_of
from sim.timed.shootdown_statistics import ShootdownStatistics
from sim.timed.slot_copies import Copier, SlotCopy
from sim.timed.switch_statistics import SwitchStatistics
from sim.timed.tallies import Tallies

Frame = dict[str, list[object]]


def frame(name: str, rows: Sequence[Sequence[object]]) -> Frame:
    """The rows of a frame column by column."""
    return {column: [row[i] for row in rows] for i, column in enumerate(columns_of(name))}


class Player(Protocol):
    """Plays passages on one CPU (:mod:`sim.timed.passages`)."""

    def at_once(self, step: Step, /) -> Step | None:
        """Make a step at once; what is left of it."""

    def steps(self, procedure: Callable[..., Proc], k: Kernel, lwp: Lwp, others: tuple[Any, ...]) -> Proc:
        """The steps of a procedure that are left to be made one by one."""

    def forget(self, lwp: Lwp) -> None:
        """The LWP is gone."""


class Recorder(Hooks):
    """Hooks of the timed driver.

    Attributes:
        counters: totals by name.
        resident: pages that were there before time began.
        live: LWPs of the workload that have not exited.
        longest_handler: cycles of the longest work that a device interrupt has brought so far.
        players: what plays passages, by CPU, where there is such a thing.
        copiers: what copies user slots at once, by CPU, where there is such a thing.
        uncounted: the operations of a program that are left to be made, as :meth:`operations`.
        on_create, on_exit: called with each LWP that begins and ends.
    """

    def __init__(self, now: Callable[[], int], accounts: Sequence[Ledger], window: int, deductions: Payments) -> None:
        self.now = now
        self.accounts = accounts
        self.window = window
        self.debts = Debts(deductions)
        self.locks = LockStatistics(window)
        self.shootdowns = ShootdownStatistics(now, accounts)
        self.switches = SwitchStatistics(now, accounts)
        self.tallies = Tallies(now, accounts)
        self.resident = 0
        self.live = 0
        self.longest_handler = 0
        self.counters: dict[str, int] = defaultdict(int)
        self._windowed: dict[tuple[int, int, str], int] = defaultdict(int)
        self._before: dict[tuple[int, int, str], int] = self._windowed
        self.players: dict[int, Player] = {}
        self.copiers: dict[int, Copier] = {}
        self.uncounted: Callable[[Lwp, Iterator[Operation]], Iterator[Operation]] = lambda lwp, operations: operations
        self.on_create: Callable[[Lwp], None] = lambda lwp: None
        self.on_exit: Callable[[Lwp], None] = lambda lwp: None

    def count(self, ci: CpuInfo, name: str, n: int = 1) -> None:
        """Add to a counter, in total and in this window."""
        self.counters[name] += n
        self._windowed[self.now() // self.window, ci.ci_index, name] += n

    def idle_lwp(self, lwp: Lwp) -> None:
        """An idle LWP is there from the start."""
        self.tallies.join(lwp)
        self.tallies.switched(lwp.l_cpu.ci_index, lwp)

    def sleeps_at_start(self, lwp: Lwp) -> None:
        """An LWP of the workload is asleep when time begins."""

    def handler_begins(self, cycles: int) -> None:
        """Note the longest."""
        self.longest_handler = max(self.longest_handler, cycles)

    def counted_by_cpu(self) -> dict[tuple[int, str], int]:
        """What was counted since the windows were suspended, by CPU and name."""
        found: dict[tuple[int, str], int] = {}
        for (_, cpu, name), n in self._windowed.items():
            found[cpu, name] = found.get((cpu, name), 0) + n
        return found

    def suspend_windows(self) -> None:
        """Count all that follows in one window, until they are resumed."""
        self._before, self._windowed = self._windowed, defaultdict(int)

    def resume_windows(self, window: int) -> None:
        """Have windows again; what was counted meanwhile is that one's."""
        meanwhile, self._windowed = self.counted_by_cpu(), self._before
        for (cpu, name), n in meanwhile.items():
            self._windowed[window, cpu, name] += n

    def repeat(self, counted: Mapping[tuple[int, str], int], times: int) -> None:
        """Count the same again, so many *times*."""
        for (cpu, name), n in counted.items():
            self.counters[name] += n * times
            self._windowed[0, cpu, name] += n * times

    def copy_slots(
        self,
        ci: CpuInfo,
        source: Words,
        target: Words,
        slots: tuple[int, int],
        sites: tuple[Site, Site],
        *,
        locked: bool,
    ) -> int:
        """Let the fast engine copy them at once."""
        copy = self.copiers.get(ci.ci_index)
        return slots[0] if copy is None else copy(SlotCopy(source, target, *slots, locked, *sites))

    def straight(self, procedure: Callable[..., Proc], k: Kernel, lwp: Lwp, *others: Any) -> Proc:
        """Let the fast engine make them at once."""
        player = self.players.get(lwp.l_cpu.ci_index)
        return procedure(k, lwp, *others) if player is None else player.steps(procedure, k, lwp, others)

    def at_once(self, lwp: Lwp, step: Step) -> Step | None:
        """Let the fast engine make it at once."""
        player = self.players.get(lwp.l_cpu.ci_index)
        return step if player is None else player.at_once(step)

    def operations(self, lwp: Lwp, operations: Iterator[Operation]) -> Iterator[Operation]:
        """Let the fast engine count those that leave everything as it is."""
        return self.uncounted(lwp, operations)

    def deduct(self, lwp: Lwp, cycles: int) -> int:
        """Let the LWP pay its debt out of this stretch."""
        return self.debts.deduct(lwp, cycles)

    def lwp_created(self, lwp: Lwp) -> None:
        """Count live LWPs of the workload."""
        if not lwp.l_system:
            self.live += 1
        self.tallies.join(lwp)
        self.on_create(lwp)

    def lwp_exited(self, lwp: Lwp) -> None:
        """Forget the LWP."""
        self.debts.close(lwp)
        if not lwp.l_system:
            self.live -= 1
        self.tallies.leave(lwp)
        for player in self.players.values():
            player.forget(lwp)
        self.on_exit(lwp)

    def call_begin(self, lwp: Lwp, call: Call) -> None:
        """File what follows under the call."""
        self.tallies.begin(lwp, call)

    def calls_begin(self, lwp: Lwp, call: Call, times: int) -> None:
        """The same for so many calls, one after the other."""
        self.tallies.begin(lwp, call, times)

    def call_end(self, lwp: Lwp) -> None:
        """File what follows under the LWP alone."""
        self.tallies.end(lwp)

    def renamed(self, lwp: Lwp, who: Who) -> None:
        """File what follows under the new command."""
        self.tallies.rename(lwp, who)

    def resident_entered(self, lwp: Lwp, va: int) -> None:
        """Count pages that were there before time began."""
        self.resident += 1

    def shootdown_begin(self, ci: CpuInfo, packet: Packet) -> None:
        """A packet goes out."""
        self.shootdowns.begin(ci.ci_index, packet.tp_count.v[0], packet.why)

    def shootdown_sent(self, ci: CpuInfo, targets: int, broadcast: bool, generation: int) -> None:
        """Its targets are known."""
        self.shootdowns.sent(ci.ci_index, targets, broadcast)

    def shootdown_end(self, ci: CpuInfo) -> None:
        """They have all acknowledged."""
        self.shootdowns.end(ci.ci_index)

    def shootdown_intr_begin(self, ci: CpuInfo) -> None:
        """A handler begins."""
        self.shootdowns.handler_begins(ci.ci_index)

    def shootdown_intr_end(self, ci: CpuInfo) -> None:
        """A handler ends."""
        self.shootdowns.handler_ends(ci.ci_index)

    def switch_begin(self, ci: CpuInfo, old: Lwp, new: Lwp) -> None:
        """A switch begins."""
        self.switches.begin(ci.ci_index, old, new)

    def frames(self) -> dict[str, Frame]:
        """All frames, rows in order of time."""
        self.tallies.finish()
        ledger = [(t, a.cpu, cause, n, c) for a in self.accounts for t, cause, n, c in a.rows]
        counters = [(w * self.window, cpu, name, n) for (w, cpu, name), n in self._windowed.items()]
        return {
            "ledger": frame("ledger", sorted(ledger)),
            "counters": frame("counters", sorted(counters)),
            "shootdowns": frame("shootdowns", self.shootdowns.rows()),
            "switches": frame("switches", self.switches.rows()),
            "locks": frame("locks", self.locks.rows()),
            "tasks": frame("tasks", self.tallies.task_rows()),
            "calls": frame("calls", self.tallies.call_rows()),
        }
