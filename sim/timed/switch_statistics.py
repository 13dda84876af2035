"""Which switches there were, and what each cost with the pmap load that follows on the way to user mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sim.causes import of_phases
from sim.kernel.lwp import Lwp
from sim.timed.ledger import Ledger

SWITCH_CAUSES = of_phases("switch")
LWP_SWITCH, PDIR_SWITCH = map(SWITCH_CAUSES.index, ("svs_lwp_switch", "svs_pdir_switch copy"))


class SwitchStatistics:
    """Switches of every CPU; one lasts until the CPU's next begins."""

    def __init__(self, now: Callable[[], int], accounts: Sequence[Ledger]) -> None:
        self.now = now
        self.accounts = accounts
        self._rows: list[list[object]] = []
        self._open: dict[int, tuple[int, str, str, str, list[int]]] = {}

    def begin(self, cpu: int, old: Lwp, new: Lwp) -> None:
        """Close the row of the switch before, open a new one."""
        so_far = self.accounts[cpu].of(SWITCH_CAUSES)
        self._close(cpu, so_far)
        if old.l_proc.pmap is new.l_proc.pmap and not new.l_system:
            kind = "same-pmap"
        else:
            kind = f"{'kernel' if old.l_system else 'user'}-{'kernel' if new.l_system else 'user'}"
        self._open[cpu] = (self.now(), old.l_name, new.l_name, kind, so_far)

    def _close(self, cpu: int, so_far: list[int]) -> None:
        """Write the row of a switch: its pmap load, which comes after mi_switch, is over."""
        opened = self._open.pop(cpu, None)
        if opened is None:
            return
        begin, old, new, kind, before = opened
        delta = [a - b for a, b in zip(so_far, before, strict=True)]
        self._rows.append([begin, cpu, old, new, kind, delta[LWP_SWITCH], delta[PDIR_SWITCH], sum(delta)])

    def rows(self) -> list[list[object]]:
        """Rows of the ``switches`` frame."""
        for cpu in range(len(self.accounts)):
            self._close(cpu, self.accounts[cpu].of(SWITCH_CAUSES))
        return sorted(self._rows, key=lambda row: (row[0], row[1]))
