"""Fields of the kernel's objects whose uses are judged as they are made, by the rules of the guards.

The objects get another class, in which a descriptor stands where the slot was; a rule is asked at each use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.explore.judges.guards import Guards, Rule, vm_map
from sim.explore.model import AtWork
from sim.kernel.lwp import Lwp, Process
from sim.kernel.rwlock import WRITE_LOCKED, RwLock
from sim.kernel.vm_page import VmPage


class Guarded:
    """A field of whose uses those by procedures of the kernel are judged."""

    def __init__(self, slot: Any, rule: Rule) -> None:
        self._slot = slot
        self._rule = rule

    def __get__(self, holder: Any, kind: type) -> Any:
        if AtWork.judge is not None:
            AtWork.judge.uses(holder, self._rule, changes=False)
        return self._slot.__get__(holder)

    def __set__(self, holder: Any, value: Any) -> None:
        if AtWork.judge is not None:
            AtWork.judge.uses(holder, self._rule, changes=True)
        self._slot.__set__(holder, value)


class Counted(Guarded):
    """The count of a page's references, which never goes below 0."""

    def __set__(self, holder: VmPage, value: int) -> None:
        super().__set__(holder, value)
        if value < 0 and AtWork.judge is not None:
            AtWork.judge.dropped(holder)


def changes_guarded(slot: Any, rule: Rule) -> Any:
    """The same for a field that everybody may read."""

    def store(holder: Any, value: Any) -> None:
        if AtWork.judge is not None:
            AtWork.judge.uses(holder, rule, changes=True)
        slot.__set__(holder, value)

    return property(slot.__get__, store)


class Entries(dict[int, VmPage]):
    """The entries of a map, which note that one is added or taken away.

    Who lets go of an anon, and not of the entry, needs its owner's lock and the map's for reading (amap_unadd).
    """

    def __init__(self, proc: Process) -> None:
        super().__init__(proc.pages)
        self._proc = proc

    def _changes(self, page: VmPage | None = None) -> None:
        judge = AtWork.judge
        if judge is not None:
            let_go = page is not None and page.anon and page.lock.owner is judge.ci.cpu
            judge.uses(self._proc, _ENTRIES, changes=not let_go)

    def __setitem__(self, va: int, page: VmPage) -> None:
        if va not in self:
            self._changes()
        super().__setitem__(va, page)

    def pop(self, va: int, *default: Any) -> Any:
        """Take an entry away, if there is one."""
        if va in self:
            self._changes(self[va])
        return super().pop(va, *default)

    def __delitem__(self, va: int) -> None:
        self._changes()
        super().__delitem__(va)


_ENTRIES = Rule("pages", vm_map)


class Holders(list[Lwp]):
    """Who holds the lock of a map: judged as somebody gets it, and as a writer has given it back."""

    def __init__(self, lock: RwLock) -> None:
        super().__init__(lock.holders)
        self._lock = lock
        self._written = False  # a writer has it, as its word says; once it is back the word no longer does

    def append(self, lwp: Lwp) -> None:
        """An LWP has the lock."""
        super().append(lwp)
        self._written = bool(self._lock.rw_owner.v[0] & WRITE_LOCKED)
        if AtWork.judge is not None:
            AtWork.judge.locked(self._lock)

    def remove(self, lwp: Lwp) -> None:
        """An LWP has given it back."""
        super().remove(lwp)
        if self._written and AtWork.judge is not None:
            AtWork.judge.unlocked(self._lock, lwp)
        self._written = False


def guarded(kind: type, how: Callable[[Any, Rule], Any] = Guarded, **rules: Callable[[Guards, Any, bool], str]) -> Any:
    """A class as *kind* of which these fields are guarded."""
    return with_fields(kind, {name: how(getattr(kind, name), Rule(name, rule)) for name, rule in rules.items()})


def with_fields(kind: type, fields: dict[str, Any]) -> Any:
    """A class as *kind* in which these descriptors take the place of its slots."""
    names = {"__slots__": (), "__module__": kind.__module__, **fields}
    return type(f"Watched{kind.__name__.removeprefix('Watched')}", (kind,), names)
