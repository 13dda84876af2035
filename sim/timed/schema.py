"""The frames of a result folder: every column with its type, unit and meaning.

The recorder takes its columns and the writer its types from here, the reader checks against it, and the documentation
prints it.
"""

from __future__ import annotations

from typing import NamedTuple

INT = "int64"
TEXT = "string"
BOOL = "bool"


class Column(NamedTuple):
    """A column: *type* is an Arrow type's name, *unit* is empty for what is counted or named."""

    name: str
    type: str
    unit: str
    meaning: str


class FrameSchema(NamedTuple):
    """A frame: what one row is, and its columns."""

    row: str
    columns: tuple[Column, ...]


_RUN = Column("run", TEXT, "", "which run of the pair: 'baseline' or 'profile'")
_CPU = Column("cpu", INT, "", "index of the CPU")
_TIME = Column("time_cycles", INT, "cycles", "when it began, since the start of the run")
_WINDOW = Column(
    "time_cycles",
    INT,
    "cycles",
    "start of the window of 10 ms that the row sums up; idle seconds on end are one window",
)

_WHO = (
    Column("comm", TEXT, "", "name of the command"),
    Column("pid", INT, "", "process; 0 if it has no number"),
)
_CHOSEN = Column("chosen", BOOL, "", "whether it is one of those asked for (--comm, --pid); without, everybody is")
_CAUSE = Column("cause", TEXT, "", "cause in the ledger")
_COUNT = Column("count", INT, "", "how often something was charged to the cause")


def _cycles(name: str, meaning: str) -> Column:
    return Column(name, INT, "cycles", meaning)


FRAMES = {
    "ledger": FrameSchema(
        "what one CPU spent on one cause in one window of 10 ms",
        (
            _RUN,
            _WINDOW,
            _CPU,
            _CAUSE,
            _COUNT,
            _cycles("cycles", "time charged to the cause"),
        ),
    ),
    "counters": FrameSchema(
        "how much one counter of one CPU grew in one window of 10 ms",
        (
            _RUN,
            _WINDOW,
            _CPU,
            Column("name", TEXT, "", "name of the counter, NetBSD's where it has one"),
            Column("value", INT, "", "increments in the window"),
        ),
    ),
    "shootdowns": FrameSchema(
        "one TLB shootdown, from its start to the last acknowledgement",
        (
            _RUN,
            _TIME,
            Column("cpu", INT, "", "index of the CPU that initiated it"),
            Column("targets", INT, "", "number of other CPUs that were sent an IPI"),
            Column("broadcast", BOOL, "", "whether the IPI went to all CPUs at once"),
            Column("pages", INT, "", "pages to flush; -1: everything"),
            Column("why", TEXT, "", "reason given to pmap_tlb_shootdown"),
            _cycles("mailbox_cycles", "waited for the mailbox"),
            _cycles("send_cycles", "spent on packing and sending"),
            _cycles("local_cycles", "spent on the initiator's own flush"),
            _cycles("ack_cycles", "waited for the receivers' acknowledgements"),
            _cycles("total_cycles", "from start to end on the initiator"),
            _cycles("receiver_cycles", "spent in handlers, summed over the receivers"),
        ),
    ),
    "switches": FrameSchema(
        "one switch from one LWP to another, the pmap load before the return to user mode included",
        (
            _RUN,
            _TIME,
            _CPU,
            Column("from_lwp", TEXT, "", "name of the LWP that left"),
            Column("to_lwp", TEXT, "", "name of the LWP that came"),
            Column("kind", TEXT, "", "'user-user', 'user-kernel', 'kernel-user', 'kernel-kernel' or 'same-pmap'"),
            _cycles("svs_lwp_switch_cycles", "spent in svs_lwp_switch"),
            _cycles("svs_pdir_switch_cycles", "spent on copying L4 entries in svs_pdir_switch"),
            _cycles("total_cycles", "spent on the switch in all, waiting for ci_svs_mtx included"),
        ),
    ),
    "locks": FrameSchema(
        "holdings of one lock by one CPU in one window of 10 ms that waited equally long",
        (
            _RUN,
            _WINDOW,
            _CPU,
            Column("lock", TEXT, "", "class of the lock: 'ci_svs_mtx', 'pm_lock', ..."),
            Column("instance", TEXT, "", "which lock of that class"),
            _cycles("wait_cycles", "waited before each of these holdings"),
            _cycles("hold_cycles", "held, summed over these holdings"),
            Column("count", INT, "", "number of holdings"),
        ),
    ),
    "tasks": FrameSchema(
        "what one task, or one LWP of a behaviour, spent on one cause",
        (
            _RUN,
            *_WHO,
            Column("tid", INT, "", "thread; of the idle LWPs ('(idle)') the CPU; 0 if there is no such number"),
            _CHOSEN,
            _CAUSE,
            _COUNT,
            _cycles("cycles", "CPU time charged to the cause"),
        ),
    ),
    "calls": FrameSchema(
        "what the system calls of one name that one process made spent on one cause, faults and made-up calls included",
        (
            _RUN,
            *_WHO,
            _CHOSEN,
            Column("name", TEXT, "", "the call; in brackets what is none: '(page fault)', and calls that nobody made"),
            Column("number", INT, "", "number of the system call as recorded; -1: none"),
            Column("calls", INT, "", "how many there were, the same in all rows of a call"),
            _CAUSE,
            _COUNT,
            _cycles("cycles", "CPU time charged to the cause, interrupts meanwhile included"),
        ),
    ),
    "windows": FrameSchema(
        "one window of a sample; only with --sample",
        (
            _RUN,
            Column("window", INT, "", "its number, from 0 on"),
            _cycles("time_cycles", "when its warm-up begins, since the beginning of the recording"),
            Column("lines", INT, "", "how many events it is measured for"),
            _cycles("work_cycles", "recorded time of tasks in user mode and in the kernel"),
            _cycles("busy_cycles", "CPU time in the run, idle left out"),
            _cycles("elapsed_cycles", "from when the last task came to its beginning to when the last came to its end"),
        ),
    ),
    "timeline": FrameSchema(
        "one stretch or event on one track of one CPU; only with --window",
        (
            _RUN,
            _TIME,
            _cycles("end_cycles", "when it ended; equal to time_cycles for an event"),
            _CPU,
            Column("track", TEXT, "", "'mode', 'lwp', 'cr3', 'lock', 'interrupt', 'runqueue' or 'tlb_misses'"),
            Column("name", TEXT, "", "what is shown on the stretch"),
            Column("value", INT, "", "value of a counter track, 0 elsewhere"),
            Column("flow", INT, "", "0, or a number shared by an IPI's sending, handler and acknowledgement"),
        ),
    ),
}


def columns_of(name: str) -> tuple[str, ...]:
    """The columns of a frame that one run fills, in order; that of the run itself is added to them."""
    return tuple(column.name for column in FRAMES[name].columns if column is not _RUN)
