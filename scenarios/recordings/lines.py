"""Events of an ftrace text, as ``cat trace``, ``trace-cmd report`` and ``perf script`` print them.

Reading is streaming; time is integer nanoseconds, read from the digits without floating point.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
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
NOT_TIMES = 10  # where one stamp in so many goes back, they are no times
LONGEST_LINE = 8192  # characters; ftrace prints no longer ones
LONGEST_S = 1_000_000  # a stamp so much later than the first is a damaged one
MOST_BLANK = 1_000_000  # blank lines, and more than ten for an event: such a file is none
MOST_KNOWN = 4096  # beginnings of lines, and names behind stamps, that are remembered
NS = 1_000_000_000
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


class Printed(NamedTuple):
    """What stands before a line's stamp."""

    comm: str
    tid: int
    tgid: int
    cpu: int
    flags: str


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

    def __init__(self, path: Path, report: Callable[[float], None] | None = None) -> None:
        self.path = path
        self._report = report
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
        self._limit = self._began = -1
        self._blank = 0
        self._printed: dict[str, Printed] = {}
        self._names: dict[str, str] = {}
        self._second, self._second_ns = "", 0
        self._digits, self._unit_ns = 0, 1

    def tolerate(self, what: str, n: int = 1) -> None:
        """Count the use of a tolerance."""
        self.tolerated[what] = self.tolerated.get(what, 0) + n

    def __iter__(self) -> Iterator[Line]:
        """Yield events in file order, times never going backwards.  Raises InputError for what is no recording."""
        for lines in self.blocks():
            yield from lines

    def blocks(self) -> Iterator[list[Line]]:
        """Yield the events of a block of text at a time."""
        number = 0
        for texts, complete in blocks(self.path, self._report):
            if complete:
                yield self._block(texts, number)
                number += len(texts)
            else:
                self.tolerate("cut_last_line")
        self._finish(number)

    def _block(self, texts: list[str], number: int) -> list[Line]:
        """The events of some lines, which follow line *number*."""
        lines: list[Line] = []
        make = tuple.__new__  # as the class itself does it, but for two calls in between
        for text in texts:
            number += 1
            head, _, rest = text.partition(": ")
            who, _, stamp = head.rpartition(" ")
            named, _, fields = rest.partition(": ")
            second, _, fraction = stamp.partition(".")
            printed, name = self._printed.get(who), self._names.get(named, "")
            if (
                printed is not None
                and name
                and second == self._second
                and len(fraction) == self._digits
                and fraction.isdecimal()
                and len(text) <= LONGEST_LINE
            ):
                time = self._second_ns + int(fraction) * self._unit_ns
                fields = fields.lstrip(" ")
            else:
                event = self._event(text, number)
                if event is None:
                    continue
                printed, time, name, fields = event
            comm, tid, tgid, cpu, flags = printed
            if time < self._latest:
                time = self._backwards(time, number)
            elif time > self._limit:
                self._far(time, number)
            self._latest = time
            if name[:4] == "sys_" and self._twins.is_second(tid, name):
                self.tolerate("syscall_events_twice")
                continue
            self.events += 1
            lines.append(make(Line, (number, comm, tid, tgid, cpu, time, flags, name, fields)))
        return lines

    def _event(self, text: str, number: int) -> tuple[Printed, int, str, str] | None:
        """Who, when (ns), name and fields of a line that may be an event."""
        if not text or text.isspace():
            self._skip_blank(number)
            return None
        if not self.events or self._prefix:
            text = self._without_prefix(text, number)
        match = self._layout.match(text) if len(text) <= LONGEST_LINE else None
        if match is None:
            match = self._other(text, number)
            if match is None:
                return None
        comm, tid, tgid, cpu, flags, sec, frac, name, fields, call = match.group(*GROUPS)
        if fields is None:
            single = _single_call(name, call)
            if single is None:
                self._bad(text, number)
                return None
            name, fields = single
        printed = Printed(comm, int(tid), int(tgid) if tgid and tgid.isdigit() else 0, int(cpu), flags or "")
        if sec is None:
            return printed, int(match["us"]) * 1000, name, fields
        if call is None and not self._prefix:
            self._learn(text, match, printed)
        return printed, int(sec) * NS + int(frac) * 10 ** (9 - len(frac)), name, fields

    def _learn(self, text: str, match: re.Match[str], printed: Printed) -> None:
        """Remember what is before the stamp and what behind it, so that the next such line is only cut in pieces.

        That is allowed where the pieces are cut at the first places that look like it: what is before the second colon
        then means the same in every line, whatever follows.
        """
        head, _, rest = text.partition(": ")
        who, named = head.rpartition(" ")[0], rest.partition(": ")[0]
        name, end = match["name"], len(head) + 2 + len(named)
        if match.start("sec") != len(who) + 1 or match.end("frac") != len(head) or match.end("name") != end:
            return
        for known in (self._printed, self._names):
            if len(known) >= MOST_KNOWN:
                known.clear()
        self._printed[who], self._names[named] = printed, name
        self._second, self._digits = match["sec"], len(match["frac"])
        self._second_ns, self._unit_ns = int(match["sec"]) * NS, 10 ** (9 - self._digits)

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
        if self._prefix not in ("", match["file"]) and not match["file"].isdigit():  # lines may be numbered
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
                self._printed.clear()
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
        self._began = time
        self._limit = time + LONGEST_S * NS

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
        back = self.tolerated.get("clock_went_back", 0)
        if back * NOT_TIMES > self.events > NOT_TIMES or self.events > NOT_TIMES and self._latest == self._began:
            raise InputError(
                f"{self.path}: the stamps do not grow ({back:,} of {self.events:,} go back); they must be times, not "
                "differences, and no coarser than a microsecond (not perf script -F +deltatime)"
            )


def _seconds(time: int) -> str:
    """Time in ns as seconds."""
    return f"{time // NS}.{time % NS:09d}"
