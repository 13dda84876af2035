"""Events of an ftrace text, as ``cat trace``, ``trace-cmd report`` and ``perf script`` print them.

Reading is streaming; time is integer nanoseconds, read from the digits without floating point.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scenarios.recordings.source import blocks
from sim.errors import InputError

MALFORMED_PERCENT = 1  # more malformed lines than this share is no trace any more
MALFORMED_FREE = 5  # so many are tolerated in a short file
BACKWARDS_NS = 1_000_000  # clocks of CPUs may be apart by up to this
LONGEST_LINE = 8192  # characters; ftrace prints no longer ones
LONGEST_S = 1_000_000  # a stamp so much later than the first is a damaged one

# Numbers have as many digits as Linux can print: pids up to 2^31, CPUs up to 8191, seconds up to those since 1970.
_TGID = r"\(\s*(?P<tgid>-+|\d{1,10})\)"
_CPU = r"\[(?P<cpu>\d{1,4})\]"
_REST = (
    r"\s+(?:(?P<flags>[^\s:]{3,8})\s+)?(?P<sec>\d{1,10})\.(?P<frac>\d{1,9}):\s+(?:\d+\s+)?"
    # The event, after its group if printed; ftrace has single system calls as "sys_read(fd: 3)" and "sys_read -> 0x1".
    r"(?:[A-Za-z_][\w.-]*:)??(?P<name>[A-Za-z_]\w*)(?::(?!\S) *(?P<fields>.*)|(?P<call>\(.*\)| -> .*))$"
)
# comm-tid (tgid) [cpu], comm-tid [cpu] (tgid), comm-tid [cpu] of ftrace and trace-cmd; comm [tgid/]tid [cpu] of perf.
# Names have up to 15 bytes (kernel workers' more, as some tools print them), so that long lines are judged quickly.
_COMM = r"(?P<comm>.{0,64}?)"
LAYOUTS = (
    re.compile(rf"\s*{_COMM}-(?P<tid>\d{{1,10}})\s+{_TGID}\s+{_CPU}{_REST}"),
    re.compile(rf"\s*{_COMM}-(?P<tid>\d{{1,10}})\s+{_CPU}(?:\s+{_TGID})?{_REST}"),
    re.compile(rf"\s*(?P<comm>\S.{{0,64}}?)\s+(?:(?P<tgid>-?\d{{1,10}})/)?(?P<tid>-?\d{{1,10}})\s+{_CPU}{_REST}"),
)
_ODD = re.compile(rf".*{_CPU}.*?\s\d+\.\d+:\s+(?:<stack trace>|\S+ <-\S+)\s*$")
_LOST = re.compile(
    r"\s*CPU:?\s*\d+\s+\[(?:LOST\s+)?(?P<n>\d{1,18})?\s*EVENTS(?: DROPPED)?\]\s*$|"
    r".{0,200}\bPERF_RECORD_LOST\w*\s+lost\s+(?P<m>\d{1,18})"
)
_COUNTER = re.compile(rf"\s*\S.{{0,64}}?\s+{_CPU}\s+(?:[^\s:]{{3,8}}\s+)?\d+:\s+\w+:")
_IGNORED = re.compile(
    r"\s*(?:#|$|version\s*=|cpus\s*=|CPU:? \d+ is empty|CPU:?\s*\d+ buffer started|=> |[0-9a-f]{8,}\s|"
    r"entries-in-buffer)|(?:trace-cmd|perf) |.{0,200}\bPERF_RECORD_\w"
)


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


_GROUPS = ("comm", "tid", "tgid", "cpu", "flags", "sec", "frac", "name", "fields", "call")


def _single_call(name: str, call: str) -> tuple[str, str] | None:
    """Name and fields of ftrace's own print of one system call, in the other tools' spelling."""
    if not name.startswith("sys_"):
        return None
    return (f"sys_enter_{name[4:]}", call[1:-1]) if call[0] == "(" else (f"sys_exit_{name[4:]}", call[4:])


class LineReader:
    """Streams the events of a recording and counts what it tolerated.

    Attributes:
        tolerated: counts by name: malformed lines, a cut last line, lost events, clocks going backwards.
        events: how many have been read.
        malformed: how many lines were no event.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tolerated: dict[str, int] = {}
        self.events = 0
        self.malformed = 0
        self._first_bad: tuple[int, str] = (0, "")
        self._layout = LAYOUTS[0]
        self._latest = 0
        self._limit = -1

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
                break
            layout = self._layout.match
            for text in lines:
                number += 1
                match = layout(text) if len(text) <= LONGEST_LINE else None
                if match is None:
                    match = self._other(text, number)
                    if match is None:
                        continue
                    layout = self._layout.match
                comm, tid, tgid, cpu, flags, sec, frac, name, fields, call = match.group(*_GROUPS)
                if fields is None:
                    single = _single_call(name, call)
                    if single is None:
                        self._bad(text, number)
                        continue
                    name, fields = single
                time = int(sec) * 1_000_000_000 + int(frac) * 10 ** (9 - len(frac))
                if time < self._latest:
                    time = self._backwards(time, number)
                elif time > self._limit:
                    self._far(time, number)
                self._latest = time
                self.events += 1
                group = int(tgid) if tgid and tgid.isdigit() else 0
                yield make((number, comm, int(tid), group, int(cpu), time, flags or "", name, fields))
        self._finish(number)

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
        lost = _LOST.match(text)
        if lost is not None:
            self.tolerate("lost_events", int(lost["n"] or lost["m"] or 1))
        elif _ODD.match(text):
            self.tolerate("unknown_event_function_or_stack")
        elif not _IGNORED.match(text):
            self._bad(text, number)
        return None

    def _bad(self, text: str, number: int, *, at_once: bool = False) -> None:
        """Count a malformed line; too many before the first event mean that the file is something else."""
        self.malformed += 1
        if self.malformed == 1:
            self._first_bad = (number, text)
        if not self.events and (at_once or self.malformed > MALFORMED_FREE):
            line, start = self._first_bad
            if _COUNTER.match(start):
                raise InputError(
                    f"{self.path}:{line}: stamps without seconds: {start[:60]!r}; record with a clock that counts them "
                    "(trace_clock mono, local, boot or uptime, not counter or x86-tsc)"
                )
            raise InputError(
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
                f"must be in order of time (up to {BACKWARDS_NS // 1000} us between CPUs are tolerated)"
            )
        self.tolerate("clock_went_back")
        return self._latest

    def _finish(self, number: int) -> None:
        """Judge the file as a whole."""
        line, start = self._first_bad
        if not self.events and _COUNTER.match(start):
            self._bad(start, line, at_once=True)
        if not self.events:
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
