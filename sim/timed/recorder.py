"""What a timed run writes down besides the ledger: counters, switches, shootdowns, locks, deductions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sim.kernel.hooks import Hooks
from sim.timed.amounts import AmountReader, Amounts

if TYPE_CHECKING:
    from sim.hardware.lock import Mutex
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.lwp import Lwp
    from sim.kernel.shootdown import Packet
    from sim.timed.ledger import Account

SWITCH_CAUSES = ("context switch", "svs_lwp_switch", "svs_pdir_switch copy", "ci_svs_mtx wait")
SHOOTDOWN_CAUSES = (
    "shootdown mailbox wait",
    "shootdown IPI send",
    "shootdown local flush",
    "shootdown ack wait",
)
RECEIVER_CAUSES = ("shootdown receiver",)
FRAME_COLUMNS = {
    "ledger": ("time_cycles", "cpu", "cause", "count", "cycles"),
    "counters": ("time_cycles", "cpu", "name", "value"),
    "shootdowns": (
        "time_cycles", "cpu", "targets", "broadcast", "pages", "why", "mailbox_cycles", "send_cycles", "local_cycles",
        "ack_cycles", "total_cycles", "receiver_cycles",
    ),
    "switches": (
        "time_cycles", "cpu", "from_lwp", "to_lwp", "kind", "svs_lwp_switch_cycles", "svs_pdir_switch_cycles",
        "total_cycles",
    ),
    "locks": ("time_cycles", "cpu", "lock", "instance", "wait_cycles", "hold_cycles", "count"),
    "timeline": ("time_cycles", "end_cycles", "cpu", "track", "name", "value", "flow"),
}  # fmt: skip

Frame = dict[str, list[object]]


class Recorder(Hooks):
    """Hooks of the timed driver.

    ``replay`` is None in the baseline's run; in the profile's it reads the deductions that the baseline wrote.
    """

    def __init__(self, now: Callable[[], int], accounts: list[Account], window: int, deductions: Amounts) -> None:
        self.now = now
        self.accounts = accounts
        self.window = window
        self.deductions = deductions
        self.replay: AmountReader | None = None
        self.debts: dict[str, int] = {}
        self.unpaid = 0
        self.resident = 0
        self.live = 0
        self.counters: dict[str, int] = {}
        self._windowed: dict[tuple[int, int, str], int] = {}
        self._locks: dict[tuple[int, int, str, str, int], list[int]] = {}
        self.shootdowns: list[tuple[list[object], list[int]]] = []
        self._open_shootdown: dict[int, tuple[int, list[int], int, str]] = {}
        self._sent: dict[int, tuple[int, bool, list[int]]] = {}
        # Cycles that receivers spent, a cell a shootdown: of the one in the mailbox, and of the one each CPU handles.
        self._in_mailbox = [0]
        self._receiving: dict[int, tuple[list[int], list[int]]] = {}
        self.switches: list[list[object]] = []
        self._open_switch: dict[int, tuple[int, str, str, str, list[int]]] = {}
        self.on_create: Callable[[Lwp], None] = lambda lwp: None
        self.on_exit: Callable[[Lwp], None] = lambda lwp: None

    def count(self, ci: CpuInfo, name: str, n: int = 1) -> None:
        """Add to a counter, in total and in this window."""
        self.counters[name] = self.counters.get(name, 0) + n
        key = (self.now() // self.window, ci.ci_index, name)
        self._windowed[key] = self._windowed.get(key, 0) + n

    def deduct(self, lwp: Lwp, cycles: int) -> int:
        """Pay what the LWP owes out of this stretch; the same amount in every run of the pair."""
        if self.replay is not None:
            return cycles - self.replay.next(lwp.key)
        owed = self.debts.get(lwp.key, 0)
        paid = min(owed, cycles)
        self.debts[lwp.key] = owed - paid
        self.deductions.append(lwp.key, paid)
        return cycles - paid

    def owe(self, lwp: Lwp, cycles: int) -> None:
        """The model charged *cycles* that a recorded duration contains already (asked for in the baseline's run)."""
        self.debts[lwp.key] = self.debts.get(lwp.key, 0) + cycles

    def lwp_created(self, lwp: Lwp) -> None:
        """Count live LWPs of the workload."""
        if not lwp.l_system:
            self.live += 1
        self.on_create(lwp)

    def lwp_exited(self, lwp: Lwp) -> None:
        """Forget the LWP; what it still owes could not be taken out."""
        self.unpaid += self.debts.pop(lwp.key, 0)
        if self.replay is None:
            self.deductions.close(lwp.key)
        if not lwp.l_system:
            self.live -= 1
        self.on_exit(lwp)

    def resident_entered(self, lwp: Lwp, va: int) -> None:
        """Count pages that were there before time began."""
        self.resident += 1

    def _snapshot(self, ci: CpuInfo, causes: tuple[str, ...]) -> list[int]:
        """Totals of some causes on a CPU."""
        cycles = self.accounts[ci.ci_index].cycles
        return [cycles[cause] for cause in causes]

    def shootdown_begin(self, ci: CpuInfo, packet: Packet) -> None:
        """Remember where the split of this shootdown's time begins."""
        pages = packet.tp_count.v[0]
        self._open_shootdown[ci.ci_index] = (self.now(), self._snapshot(ci, SHOOTDOWN_CAUSES), pages, packet.why)

    def shootdown_sent(self, ci: CpuInfo, targets: int, broadcast: bool, generation: int) -> None:
        """Remember how many were told."""
        self._in_mailbox = [0]
        self._sent[ci.ci_index] = (targets, broadcast, self._in_mailbox)

    def shootdown_end(self, ci: CpuInfo) -> None:
        """Write the row; receivers may still add to its last cell."""
        begin, before, pages, why = self._open_shootdown.pop(ci.ci_index)
        targets, broadcast, received = self._sent.pop(ci.ci_index, (0, False, [0]))
        split = [a - b for a, b in zip(self._snapshot(ci, SHOOTDOWN_CAUSES), before, strict=True)]
        row = [begin, ci.ci_index, targets, broadcast, pages, why, *split, self.now() - begin]
        self.shootdowns.append((row, received))

    def shootdown_intr_begin(self, ci: CpuInfo) -> None:
        """A handler begins; the mailbox is still the sender's, whatever it does once it is acknowledged."""
        self._receiving[ci.ci_index] = (self._in_mailbox, self._snapshot(ci, RECEIVER_CAUSES))

    def shootdown_intr_end(self, ci: CpuInfo) -> None:
        """Add the handler's time to the shootdown it was for, even if that has ended (acknowledged before flushed)."""
        spent, before = self._receiving.pop(ci.ci_index)
        spent[0] += sum(self._snapshot(ci, RECEIVER_CAUSES)) - sum(before)

    def switch_begin(self, ci: CpuInfo, old: Lwp, new: Lwp) -> None:
        """Close the row of the switch before, open a new one."""
        self._close_switch(ci)
        if old.l_proc.pmap is new.l_proc.pmap and not new.l_system:
            kind = "same-pmap"
        else:
            kind = f"{'kernel' if old.l_system else 'user'}-{'kernel' if new.l_system else 'user'}"
        self._open_switch[ci.ci_index] = (
            self.now(), old.l_name, new.l_name, kind, self._snapshot(ci, SWITCH_CAUSES)
        )  # fmt: skip

    def _close_switch(self, ci: CpuInfo) -> None:
        """Write the row: the pmap load of a switch happens on the way to user mode, after mi_switch."""
        opened = self._open_switch.pop(ci.ci_index, None)
        if opened is None:
            return
        begin, old, new, kind, before = opened
        delta = [a - b for a, b in zip(self._snapshot(ci, SWITCH_CAUSES), before, strict=True)]
        self.switches.append([begin, ci.ci_index, old, new, kind, delta[1], delta[2], sum(delta)])

    def lock_released(self, cpu: int, mutex: Mutex, wait: int, hold: int) -> None:
        """Add one holding of a lock; those without waiting share a row a window."""
        key = (self.now() // self.window, cpu, mutex.lock_class, mutex.name, wait)
        row = self._locks.setdefault(key, [0, 0])
        row[0] += hold
        row[1] += 1

    def timeline_rows(self) -> list[list[object]] | None:
        """Rows of the window's timeline; None without a window."""
        return None

    def frames(self, cpus: list[CpuInfo]) -> dict[str, Frame]:
        """All frames, rows in order of time, column by column."""
        for ci in cpus:
            self._close_switch(ci)
        ledger = [(t, a.cpu, cause, n, c) for a in self.accounts for t, cause, n, c in a.rows]
        counters = [(w * self.window, cpu, name, n) for (w, cpu, name), n in self._windowed.items()]
        locks = [
            (w * self.window, cpu, lock, name, wait, hold, n)
            for (w, cpu, lock, name, wait), (hold, n) in self._locks.items()
        ]
        rows: dict[str, list[list[object]]] = {
            "ledger": [list(r) for r in sorted(ledger)],
            "counters": [list(r) for r in sorted(counters)],
            "shootdowns": [[*r, spent[0]] for r, spent in sorted(self.shootdowns, key=lambda r: (r[0][0], r[0][1]))],
            "switches": sorted(self.switches, key=lambda r: (r[0], r[1])),
            "locks": [list(r) for r in sorted(locks)],
        }
        timeline = self.timeline_rows()
        if timeline is not None:
            rows["timeline"] = timeline
        return {
            name: {column: [row[i] for row in rows[name]] for i, column in enumerate(FRAME_COLUMNS[name])}
            for name in rows
        }
