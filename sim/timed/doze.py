"""Long idleness of the whole machine: one row for it, and seconds that repeat are added instead of carried out.

An idle CPU still takes its clock's ticks, a hundred a second.  Where every CPU is halted and nothing but clocks is due
for some seconds, all that happens is the same second again: once two seconds in a row charged and counted exactly the
same, the fast engine adds the others up.  The plain one carries them out; both sum the stretch up in one row of each
frame with windows, so that idle time costs no memory either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat

from sim.kernel.kernel import Kernel
from sim.timed.clock import Beat, Clock
from sim.timed.cpu_process import CpuProcess
from sim.timed.ledger import Ledger
from sim.timed.recorder import Recorder

SHORTEST = 4  # periods; two are carried out to see that they are the same
Charged = dict[str, tuple[int, int]]  # count and cycles by cause
Snapshot = tuple[list[Charged], dict[tuple[int, str], int], list[int], int]


class Doze:
    """Watches a machine at the ticks of CPU 0.

    Attributes:
        period: cycles after which everything that is periodic comes again, *ticks* of the clock.
        skips: whether repeated seconds are added up.
    """

    def __init__(
        self, clock: Clock, kernel: Kernel, cpus: Sequence[CpuProcess], accounts: Sequence[Ledger],
        recorder: Recorder, *, period: int, ticks: int, skips: bool,
    ) -> None:  # fmt: skip
        self.clock = clock
        self.kernel = kernel
        self.cpus = cpus
        self.accounts = accounts
        self.recorder = recorder
        self.period = period
        self.ticks = ticks
        self.skips = skips
        self._begin = self._end = 0
        self._taken: list[Snapshot] = []
        self._idle_exits: list[Iterator[int]] = []

    def tick(self) -> None:
        """CPU 0's clock is about to tick."""
        now = self.clock.cycle
        if self._end <= now and self._end:
            self._wake(now)
        if not self._end:
            self._fall_asleep(now)
        elif self.skips and (now - self._begin) % self.period == 0:
            self._look(now)

    def _halted(self) -> bool:
        return all(cpu.halted and not cpu.apic.pending for cpu in self.cpus)

    def _fall_asleep(self, now: int) -> None:
        """Begin a doze if nothing will happen for long enough."""
        if not self._halted():
            return
        due = min((entry[0] for entry in self.clock.waiting() if not isinstance(entry[3], Beat)), default=now)
        periods = int(due - now - 1) // self.period
        if periods < SHORTEST:
            return
        self._begin, self._end = now, now + periods * self.period
        self._taken = [self._snapshot(now)]
        for account in self.accounts:
            account.suspend_windows(now)
        self.recorder.suspend_windows()
        # How deep an idle CPU sleeps may be drawn anew each time; all through a doze it sleeps equally deep.
        self._idle_exits = [cpu.idle_exits for cpu in self.cpus]
        for cpu in self.cpus:
            cpu.idle_exits = repeat(cpu.idle_exit)

    def _look(self, now: int) -> None:
        """A period is over: if it was as the one before, the others will be."""
        self._taken.append(self._snapshot(now))
        if len(self._taken) < 3 or not self._halted():
            return
        first, second, third = self._taken[-3:]
        grown = _grown(second, third)
        if grown is not None and grown == _grown(first, second):
            periods = (self._end - now) // self.period
            self._skip(periods, *grown)
            self._wake(self._end)
        else:
            self._taken.pop(0)

    def _skip(self, periods: int, charged: list[Charged], counted: dict[tuple[int, str], int]) -> None:
        """Let so many periods pass at once."""
        cycles = periods * self.period
        for account, causes in zip(self.accounts, charged, strict=True):
            account.repeat(causes, periods, cycles)
        self.recorder.repeat(counted, periods)
        self.kernel.ticks += periods * self.ticks
        self.clock.pass_over(cycles)

    def _wake(self, now: int) -> None:
        """The doze is over."""
        label = self._begin // self.recorder.window + 1
        for account in self.accounts:
            account.resume_windows(now)
        self.recorder.resume_windows(label)
        for cpu, idle_exits in zip(self.cpus, self._idle_exits, strict=True):
            cpu.idle_exits = idle_exits
        self._begin = self._end = 0

    def _snapshot(self, now: int) -> Snapshot:
        """What has been charged and counted by now, how far each account is behind, and how often locks were held."""
        charged = [{cause: (a.counts[cause], a.cycles[cause]) for cause in a.cycles} for a in self.accounts]
        behind = [now - account.until for account in self.accounts]
        return charged, self.recorder.counted_by_cpu(), behind, self.recorder.locks.holdings()


def _grown(one: Snapshot, two: Snapshot) -> tuple[list[Charged], dict[tuple[int, str], int]] | None:
    """What a period added; None if it cannot be repeated."""
    if one[2:] != two[2:]:
        return None
    charged = [
        {cause: (n - before[cause][0], c - before[cause][1]) for cause, (n, c) in after.items()}
        for before, after in zip(one[0], two[0], strict=True)
    ]
    return charged, {key: n - one[1].get(key, 0) for key, n in two[1].items()}
