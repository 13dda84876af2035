"""Reads litmus programs (TOML) strictly: what is unknown, misspelt or contradictory is an error with its place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from sim.errors import InputError, closest
from sim.explore.invariants import BY_NAME
from sim.explore.litmus import Litmus, LitmusLwp, Op
from sim.explore.ops import VERBS
from sim.kernel.designs import PROFILES

FOLDER = Path(__file__).parent / "litmus"
_KEYS = {"says": str, "covers": list, "cpus": int, "slots": int, "pmaps": dict, "lwps": list, "expect": dict}
_LWP_KEYS = {"name": str, "pmap": str, "cpu": int, "ops": list}
_EXPECT_KEYS = {"holds": bool, "violates": (str, dict), "outcomes": list}
_PAGE = re.compile(r"(?:(\w+):)?(\d+)\.(\d+)")
_WORD = re.compile(r"[A-Za-z_]\w*")


def shipped() -> list[str]:
    """Names of the litmus programs that come with the project, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find(name: str) -> Litmus:
    """Read a litmus program by the name of a shipped one or by the path of a file.

    Raises InputError if there is no such program or it is wrong.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = FOLDER / f"{name}.toml"
        if not path.is_file():
            raise InputError(f"no litmus program '{name}'{closest(name, shipped())} (a file's name ends in .toml)")
    return read(path)


def read(path: Path) -> Litmus:
    """Read a litmus program from a file; InputError names file, key and value."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML: {error}") from None
    return _Reader(path, data).litmus()


class _Reader:
    """One file being read."""

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self.path = path
        self.data = data

    def wrong(self, key: str, what: str) -> InputError:
        return InputError(f"{self.path}: {key}: {what}")

    def keys(self, place: str, table: dict[str, Any], known: dict[str, Any], needed: tuple[str, ...]) -> None:
        """Every key known and of its type, every needed one there."""
        for key, value in table.items():
            if key not in known:
                raise self.wrong(f"{place}{key}", f"unknown key{closest(key, known)} (known: {', '.join(known)})")
            if not isinstance(value, known[key]) or isinstance(value, bool) and known[key] is not bool:
                raise self.wrong(f"{place}{key}", f"{value!r} is not {_SAY[known[key]]}")
        for key in needed:
            if key not in table:
                raise self.wrong(f"{place}{key}", "missing")

    def litmus(self) -> Litmus:
        """Check and build."""
        data = self.data
        self.keys("", data, _KEYS, ("says", "cpus", "slots", "lwps"))
        cpus = self.number("cpus", data["cpus"], 1, 4)
        slots = self.number("slots", data["slots"], 1, 8)
        self.bits = 3 if slots <= 3 else 4
        self.slots, self.cpus = slots, cpus
        pmaps = {}
        for name, pages in data.get("pmaps", {}).items():
            if not isinstance(pages, list):
                raise self.wrong(f"pmaps.{name}", f"{pages!r} is not a list of pages")
            pmaps[name] = tuple(self.page(f"pmaps.{name}", page)[1:] for page in pages)
            if len(set(pmaps[name])) != len(pmaps[name]):
                raise self.wrong(f"pmaps.{name}", "a page is listed twice")
        self.pmaps = pmaps
        lwps = self.lwps(data["lwps"])
        violates, outcomes = self.expect(data.get("expect", {}))
        covers = tuple(str(section) for section in data.get("covers", ()))
        return Litmus(
            self.path.stem, data["says"], cpus, slots, pmaps, lwps, covers, violates, outcomes, where=str(self.path),
            shipped=self.path.parent == FOLDER,
        )  # fmt: skip

    def number(self, key: str, value: Any, least: int, most: int) -> int:
        """An integer within bounds."""
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.wrong(key, f"{value!r} is not a whole number from {least} to {most}")
        return value

    def page(self, key: str, text: Any) -> tuple[str, int, int]:
        """``[PMAP:]SLOT.PAGE``."""
        match = _PAGE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise self.wrong(key, f"{text!r} is not a page (SLOT.PAGE as in '0.1', or PMAP:SLOT.PAGE)")
        slot, page = int(match[2]), int(match[3])
        if slot >= self.slots:
            raise self.wrong(key, f"'{text}': there are only {self.slots} user slots, from 0")
        if page >= 1 << 2 * self.bits:
            raise self.wrong(key, f"'{text}': a slot has only {1 << 2 * self.bits} pages, from 0")
        return match[1] or "", slot, page

    def lwps(self, tables: list[Any]) -> tuple[LitmusLwp, ...]:
        """The LWPs, each operation parsed."""
        if not tables:
            raise self.wrong("lwps", "there is none")
        for i, table in enumerate(tables):
            if not isinstance(table, dict):
                raise self.wrong(f"lwps[{i}]", f"{table!r} is not a table")
            self.keys(f"lwps[{i}].", table, _LWP_KEYS, ("name", "cpu", "ops"))
        names = [table["name"] for table in tables]
        made = []
        for i, table in enumerate(tables):
            place = f"lwps[{i}]."
            if names.count(table["name"]) > 1 or not _WORD.fullmatch(table["name"]):
                raise self.wrong(f"{place}name", f"'{table['name']}' is not a name, or not the only one")
            pmap = table.get("pmap", "")
            if pmap and pmap not in self.pmaps:
                raise self.wrong(f"{place}pmap", f"no pmap '{pmap}'{closest(pmap, self.pmaps)}")
            cpu = self.number(f"{place}cpu", table["cpu"], 0, self.cpus - 1)
            ops = tuple(self.op(f"{place}ops[{j}]", text, names, pmap) for j, text in enumerate(table["ops"]))
            if any(op.verb == "exit" for op in ops[:-1]):
                raise self.wrong(f"{place}ops", "'exit' can only come last")
            made.append(LitmusLwp(table["name"], pmap, cpu, ops))
        return tuple(made)

    def op(self, key: str, text: Any, names: list[str], own: str) -> Op:
        """One operation: a verb and what it takes."""
        words = text.split() if isinstance(text, str) else []
        if not words:
            raise self.wrong(key, f"{text!r} is not an operation")
        verb, rest = words[0], words[1:]
        if verb not in VERBS:
            raise self.wrong(key, f"unknown operation '{verb}'{closest(verb, VERBS)} (known: {', '.join(VERBS)})")
        takes = VERBS[verb]
        if len(rest) != bool(takes) and not (takes == "pmap" and not rest):
            raise self.wrong(key, f"'{text}': {verb} takes {takes or 'nothing'}")
        if takes == "page":
            return self.page_op(key, verb, text, rest[0], own)
        if takes == "cpu":
            if not rest[0].isdecimal() or int(rest[0]) >= self.cpus:
                raise self.wrong(key, f"'{text}': there are CPUs 0 to {self.cpus - 1}")
        elif takes == "lwp" and rest[0] not in names:
            raise self.wrong(key, f"'{text}': no LWP '{rest[0]}'{closest(rest[0], names)}")
        if takes == "pmap" and rest and rest[0] not in self.pmaps:
            raise self.wrong(key, f"'{text}': no pmap '{rest[0]}'{closest(rest[0], self.pmaps)}")
        if not own and verb in ("segment", "fork", "syscall", "disable"):
            raise self.wrong(key, f"'{text}': a kernel LWP makes no system calls")
        if takes == "pmap":
            return Op(verb, text, pmap=rest[0] if rest else own)
        return Op(verb, text, name=rest[0] if rest else "")

    def page_op(self, key: str, verb: str, text: str, page: str, own: str) -> Op:
        """An operation on a page, of the LWP's pmap or a named one."""
        pmap, slot, number = self.page(key, page)
        if pmap and pmap not in self.pmaps:
            raise self.wrong(key, f"'{text}': no pmap '{pmap}'{closest(pmap, self.pmaps)}")
        if not own and not pmap:
            raise self.wrong(key, f"'{text}': a kernel LWP has no pmap of its own; say PMAP:{page}")
        if verb in ("read", "write", "copyin", "copyout") and (pmap or not own):
            raise self.wrong(key, f"'{text}': only an LWP's own pmap can be accessed")
        return Op(verb, text, pmap, slot, number)

    def expect(self, table: dict[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Expected violations by profile, allowed outcomes."""
        self.keys("expect.", table, _EXPECT_KEYS, ())
        violates = table.get("violates", {})
        if isinstance(violates, str):
            if violates not in BY_NAME:
                raise self.wrong("expect.violates", f"unknown invariant '{violates}'{closest(violates, BY_NAME)}")
            violates = dict.fromkeys(PROFILES, violates)
        if table.get("holds") is False and not violates:
            raise self.wrong("expect.holds", "false needs expect.violates, which says what breaks under which profile")
        if table.get("holds") and violates:
            raise self.wrong("expect", "'holds = true' and 'violates' contradict each other")
        for profile, name in violates.items():
            if profile not in PROFILES:
                raise self.wrong(f"expect.violates.{profile}", f"unknown profile{closest(profile, PROFILES)}")
            if name not in BY_NAME:
                raise self.wrong(
                    f"expect.violates.{profile}", f"unknown invariant '{name}'{closest(str(name), BY_NAME)}"
                )
        outcomes = table.get("outcomes", [])
        for outcome in outcomes:
            if not isinstance(outcome, str):
                raise self.wrong("expect.outcomes", f"{outcome!r} is not a string")
        return violates, tuple(outcomes)


_SAY: dict[Any, str] = {
    (str, dict): "an invariant's name or a table of them by profile",
    str: "a string",
    list: "a list",
    int: "a whole number",
    dict: "a table",
    bool: "true or false",
}
