"""Whose time it is: the ledger once more, by task and by system call.

Each LWP has a tally (cycles by cause) for each call that it makes, and one for everything outside calls.  The CPU's
account charges the tally that is current besides its own totals, so both have the same sums.  A tally changes only
where the CPU changes LWP, and where a call begins or ends.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from sim.kernel.lwp import Lwp, Tally
from sim.kernel.program import OUTSIDE, Call, Who
from sim.timed.ledger import CHARGE, Ledger

IDLE = "(idle)"  # what the idle LWPs are called as commands


class Tallies:
    """The tallies of one run; with *measured*, only of what those LWPs do while they are in it.

    *on_leave* is called with each LWP that has left its CPU.

    Attributes:
        began, ended: when the first of those asked for was first given a CPU, and the last of them left it last
            (-1: never).
        switches: how often one of them was given a CPU, or was taken from it.
    """

    def __init__(
        self, now: Callable[[], int], accounts: Sequence[Ledger], measured: Container[Lwp] | None = None,
        on_leave: Callable[[Lwp], None] | None = None,
    ) -> None:  # fmt: skip
        self.began = self.ended = -1
        self.switches = 0
        self._now = now
        self._accounts = accounts
        self._measured = measured
        self._on_leave = on_leave
        self._runs: dict[int, Lwp] = {}
        self._chosen_on = [False] * len(accounts)
        self._live: dict[int, Lwp] = {}
        self._tasks: dict[Who, Tally] = {}
        self._calls: dict[tuple[Who, Call], Tally] = {}
        self._made: dict[tuple[Who, Call], int] = {}

    def switched(self, cpu: int, lwp: Lwp) -> None:
        """The CPU runs another LWP from now on."""
        self._accounts[cpu].tally = lwp.tally
        if lwp.who.chosen or self._chosen_on[cpu]:
            self.switches += lwp.who.chosen + self._chosen_on[cpu]
            self._chosen(cpu, runs=lwp.who.chosen)
        if self._on_leave is not None:
            before, self._runs[cpu] = self._runs.get(cpu, lwp), lwp
            self._on_leave(before)

    def _chosen(self, cpu: int, *, runs: bool) -> None:
        """One of those asked for leaves the CPU or, if one *runs* now, comes to it."""
        now = self._now()
        if self._chosen_on[cpu]:
            self.ended = now
        if runs and self.began < 0:
            self.began = now
        self._chosen_on[cpu] = runs

    def join(self, lwp: Lwp) -> None:
        """An LWP is there from now on."""
        self._live[id(lwp)] = lwp

    def begin(self, lwp: Lwp, call: Call, times: int = 1) -> None:
        """The LWP, which runs, makes a call or faults, so many *times*."""
        tally = lwp.tallies.get(call)
        if tally is None:
            tally = lwp.tallies[call] = {}
        if self._measured is None or lwp in self._measured:
            made = lwp.calls_made
            made[call] = made.get(call, 0) + times
        lwp.tally = self._accounts[lwp.l_cpu.ci_index].tally = tally

    def end(self, lwp: Lwp) -> None:
        """It is back in user mode."""
        lwp.tally = self._accounts[lwp.l_cpu.ci_index].tally = lwp.tallies[OUTSIDE]

    def rename(self, lwp: Lwp, who: Who) -> None:
        """The LWP, which runs, executes another program: what it does from now on is that one's."""
        self.cut(lwp)
        lwp.who = who
        self._chosen(lwp.l_cpu.ci_index, runs=who.chosen)

    def cut(self, lwp: Lwp) -> None:
        """What the LWP was charged by now is done with; it gets empty tallies."""
        current = next(call for call, tally in lwp.tallies.items() if tally is lwp.tally)
        self._fold(lwp)
        lwp.tallies = {OUTSIDE: {}}
        before, lwp.tally = lwp.tally, lwp.tallies.setdefault(current, {})
        account = self._accounts[lwp.l_cpu.ci_index]
        if account.tally is before:
            account.tally = lwp.tally

    def leave(self, lwp: Lwp) -> None:
        """The LWP is gone; what it took stays."""
        self._fold(lwp)
        del self._live[id(lwp)]

    def _fold(self, lwp: Lwp) -> None:
        """Add an LWP's tallies to those of its task and of the task's calls, if it is measured."""
        for call, n in lwp.calls_made.items():
            key = (lwp.who, call)
            self._made[key] = self._made.get(key, 0) + n
        lwp.calls_made.clear()
        if self._measured is not None and lwp not in self._measured:
            return
        task = self._tasks.setdefault(lwp.who, {})
        process = lwp.who._replace(tid=0)
        for call, tally in lwp.tallies.items():
            kept = None if call == OUTSIDE else self._calls.setdefault((process, call), {})
            for cause, charged in tally.items():
                task[cause] = task.get(cause, 0) + charged
                if kept is not None:
                    kept[cause] = kept.get(cause, 0) + charged

    def finish(self) -> None:
        """The run has ended: those who still live are counted as they stand."""
        for lwp in list(self._live.values()):
            self.leave(lwp)
        if any(self._chosen_on):
            self.ended = self._now()

    def task_rows(self) -> list[list[object]]:
        """Rows of the frame ``tasks``: a task and a cause."""
        return [
            [*who[:3], who.chosen, cause, *divmod(charged, CHARGE)]
            for who, tally in sorted(self._tasks.items())
            for cause, charged in sorted(tally.items())
        ]

    def call_rows(self) -> list[list[object]]:
        """Rows of the frame ``calls``: a process's calls of one name and a cause."""
        made: dict[tuple[Who, Call], int] = {}
        for (who, call), n in self._made.items():
            key = (who._replace(tid=0), call)
            made[key] = made.get(key, 0) + n
        return [
            [who.comm, who.pid, who.chosen, *call, made.get((who, call), 0), cause, *divmod(charged, CHARGE)]
            for (who, call), tally in sorted(self._calls.items())
            for cause, charged in sorted(tally.items())
        ]
