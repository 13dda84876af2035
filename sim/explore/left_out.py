"""What is no part of a state though it can be reached from the machine, the program or the judges, with the reasons.

Everything else is: :mod:`sim.explore.fingerprint` walks it.
"""

from __future__ import annotations

from types import CodeType, FrameType, ModuleType

from sim.explore.cached import BornMem
from sim.explore.judges.at_rest import AtRest
from sim.explore.judges.guards import Guards
from sim.explore.judges.judge import Judge
from sim.explore.judges.lifetimes import Lifetimes
from sim.explore.judges.locks import Locks
from sim.explore.judges.modified import Modified
from sim.explore.judges.protected import Protected
from sim.explore.judges.tally import Tally
from sim.explore.judges.user_mode import UserMode
from sim.explore.judges.uses import Uses
from sim.explore.judges.view import View
from sim.explore.litmus import Litmus
from sim.explore.litmus_state import LitmusState
from sim.explore.machine import Machine
from sim.explore.ops import Setting
from sim.explore.touched import Touched
from sim.explore.trace import Trace
from sim.explore.walks import Walks
from sim.hardware.lock import Mutex
from sim.hardware.memory import Words
from sim.hardware.paging import Geometry, PhysMem
from sim.kernel.designs.base import Design
from sim.kernel.designs.svs import SvsRevision
from sim.kernel.hooks import Hooks
from sim.kernel.kernel import Kernel
from sim.kernel.layout import Layout
from sim.kernel.lwp import Lwp
from sim.kernel.rwlock import RwLock
from sim.kernel.shootdown import Packet

# Constant from the start of an execution to its end, or kept for people and statistics only.
LEFT_OUT: tuple[type, ...] = (
    Geometry, Layout, Litmus, SvsRevision,  # what the program and the profile fix
    Hooks, Tally, Trace,  # nothing in the model reads them
    Touched,  # empty between transitions
    View, UserMode, AtRest, Guards, Judge, Setting,  # no state of their own; what they look at is walked anyway
    FrameType, CodeType, ModuleType,  # a generator's position is its f_lasti
)  # fmt: skip

# Fields of otherwise walked classes that decide nothing.
FIELDS_LEFT_OUT: dict[type, set[str]] = {
    Words: {"name", "shared", "owner", "sharers"},  # cache lines have owners in timed runs only
    Mutex: {"name", "lock_class", "ipl", "since", "waiters"},  # spinners stand in the CPUs' steps; the rest is constant
    RwLock: {"holders"},  # as the LWPs' positions say
    BornMem: {"table_of", "held", "frees", "births", "page_freed"},  # noted with each table, or by itself
    # Names are for people; who has one is in use, which is noted by itself, as what is in tables is.
    PhysMem: {"_names", "_tables", "_stale"},
    Design: {"name"},  # constant
    Kernel: {"_with_stack"},  # made when it is first asked for, from what is walked
    Lwp: {"tallies", "tally", "who", "lines", "key", "frames"},  # what timed runs keep; frames by themselves
    LitmusState: {"first"},  # constant
    Packet: {"why"},  # a word for statistics
    # What judges are given as they are made; and what is fixed once exploration begins.
    Locks: {"premise", "broken", "view", "_updirs", "_packets", "_queue_of"},
    Lifetimes: {
        "premise",
        "broken",
        "view",
        "touched",
        "guards",
        "written",
        "modified",
        "entered",
        "left",
        "sent",
        "mailbox",
        "pending",
    },
    Uses: {"premise", "broken", "view", "touched", "tally", "lifetimes", "protected", "modified", "user_vas"},
    Protected: {"premise", "broken", "view", "touched"},
    Modified: {"premise", "broken", "view", "touched", "first"},
    Walks: {"mem", "touched", "followed", "vas", "_numbers"},  # what judges follow; names for places
    # Numbers of stores and moves tell things of one execution apart; what buffers hold is written by itself, busy with
    # each mutex.
    Machine: {"serial", "buffers", "busy", "touched", "turns", "moved"},
}
