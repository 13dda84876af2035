"""Notices at the ticks of CPU 0 that the clock runs and nobody gets on: a deadlock, a livelock, or all asleep for good.

An LWP gets on while user work, kernel work or work on page tables is charged, while calls and faults are made, and
while some CPU is in one long step.  A machine whose CPUs are all idle waits for a timer, for as long as it takes.  What
is left, CPUs that spin or only take interrupts, ends by itself within the longest interrupt handler or never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sim.errors import Standstill
from sim.hardware.lock import Mutex
from sim.hardware.steps import Op, Step, conditions
from sim.kernel.kernel import Kernel
from sim.kernel.lwp import Lwp
from sim.timed.cpu_process import CpuProcess
from sim.timed.ledger import Ledger
from sim.timed.recorder import Recorder

PATIENCE_TICKS = 200  # two seconds
HANDLERS = 10  # so many times the longest interrupt handler on top
GETTING_ON = ("user work", "kernel work", "pmap")
ENTRIES = ("syscalls", "made-up calls", "faults")
SHOWN = 4  # CPUs that do the same, channels, and sleepers of one; the others are counted
Marks = tuple[int, ...]


class Watchdog:
    """Watches one machine."""

    def __init__(
        self, kernel: Kernel, cpus: Sequence[CpuProcess], accounts: Sequence[Ledger], recorder: Recorder,
        expected: Callable[[], bool], *, tick: int, frequency_hz: int,
    ) -> None:  # fmt: skip
        self.kernel = kernel
        self.cpus = cpus
        self.accounts = accounts
        self.recorder = recorder
        self.expected = expected  # whether a timer will wake or start an LWP
        self.tick = tick
        self.frequency_hz = frequency_hz
        self._silent = 0  # ticks since anybody got on; not a time, of which a doze passes over much at once
        self._since = 0  # the last tick at which somebody did
        self._marks: Marks = ()
        self._until: list[int] = []

    def blocked(self, now: int) -> bool:
        """CPU 0's clock is about to tick: whether all LWPs that are left sleep, and nothing will wake them.

        Raises Standstill if nobody has got on for too long.
        """
        marks, until = self._progress(), [account.until for account in self.accounts]
        idle = self._idle()
        waits_for_timer = idle and self.expected()
        if waits_for_timer or marks != self._marks or (not idle and self._long_step()):
            self._silent, self._since = 0, now
        else:
            self._silent += 1
        self._marks, self._until = marks, until
        if not self.recorder.live:
            return False
        if idle and not waits_for_timer and self._halted():
            return True
        if self._silent * self.tick <= PATIENCE_TICKS * self.tick + HANDLERS * self.recorder.longest_handler:
            return False
        if idle:  # some CPU is in its own tick's handler whenever CPU 0 looks
            return True
        raise Standstill(self._says())

    def _progress(self) -> Marks:
        """What grows while anybody gets on."""
        counters = self.recorder.counters
        charged = sum(sum(account.of(GETTING_ON)) for account in self.accounts)
        return (charged, self.recorder.live, *(counters.get(name, 0) for name in ENTRIES))

    def _idle(self) -> bool:
        """Whether no CPU has an LWP to run."""
        return all(cpu.core.lwp is cpu.core.ci.ci_idlelwp and not cpu.core.ci.ci_runqueue.count for cpu in self.cpus)

    def _halted(self) -> bool:
        """Whether all CPUs are halted, with nothing on its way to them."""
        wanted = any(ci.ci_want_resched.v[0] for ci in self.kernel.cpus)  # its line is on the way to an idle CPU
        return not wanted and all(cpu.halted and not cpu.apic.pending for cpu in self.cpus)

    def _long_step(self) -> bool:
        """Whether a CPU is still in the step that it was in a tick ago, and does not wait there."""
        return any(
            before == account.until and cpu.spinning is None and not cpu.halted
            for before, account, cpu in zip(self._until, self.accounts, self.cpus, strict=False)
        )

    # --- the message ------------------------------------------------------------------------------------------------

    def _says(self) -> str:
        """One line: since when, what each CPU does, and who sleeps where."""
        doing: dict[str, list[str]] = {}
        for cpu in self.cpus:
            doing.setdefault(self._does(cpu), []).append(f"cpu{cpu.index}")
        parts = [f"{_some(cpus)} {what}" for what, cpus in doing.items()]
        asleep: dict[str, list[str]] = {}
        for channel, lwp in self.kernel.channels.items():
            if not (lwp.l_system and str(channel).startswith("xcall/")):  # these sleep whenever they are not needed
                asleep.setdefault(str(channel), []).append(lwp.l_name)
        sleepers = [f"{_some(names)} on {channel}" for channel, names in asleep.items()]
        if sleepers:
            parts.append(f"asleep: {_some(sleepers)}")
        ms = 1e3 * self._since / self.frequency_hz
        return f"no LWP has got on since {ms:.6g} ms of simulated time: {'; '.join(parts)}"

    def _does(self, cpu: CpuProcess) -> str:
        """What one CPU does, as a participle."""
        lwp, step = cpu.core.lwp, cpu.spinning
        interrupts = f"interrupts {'on' if cpu.cpu.intr else 'off'}, level {cpu.cpu.ipl}"
        if step is not None:
            return f"{_spin(step, lwp)} in {step[1]} ({interrupts})"
        if lwp.saved:
            return f"taking interrupts and doing nothing else ({interrupts})"
        if lwp is cpu.core.ci.ci_idlelwp:
            return f"idle with {cpu.core.ci.ci_runqueue.count} LWPs queued"
        return f"running {lwp.l_name} ({interrupts})"


def _spin(step: Step, lwp: Lwp) -> str:
    """What a step of an LWP that spins waits for."""
    if step[0] == Op.ACQUIRE:
        mutex: Mutex = step[2]
        return f"waiting for {mutex.name}, held by cpu{mutex.owner.index}"
    lock = lwp.l_proc.vm_map_lock
    if any(words is lock.rw_owner for words, _, _ in conditions(step)):
        return f"waiting for {lock.rw_owner.name}, held by {_some(holder.l_name for holder in lock.holders)}"
    words = " or ".join(f"{words.word_name(index)} = {words.v[index]}" for words, index, _ in conditions(step))
    return f"spinning on {words}"


def _some(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
