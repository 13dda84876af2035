"""Lines of an ftrace text, as ``cat trace``, ``trace-cmd report`` and ``perf script`` print them.

The file may be gzipped (told by its first bytes).  Reading is streaming; time is integer nanoseconds.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from sim.errors import InputError

MALFORMED_SHARE = 0.01  # more malformed lines than this is no trace any more
MALFORMED_FREE = 5  # so many are tolerated in a short file
BACKWARDS_NS = 1_000_000  # clocks of CPUs may be apart by up to this

_FTRACE = re.compile(
    r"^\s*(?P<comm>.+)-(?P<tid>\d+)\s+(?:\(\s*(?P<tgid>[-\d]+)\)\s+)?\[(?P<cpu>\d+)\]\s+"
    r"(?:(?P<flags>[^\s:]{4,8})\s+)?(?P<sec>\d+)\.(?P<frac>\d+):\s+(?P<rest>\S.*)$"
)
_PERF = re.compile(
    r"^\s*(?P<comm>.+?)\s+(?:(?P<tgid>\d+)/)?(?P<tid>\d+)\s+\[(?P<cpu>\d+)\]\s+"
    r"(?:(?P<flags>[^\s:]{4,8})\s+)?(?P<sec>\d+)\.(?P<frac>\d+):\s+(?:\d+\s+)?(?P<rest>\S.*)$"
)
_EVENT = re.compile(r"^(?:[\w.-]+:)?(?P<name>[A-Za-z_]\w*):\s*(?P<fields>.*)$")
_LOST = re.compile(r"^\s*CPU:?\s*\d+\s+\[LOST\s+(\d+)\s+EVENTS\]|\[\s*LOST\s+(\d+)\s+EVENTS|^\s*CPU \d+ is empty")
_IGNORED = re.compile(
    r"^\s*(?:#|$|version\s*=|cpus\s*=|CPU \d+ is empty|##### CPU \d+ buffer started|entries-in-buffer|\s+=> |\s+[0-9a-f]{8,}\s)"
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


def _open(path: Path) -> IO[bytes]:
    try:
        raw = path.open("rb")
    except OSError as error:
        raise InputError(f"cannot read recording '{path}': {error.strerror}") from None
    if raw.read(2) == b"\x1f\x8b":
        raw.close()
        return gzip.open(path, "rb")  # type: ignore[return-value]
    raw.seek(0)
    return raw


def raw_lines(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Yield (number, text, whether the line is complete); InputError for a binary or broken file."""
    with _open(path) as file:
        number = 0
        try:
            for number, data in enumerate(file, 1):
                if b"\0" in data[:4096]:
                    raise InputError(f"{path}:{number}: binary data; a recording is ftrace text, plain or gzipped")
                yield number, data.decode("utf-8", "replace").rstrip("\r\n"), data.endswith(b"\n")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{path}: the gzip file is truncated or damaged after line {number} ({error})") from None
        except OSError as error:
            raise InputError(f"{path}: cannot read on after line {number}: {error.strerror or error}") from None


def parse(text: str, number: int, pattern: re.Pattern[str]) -> Line | None:
    """Parse one event line; None if it has not the form."""
    match = pattern.match(text)
    if match is None:
        return None
    event = _EVENT.match(match["rest"])
    if event is None:
        return None
    tgid = match["tgid"] or ""
    time = int(match["sec"]) * 1_000_000_000 + int(match["frac"].ljust(9, "0")[:9])
    return Line(number, match["comm"], int(match["tid"]), int(tgid) if tgid.isdigit() else 0, int(match["cpu"]), time,
                match["flags"] or "", event["name"], event["fields"])  # fmt: skip


class LineReader:
    """Streams the events of a recording and counts what it tolerated.

    Attributes:
        tolerated: counts by name: malformed lines, a cut last line, lost events, clocks going backwards.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tolerated: dict[str, int] = {}
        self.events = 0

    def _tolerate(self, what: str, n: int = 1) -> None:
        self.tolerated[what] = self.tolerated.get(what, 0) + n

    def __iter__(self) -> Iterator[Line]:
        """Yield events in file order, times never going backwards."""
        pattern: re.Pattern[str] | None = None
        malformed, first_bad, latest = 0, 0, 0
        for number, text, complete in raw_lines(self.path):
            lost = _LOST.search(text)
            if lost:
                self._tolerate("lost_events", int(lost[1] or lost[2] or 0))
                continue
            if _IGNORED.match(text):
                continue
            line = None
            if pattern is not None:
                line = parse(text, number, pattern)
            if line is None:
                for candidate in (_FTRACE, _PERF):
                    line = parse(text, number, candidate)
                    if line is not None:
                        pattern = candidate
                        break
            if line is None:
                if not complete:
                    self._tolerate("cut_last_line")
                    continue
                malformed += 1
                first_bad = first_bad or number
                if pattern is None and malformed > MALFORMED_FREE:
                    raise InputError(f"{self.path}:{first_bad}: not an ftrace recording: '{text[:60]}'")
                continue
            if line.time < latest:
                if latest - line.time > BACKWARDS_NS:
                    raise InputError(
                        f"{self.path}:{number}: time goes back from {latest / 1e9:.6f} s to {line.time / 1e9:.6f} s; "
                        "events must be in order of time"
                    )
                self._tolerate("clock_went_back")
                line = line._replace(time=latest)
            latest = line.time
            self.events += 1
            yield line
        if self.events == 0:
            reason = f"; first line not understood is {first_bad}" if first_bad else ""
            raise InputError(f"{self.path}: no ftrace events found{reason}")
        if malformed > max(MALFORMED_FREE, int(self.events * MALFORMED_SHARE)):
            raise InputError(
                f"{self.path}:{first_bad}: {malformed} of {self.events + malformed} lines are not ftrace events; "
                "the file is damaged or no recording"
            )
        if malformed:
            self._tolerate("malformed_lines", malformed)
