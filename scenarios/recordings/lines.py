"""Events of an ftrace text, as ``cat trace``, ``trace-cmd report`` and ``perf script`` print them.

Reading is streaming; time is integer nanoseconds, read from the digits without floating point.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scenarios.recordings.layouts import (
    GROUPS,
    HEADER,
    IGNORED,
    LAYOUTS,
    LOST,
    ODD,
    OVERWRITTEN,
    PREFIX,
    STACK,
    STARTED,
    lacking,
)
from scenarios.recordings.source import blocks
from scenarios.recordings.twins import Twins
from sim.errors import InputError

MALFORMED_PERCENT = 1  # more malformed lines than this share is not a trace
MALFORMED_FREE = 5  # so many are tolerated in a short file
BACKWARDS_NS = 1_000_000  # clocks of CPUs may be apart by up to this
LONGEST_LINE = 8192  # characters; ftrace prints no longer ones
LONGEST_S = 1_000_000  # a stamp so much later than the first is a damaged one
MOST_BLANK = 1_000_000  # blank lines, and more than ten for an event: such a file is none
ODD_NAMES = 100  # so many are counted by name


class Line(NamedTuple):
    """One event: where in the file, who, when (ns), in which interrupt context, what.

    ``flags`` is the latency-format column or an empty string; ``tgid`` is 0 where it is not printed.
    """

    number: int
    comm: str
    tid: int
    tgid: int
    cpu: int
    time: int
    flags: str
    name: str
    fields: str


def _single_call(name: str, call: str) -> tuple[str, str] | None:
    """Name and fields of ftrace's own print of one system call, in the other tools' spelling."""
    if not name.startswith("sys_"):
        return None
    return (f"sys_enter_{name[4:]}", call[1:-1]) if call[0] == "(" else (f"sys_exit_{name[4:]}", call[4:])


class LineReader:
    """Streams the events of a recording and counts what it tolerated.

    Attributes:
        tolerated: counts by name: malformed lines, a cut last line, lost events, clocks going backwards.
        odd: how many events of each name that no tracepoint has were left out.
        header: what the comments ``# svs-sim: key = value`` say, by key.
        events: how many have been read.
        malformed: how many lines were no event.
        overwritten: how many events the ring buffer lost before the first that is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tolerated: dict[str, int] = {}
        self.odd: dict[str, int] = {}
        self.header: dict[str, str] = {}
        self.events = 0
        self.malformed = 0
        self.overwritten = 0
        self._first_bad: tuple[int, str] = (0, "")
        self._layout = LAYOUTS[0]
        self._prefix = ""
        self._twins = Twins()
        self._latest = 0
        self._limit = -1
        self._blank = 0

    def tolerate(self, what: str, n: int = 1) -> None:
        """Count the use of a tolerance."""
        self.tolerated[what] = self.tolerated.get(what, 0) + n

    def __iter__(self) -> Iterator[Line]:
        """Yield events in file order, times never going backwards.  Raises InputError for what is no recording."""
        number = 0
        make = Line._make
        for lines, complete in blocks(self.path):
            if not complete:
                self.tolerate("cut_last_line")
                continue
            layout = self._layout.match
            for text in lines:
                number += 1
                if not text or text.isspace():
                    self._skip_blank(number)
                    continue
                if not self.events or self._prefix:
                    text = self._without_prefix(text, number)
                match = layout(text) if len(text) <= LONGEST_LINE else None
                if match is None:
                    match = self._other(text, number)
                    if match is None:
                        continue
                    layout = self._layout.match
                comm, tid, tgid, cpu, flags, sec, frac, name, fields, call = match.group(*GROUPS)
                if fields is None:
                    single = _single_call(name, call)
                    if single is None:
                        self._bad(text, number)
                        continue
                    name, fields = single
                if sec is None:
                    time = int(match["us"]) * 1000
                else:
                    time = int(sec) * 1_000_000_000 + int(frac) * 10 ** (9 - len(frac))
                if time < self._latest:
                    time = self._backwards(time, number)
                elif time > self._limit:
                    self._far(time, number)
                self._latest = time
                if name[:4] == "sys_" and self._twins.is_second(int(tid), name):
                    self.tolerate("syscall_events_twice")
                    continue
                self.events += 1
                group = int(tgid) if tgid and tgid.isdigit() else 0
                yield make((number, comm, int(tid), group, int(cpu), time, flags or "", name, fields))
        self._finish(number)

    def _skip_blank(self, number: int) -> None:
        """Blank lines are allowed, but a file that has hardly anything else is no recording."""
        self._blank += 1
        if self._blank > MOST_BLANK + 10 * self.events:
            raise InputError(f"{self.path}:{number}: {self._blank} blank lines and {self.events} events; no recording")

    def _without_prefix(self, text: str, number: int) -> str:
        """The line without the name of its file, where a tool has put it before each line (``a.dat: ...``)."""
        match = PREFIX.match(text)
        if match is None or not self.events and not any(layout.match(text) for layout in LAYOUTS):
            return text
        if self._prefix not in ("", match["file"]):
            raise InputError(
                f"{self.path}:{number}: events of several files, '{self._prefix}' and '{match['file']}'; "
                "report one file at a time"
            )
        self._prefix = match["file"]
        return text[match.end() :]

    def _other(self, text: str, number: int) -> re.Match[str] | None:
        """A line that is not of the layout of the last one: of another, a mark, or no event at all."""
        if len(text) > LONGEST_LINE:
            self._bad(text, number)
            return None
        for layout in LAYOUTS:
            match = layout.match(text)
            if match is not None:
                self._layout = layout
                return match
        if text.startswith("#"):
            self._comment(text)
        elif (lost := LOST.match(text)) is not None:
            self.tolerate("lost_events", int(lost["n"] or lost["m"] or 1))
        elif STACK.match(text):
            self._odd("function_or_stack")
        elif not IGNORED.match(text):
            odd = ODD.match(text)
            if odd is None:
                self._bad(text, number)
            else:
                self._odd("unnamed" if odd["name"][:2] in ("", "0x") else odd["name"])
        return None

    def _comment(self, text: str) -> None:
        """Comments: what the recorder wrote, and which buffers had run over."""
        if (match := HEADER.match(text)) is not None and not self.events:
            self.header[match["key"]] = match["value"].strip()
        elif (match := OVERWRITTEN.match(text)) is not None:
            self.overwritten = max(int(match["written"]) - int(match["kept"]), self.overwritten)
        elif STARTED.match(text):
            self.tolerate("buffers_started_late")

    def _odd(self, name: str) -> None:
        """Count an event that has no tracepoint's name."""
        if name not in self.odd and len(self.odd) >= ODD_NAMES:
            name = "others"
        self.odd[name] = self.odd.get(name, 0) + 1

    def _bad(self, text: str, number: int) -> None:
        """Count a malformed line; too many before the first event mean that the file is something else."""
        self.malformed += 1
        if self.malformed == 1:
            self._first_bad = (number, text)
        if not self.events and self.malformed > MALFORMED_FREE:
            line, start = self._first_bad
            raise self._no_events(line, start)

    def _no_events(self, line: int, start: str) -> InputError:
        """What to say of a file whose first line that should be an event, number *line*, is none."""
        why = lacking(start)
        if why is not None:
            return InputError(f"{self.path}:{line}: {why}: {start.strip()[:60]!r}")
        return InputError(
            f"{self.path}:{line}: not an ftrace recording: {start[:60]!r}; expected lines like "
            "'comm-pid [cpu] seconds.fraction: event: fields'"
        )

    def _far(self, time: int, number: int) -> None:
        """The first event sets how late one may be; a later one is refused, for nothing else has such a stamp."""
        if self.events:
            raise InputError(
                f"{self.path}:{number}: time goes from {_seconds(self._latest)} s to {_seconds(time)} s, more than "
                f"{LONGEST_S} s after the first event; the stamp is damaged"
            )
        self._limit = time + LONGEST_S * 1_000_000_000

    def _backwards(self, time: int, number: int) -> int:
        """Clocks of CPUs may differ a little; more is an error."""
        if self._latest - time > BACKWARDS_NS:
            raise InputError(
                f"{self.path}:{number}: time goes back from {_seconds(self._latest)} s to {_seconds(time)} s; events "
                f"must be in order of time (up to {BACKWARDS_NS // 1000} us between CPUs are tolerated), and stamps "
                "must be times, not differences"
            )
        self.tolerate("clock_went_back")
        return self._latest

    def _finish(self, number: int) -> None:
        """Judge the file as a whole."""
        line, start = self._first_bad
        if not self.events and not self.odd:
            if line and lacking(start):
                raise self._no_events(line, start)
            why = f"; line {line} is not understood: {start[:60]!r}" if line else ""
            raise InputError(f"{self.path}: no ftrace events in its {number} lines{why}")
        if self.malformed > max(MALFORMED_FREE, self.events * MALFORMED_PERCENT // 100):
            raise InputError(
                f"{self.path}:{line}: {self.malformed} of {self.events + self.malformed} lines are not ftrace events, "
                f"this one first: {start[:60]!r}; the file is damaged or no recording"
            )
        if self.malformed:
            self.tolerate("malformed_lines", self.malformed)


def _seconds(time: int) -> str:
    """Time in ns as seconds."""
    return f"{time // 1_000_000_000}.{time % 1_000_000_000:09d}"
