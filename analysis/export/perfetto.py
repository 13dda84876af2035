"""Chrome's trace-event JSON, which Perfetto (ui.perfetto.dev) and chrome://tracing read.

One process a CPU of each run; in it a thread for each track (and for each further lane where slices overlap without
nesting), and counters.  Numbers of processes begin at 1, because loaders drop 0.  Times are whole nanoseconds, as in
Perfetto itself: with finer ones it would round beginnings and lengths apart, and drop slices that then overlap.
Written as a stream: neither the frames nor the events are ever in memory as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from analysis.export.lanes import Lanes
from analysis.results import RUNS, Result, read_result, rows_of
from sim.errors import InputError

BOTH = "both"
TRACKS = ("mode", "lwp", "cr3", "lock", "interrupt", "shootdown")
COUNTERS = {"runqueue": "run-queue length", "tlb_misses": "TLB misses"}
LANES = 100  # thread ids of a track begin at its place in TRACKS times this
SHORTEST = 1  # nanoseconds: arrows can only be tied to slices that last
FLOW_NAME = "IPI"
SHOOTDOWN = "TLB shootdown"  # the handler that a sender waits for

Event = dict[str, Any]
Row = Mapping[str, Any]


def write_perfetto(folder: Path | str, out: IO[str], run: str = BOTH) -> int:
    """Write both runs of a result folder, or one, as trace-event JSON to *out*; return the number of events.

    With a timeline (``svs-sim run --window``) the tracks are mode, LWP, CR3, locks and interrupts, with arrows from an
    IPI to its handlers and on to the acknowledgement; without one they are LWPs and shootdowns of the whole run.
    Raises InputError if *folder* holds no result of a run.
    """
    result = read_result(Path(folder))
    if run not in (*RUNS, BOTH):
        raise InputError(f"run '{run}': there are {', '.join(RUNS)} and {BOTH}")
    count = 0
    out.write('{"displayTimeUnit":"ns","otherData":')
    out.write(json.dumps(_about(result, run), sort_keys=True))
    out.write(',"traceEvents":[')
    for event in perfetto_events(result, run):
        out.write(",\n" if count else "\n")
        out.write(json.dumps(event, separators=(",", ":")))
        count += 1
    out.write("\n]}\n")
    return count


def _about(result: Result, run: str) -> dict[str, Any]:
    keys = ("scenario", "profile", "baseline", "seed", "cpus", "frequency_hz", "costs")
    return {"run": run, **{key: result.summary.get(key) for key in keys}}


def perfetto_events(result: Result, run: str = BOTH) -> Iterator[Event]:
    """Yield the events: names and order of processes and threads as they first show, slices, flows, counters."""
    for place, each in enumerate(RUNS):
        if run in (each, BOTH):
            rows = _timeline(result, each) if "timeline" in result.frames() else _whole_run(result, each)
            writer = _Writer(int(result.summary["frequency_hz"]), f"{each}: {result.summary[each]}", place)
            for row in rows:
                yield from writer.events(row)
            yield from writer.finish()


def _timeline(result: Result, run: str) -> Iterator[Row]:
    return rows_of(result.path, "timeline", run)


def _whole_run(result: Result, run: str) -> Iterator[Row]:
    """What the other frames tell: which LWP ran where, shootdowns, misses by window."""
    since: dict[int, tuple[int, str]] = {}
    for row in rows_of(result.path, "switches", run):
        cpu, now = row["cpu"], row["time_cycles"]
        begin, name = since.get(cpu, (0, row["from_lwp"]))
        yield _row(begin, now, cpu, "lwp", name)
        since[cpu] = (now, row["to_lwp"])
    end = int(result.summary["elapsed_cycles"][run])
    for cpu, (begin, name) in sorted(since.items()):
        yield _row(begin, end, cpu, "lwp", name)
    for row in rows_of(result.path, "shootdowns", run):
        begin = row["time_cycles"]
        pages = "all" if row["pages"] < 0 else row["pages"]
        name = f"{row['why']}: {pages} pages, {row['targets']} CPUs"
        yield _row(begin, begin + row["total_cycles"], row["cpu"], "shootdown", name)
    total: dict[int, int] = {}
    for row in rows_of(result.path, "counters", run):
        if row["name"].startswith("page walks"):
            total[row["cpu"]] = total.get(row["cpu"], 0) + row["value"]
            yield _row(row["time_cycles"], row["time_cycles"], row["cpu"], "tlb_misses", "", total[row["cpu"]])


def _row(begin: int, end: int, cpu: int, track: str, name: str, value: int = 0) -> Row:
    return {
        "time_cycles": begin,
        "end_cycles": end,
        "cpu": cpu,
        "track": track,
        "name": name,
        "value": value,
        "flow": 0,
    }


class _Writer:
    """Turns rows into events; remembers what has been named and which flows are open."""

    def __init__(self, frequency_hz: int, run: str, place: int) -> None:
        self.hz = frequency_hz
        self.run = run
        self.place = place
        self.named: set[tuple[int, int]] = set()
        self.lanes = Lanes()
        self.sent: dict[int, Event] = {}
        self.arrived: dict[int, list[Event]] = {}

    def nanoseconds(self, cycles: int) -> int:
        """A time of the trace; order and nesting stay as they are in cycles."""
        return cycles * 1_000_000_000 // self.hz

    def events(self, row: Row) -> Iterator[Event]:
        """Yield the events of one row."""
        # The runs' processes of a CPU stand side by side.
        pid, track = len(RUNS) * row["cpu"] + self.place + 1, row["track"]
        begin = self.nanoseconds(row["time_cycles"])
        if track in COUNTERS:
            yield from self._name(row["cpu"], pid, 0, "")
            yield {"ph": "C", "pid": pid, "name": COUNTERS[track], "ts": begin / 1000, "args": {"value": row["value"]}}
            return
        end = max(self.nanoseconds(row["end_cycles"]), begin + SHORTEST)
        lane = self.lanes.place((pid, track), begin, end)
        tid = TRACKS.index(track) * LANES + lane + 1
        yield from self._name(row["cpu"], pid, tid, track if not lane else f"{track} ({lane + 1})")
        place = {"pid": pid, "tid": tid, "ts": begin / 1000}
        yield {"ph": "X", **place, "dur": (end - begin) / 1000, "name": row["name"], "cat": track}
        if row["flow"]:
            yield from self._flow(row, place)

    def _name(self, cpu: int, pid: int, tid: int, track: str) -> Iterator[Event]:
        """Name and order a process or a thread when it first shows."""
        if (pid, 0) not in self.named:
            self.named.add((pid, 0))
            yield _meta("process_name", pid, 0, {"name": f"CPU {cpu} ({self.run})"})
            yield _meta("process_sort_index", pid, 0, {"sort_index": pid})
        if tid and (pid, tid) not in self.named:
            self.named.add((pid, tid))
            yield _meta("thread_name", pid, tid, {"name": track})
            yield _meta("thread_sort_index", pid, tid, {"sort_index": tid})

    def _flow(self, row: Row, place: Event) -> Iterator[Event]:
        """Arrows: from the sending to each handler, and from that of a shootdown to the acknowledgement.

        Each handler has an arrow of its own; its id is the flow's number and the handler's process.
        """
        flow, name = row["flow"], str(row["name"])
        common = {"name": FLOW_NAME, "cat": "ipi"}
        if name.startswith("send "):
            self.sent[flow] = place
            self.arrived[flow] = []
        elif flow not in self.sent:
            return  # the window began between sending and arrival
        elif name == "all acknowledged":
            for handler in self.arrived.pop(flow):
                yield {"ph": "f", "bp": "e", "id": _flow_id(flow, handler["pid"]), **common, **place}
            del self.sent[flow]
        else:
            identity = _flow_id(flow, place["pid"])
            yield {"ph": "s", "id": identity, **common, **self.sent[flow]}
            if name == SHOOTDOWN:
                yield {"ph": "t", "id": identity, **common, **place}
                self.arrived[flow].append(place)
            else:  # no sender waits for it
                yield {"ph": "f", "bp": "e", "id": identity, **common, **place}

    def finish(self) -> Iterator[Event]:
        """End the arrows whose acknowledgement came after the window at the handler."""
        for flow, handlers in self.arrived.items():
            for place in handlers:
                identity = _flow_id(flow, place["pid"])
                yield {"ph": "f", "bp": "e", "id": identity, "name": FLOW_NAME, "cat": "ipi", **place}


def _flow_id(flow: int, pid: int) -> int:
    return flow << 10 | pid


def _meta(name: str, pid: int, tid: int, args: Event) -> Event:
    return {"ph": "M", "name": name, "pid": pid, "tid": tid, "args": args}
