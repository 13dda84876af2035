"""Reads litmus programs (TOML): what they are made of, and that every name in them is of something there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from scenarios.litmus_lwps import inherited, together
from sim.errors import InputError, closest
from sim.explore.invariants import BY_NAME
from sim.explore.litmus import Litmus, LitmusLwp, Op
from sim.explore.mirror import mirrored
from sim.explore.ops import USER_VERBS, VERBS
from sim.explore.ops.kernel_memory import IN_HANDLERS
from sim.inputs.shown import cut, name_of, shown
from sim.inputs.table import Table
from sim.inputs.toml import read_toml
from sim.kernel.designs import PROFILES
from sim.kernel.segments import PLACES

FOLDER = Path(__file__).parent / "litmus"
MOST_CPUS = 4
MOST_SLOTS = 8
MOST_LWPS = 16
MOST_OPS = 64  # of an LWP
MOST_PMAPS = 16
MOST_KERNEL_PAGES = 8
_PAGE = re.compile(r"(?:(\w{1,60}):)?([0-9]{1,6})\.([0-9]{1,6})(?:\+([0-9]{1,6}))?")
_ROLES = re.compile(r"([^@]+)@([0-9]{1,9})")
_WORD = re.compile(r"[A-Za-z_]\w{0,59}")
OWN = frozenset({"read", "write", "touch", "look", "recall", "copyin", "copyout", "munmap", "mremap", "madvise",
                 "mprotect", "mprotect_none", "enter_again"})  # fmt: skip
NOT_SHARED = frozenset({"enter", "enter_read", "replace", "remove", "madvise", "zap"})  # they free what they unmap
_TAKES = {
    "page": "a page, SLOT.PAGE", "range": "a page or a range, SLOT.PAGE+COUNT", "kernel page": "a page's number",
    "range and page": "a page or a range, and where it goes, SLOT.PAGE", "lwp": "an LWP's name", "name": "one name",
    "child": "an LWP's name or nothing", "pmap": "a pmap's name or nothing", "cpu": "a CPU's number",
    "device": "a CPU's number, and a channel or an operation", "register": "one place or nothing",
    "shared page": "a shared page's name", "": "nothing",
}  # fmt: skip
_KEYS = ("says", "covers", "cpus", "slots", "idle", "pcid", "kernel", "pmaps", "shared", "unused", "lwps", "expect")


def shipped() -> list[str]:
    """Names of the litmus programs that come with the project, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find(name: str) -> Litmus:
    """Read a litmus program by the name of a shipped one or by the path of a file.

    ``NAME@10`` is the program with its roles given to other CPUs, by that assignment.  Raises InputError if there is no
    such program or it is wrong.
    """
    there = _ROLES.fullmatch(name)
    if there is not None:
        program, roles = find(there[1]), [int(digit) for digit in there[2]]
        if sorted(roles) != list(range(program.cpus)):
            raise InputError(f"litmus program '{name}': '{there[2]}' does not have each CPU from 0 to "
                             f"{program.cpus - 1} once")  # fmt: skip
        return mirrored(program, roles)
    path = Path(name)
    if path.suffix != ".toml":
        path = FOLDER / f"{name}.toml"
        if not path.is_file():
            raise InputError(f"no litmus program '{name}'{closest(name, shipped())} (a file's name ends in .toml)")
    return read(path)


def read(path: Path) -> Litmus:
    """Read a litmus program from a file; InputError names file, key and value."""
    return _Reader(path, read_toml(path)).litmus()


class _Reader:
    """One file being read."""

    def __init__(self, path: Path, top: Table) -> None:
        self.path = path
        self.top = top
        top.only(*_KEYS)
        self.cpus = top.whole("cpus", most=MOST_CPUS)
        self.slots = top.whole("slots", most=MOST_SLOTS)
        self.pages = 1 << 2 * (3 if self.slots <= 3 else 4)  # as Litmus.geometry has it
        self.pmaps = self._pmaps(top.table("pmaps", {}))
        self.shared = self._shared(top.table("shared", {}))
        self.places = {place for places in self.shared.values() for place in places}
        self.unused = self._unused(top)
        self.kernel = top.whole("kernel", 0, least=0, most=MOST_KERNEL_PAGES)
        self.mwait = top.text("idle", "mwait", ("mwait", "hlt")) == "mwait"
        self.pcid = top.flag("pcid", True)

    def litmus(self) -> Litmus:
        """Check and build."""
        top = self.top
        violates, outcomes = _expected(top.table("expect", {}))
        return Litmus(
            name_of(self.path), top.prose("says"), self.cpus, self.slots, self.pmaps, self._lwps(),
            tuple(top.texts("covers", [])), violates, outcomes, self.shared, where=str(self.path),
            shipped=self.path.parent == FOLDER, kernel=self.kernel, mwait=self.mwait, pcid=self.pcid,
            unused=self.unused,
        )  # fmt: skip

    def _pmaps(self, table: Table) -> dict[str, tuple[tuple[int, int], ...]]:
        """The first pages of each pmap."""
        if len(table.values) > MOST_PMAPS:
            raise self.top.fail("pmaps", f"{len(table.values)} pmaps; there must be {MOST_PMAPS} or fewer")
        pmaps = {}
        for name in table.values:
            found = [self.page(table, name, page, ranges=True)[1:] for page in table.texts(name)]
            pages = pmaps[name] = tuple((slot, page + i) for slot, page, count in found for i in range(count))
            if len(set(pages)) != len(pages):
                raise table.fail(name, "a page is listed twice")
        return pmaps

    def _shared(self, table: Table) -> dict[str, tuple[tuple[str, int, int], ...]]:
        """Where each page is that several pmaps, or one of them several times, map at first."""
        if len(table.values) > MOST_PMAPS:
            raise self.top.fail("shared", f"{len(table.values)} pages; there must be {MOST_PMAPS} or fewer")
        pages: dict[str, tuple[tuple[str, int, int], ...]] = {}
        taken = {(name, *page) for name, found in self.pmaps.items() for page in found}
        for name in table.values:
            if not _WORD.fullmatch(name):
                raise table.fail(name, "is not a name")
            found = [self.page(table, name, place, ranges=False)[:3] for place in table.texts(name)]
            for pmap, *_ in found:
                if pmap not in self.pmaps:
                    raise table.fail(name, f"no pmap {shown(pmap)}{closest(pmap, self.pmaps)}; say PMAP:SLOT.PAGE")
            if len({*taken, *found}) != len(taken) + len(found):
                raise table.fail(name, "two pages are at one place")
            taken.update(found)
            pages[name] = tuple(found)
        return pages

    def _unused(self, top: Table) -> frozenset[tuple[str, int, int]]:
        """Pages that are there first and that nobody has used."""
        first = self.places | {(name, *page) for name, pages in self.pmaps.items() for page in pages}
        texts = top.texts("unused", [])
        found = [self.page(top, "unused", text, ranges=False)[:3] for text in texts]
        for text, place in zip(texts, found, strict=True):
            if place not in first:
                raise top.fail("unused", f"{shown(text)} is no page that is mapped first; say PMAP:SLOT.PAGE")
        return frozenset(found)

    def page(self, table: Table, key: str, text: str, *, ranges: bool) -> tuple[str, int, int, int]:
        """``[PMAP:]SLOT.PAGE``, and with *ranges* perhaps ``+COUNT``: pmap, slot, page and count."""
        match = _PAGE.fullmatch(text)
        if match is None or match[4] and not ranges:
            raise table.fail(key, f"{shown(text)} is not a page (SLOT.PAGE as in '0.1', or PMAP:SLOT.PAGE)")
        slot, page, count = int(match[2]), int(match[3]), int(match[4] or 1)
        if slot >= self.slots:
            raise table.fail(key, f"'{text}': there are only {self.slots} user slots, from 0")
        if not count:
            raise table.fail(key, f"'{text}': a range has a page or more")
        if page + count > self.pages:
            raise table.fail(key, f"'{text}': a slot has only {self.pages} pages, from 0")
        return match[1] or "", slot, page, count

    def _lwps(self) -> tuple[LitmusLwp, ...]:
        """The LWPs, each operation parsed."""
        tables = self.top.tables("lwps", most=MOST_LWPS)
        if not tables:
            raise self.top.fail("lwps", "there is none; a program needs at least one")
        names: list[str] = []
        for table in tables:
            table.only("name", "pmap", "cpu", "ops", "bound")
            names.append(table.text("name"))
            if names[-1] in names[:-1]:
                raise table.fail("name", f"two LWPs are called {shown(names[-1])}")
        calls = [call.split() for table in tables for text in table.texts("ops") for call in text.split(";")]
        self.children = {words[1] for words in calls if words[:1] == ["fork"] and len(words) == 2}
        lwps = tuple(self._lwp(table, names) for table in tables)
        together(tables, lwps, self.places | inherited(self.pmaps, lwps))
        return lwps

    def _lwp(self, table: Table, names: list[str]) -> LitmusLwp:
        """One LWP."""
        name = table.text("name")
        if not _WORD.fullmatch(name):
            raise table.fail("name", f"{shown(name)} is not a name (letters, digits and _)")
        pmap = table.text("pmap", "")
        forked = name in self.children
        if forked and (pmap in self.pmaps or not _WORD.fullmatch(pmap)):
            raise table.fail("pmap", f"{shown(pmap)}: an LWP that is forked has a new pmap, with a name of its own")
        if pmap and pmap not in self.pmaps and not forked:
            raise table.fail("pmap", f"no pmap {shown(pmap)}{closest(pmap, self.pmaps)}")
        cpu = table.whole("cpu", least=0, most=self.cpus - 1)
        texts = table.texts("ops")
        if len(texts) > MOST_OPS:
            raise table.fail("ops", f"{len(texts)} operations; there must be {MOST_OPS} or fewer")
        parser = _Ops(self, table, names, pmap)
        ops = tuple(op for text in texts for op in parser.call(text))
        if any(op.verb == "exit" for op in ops[:-1]):
            raise table.fail("ops", "'exit' can only come last")
        bound = table.flag("bound", True)
        table.finish()
        return LitmusLwp(name, pmap, cpu, ops, bound, forked)


class _Ops:
    """The operations of one LWP, whose pmap is *own* (empty for a kernel LWP)."""

    def __init__(self, reader: _Reader, table: Table, names: list[str], own: str) -> None:
        self.reader = reader
        self.table = table
        self.names = names
        self.own = own

    def wrong(self, text: str, what: str) -> InputError:
        """An error about one operation."""
        return self.table.fail("ops", f"{shown(text)}: {what}")

    def call(self, text: str) -> list[Op]:
        """One operation, or several of one system call, with semicolons between."""
        ops = [self.op(part.strip()) for part in text.split(";")]
        for op in ops if len(ops) > 1 else ():
            if op.verb in USER_VERBS or op.verb == "segment":
                raise self.wrong(text, f"'{op.verb}' is no part of a system call")
        return [*(op._replace(more=True) for op in ops[:-1]), ops[-1]]

    def op(self, text: str) -> Op:
        """One operation: a verb and what it takes."""
        verb, *rest = text.split() or [""]
        if verb not in VERBS:
            what = f"unknown operation '{cut(verb)}'{closest(verb, VERBS)} (known: {', '.join(VERBS)})"
            raise self.table.fail("ops", what)
        takes = VERBS[verb]
        most = {"device": 3, "range and page": 2}.get(takes, bool(takes))
        if len(rest) > most or not rest and takes not in ("", "child", "pmap", "register"):
            raise self.wrong(text, f"{verb} takes {_TAKES[takes]}")
        if takes in ("page", "range"):
            return self._page_op(verb, text, rest[0], ranges=takes == "range")
        if takes == "range and page":
            if len(rest) < 2:
                raise self.wrong(text, f"{verb} takes {_TAKES[takes]}")
            return self._moved(self._page_op(verb, text, rest[0], ranges=True), rest[1])
        if takes == "kernel page":
            return Op(verb, text, page=self._kernel_page(text, rest[0]))
        self._names_something(text, takes, rest)
        if not self.own and verb in ("segment", "fork", "exec", "syscall", "disable"):
            raise self.wrong(text, "a kernel LWP makes no system calls")
        if takes == "pmap":
            return Op(verb, text, pmap=rest[0] if rest else self.own)
        return Op(verb, text, name=" ".join(rest))

    def _names_something(self, text: str, takes: str, rest: list[str]) -> None:
        """What an operation names is there: a CPU, an LWP, a page, a place or a pmap."""
        if takes in ("cpu", "device") and rest[0] not in [str(cpu) for cpu in range(self.reader.cpus)]:
            raise self.wrong(text, f"there are CPUs 0 to {self.reader.cpus - 1}")
        if len(rest) == 3:
            self._known(text, "handler's operation", rest[1], sorted(IN_HANDLERS))
            self._kernel_page(text, rest[2])
        if takes in ("lwp", "child") and rest and rest[0] not in self.names:
            raise self.wrong(text, f"no LWP '{cut(rest[0])}'{closest(rest[0], self.names)}")
        if takes == "shared page" and rest[0] not in self.reader.shared:
            raise self.wrong(text, f"no shared page '{cut(rest[0])}'{closest(rest[0], self.reader.shared)}")
        if takes == "register" and rest:
            self._known(text, "register", rest[0], PLACES)
        if takes == "pmap" and rest and rest[0] not in self.reader.pmaps:
            raise self.wrong(text, f"no pmap '{cut(rest[0])}'{closest(rest[0], self.reader.pmaps)}")

    def _known(self, text: str, what: str, word: str, known: Sequence[str]) -> None:
        """A word is one of some that are always there."""
        if word not in known:
            raise self.wrong(text, f"no {what} '{cut(word)}'{closest(word, known)} (known: {', '.join(known)})")

    def _kernel_page(self, text: str, page: str) -> int:
        """The number of a page of kernel memory."""
        if page not in [str(number) for number in range(MOST_KERNEL_PAGES)]:
            raise self.wrong(text, f"'{cut(page)}' is no page of kernel memory; they are 0 to {MOST_KERNEL_PAGES - 1}")
        return int(page)

    def _page_op(self, verb: str, text: str, page: str, *, ranges: bool) -> Op:
        """An operation on a page or a range, of the LWP's pmap or a named one."""
        pmap, slot, number, count = self.reader.page(self.table, "ops", page, ranges=ranges)
        if pmap and pmap not in self.reader.pmaps:
            raise self.wrong(text, f"no pmap '{pmap}'{closest(pmap, self.reader.pmaps)}")
        if not self.own and not pmap:
            raise self.wrong(text, f"a kernel LWP has no pmap of its own; say PMAP:{page}")
        if verb in OWN and (pmap or not self.own):
            raise self.wrong(text, "only an LWP's own pmap can be accessed")
        places = {(pmap or self.own, slot, number + i) for i in range(count)}
        if verb in NOT_SHARED and places & self.reader.places:
            raise self.wrong(text, "a shared page is unmapped by munmap and page_remove")
        return Op(verb, text, pmap, slot, number, count)

    def _moved(self, op: Op, to: str) -> Op:
        """An operation on a range that says where it goes."""
        pmap, slot, page, _ = self.reader.page(self.table, "ops", to, ranges=False)
        self.reader.page(self.table, "ops", f"{slot}.{page}+{op.pages}", ranges=True)
        if pmap:
            raise self.wrong(op.text, "an LWP moves pages within its own pmap")
        return op._replace(to=(slot, page))


def _expected(table: Table) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Expected violations by profile, allowed outcomes."""
    table.only("holds", "violates", "outcomes")
    holds = table.flag("holds") if table.has("holds") else None
    violates: dict[str, tuple[str, ...]] = {}
    if isinstance(table.get("violates", {}), str | list):
        violates = dict.fromkeys(PROFILES, _invariants(table, "violates"))
    else:
        by_profile = table.table("violates", {})
        for profile in by_profile.values:
            name, _, roles = profile.partition("@")
            if name not in PROFILES:
                raise by_profile.fail(profile, f"unknown profile{closest(name, PROFILES)}")
            if "@" in profile and not (roles.isdigit() and sorted(roles) == [str(i) for i in range(len(roles))]):
                raise by_profile.fail(profile, f"'{cut(roles)}' is no assignment of roles to CPUs, as '10' is")
            violates[profile] = _invariants(by_profile, profile)
    if holds is False and not violates:
        raise table.fail("holds", "false needs expect.violates, which says what breaks under which profile")
    if holds and violates:
        raise table.fail("holds", "'holds = true' and 'violates' contradict each other")
    return violates, tuple(table.texts("outcomes", []))


def _invariants(table: Table, key: str) -> tuple[str, ...]:
    """The name of an invariant, or a list of them."""
    names = table.texts(key) if isinstance(table.get(key), list) else [table.text(key)]
    if not names:
        raise table.fail(key, "names no invariant")
    for name in names:
        if name not in BY_NAME:
            raise table.fail(key, f"unknown invariant {shown(name)}{closest(name, BY_NAME)}")
    return tuple(names)
