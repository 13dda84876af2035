"""The null model: five constants and arithmetic, against which the simulator has to earn its keep.

It knows what an operation of the workload is, and nothing of what happens in a machine: a crossing of isolated kernel
and user costs a constant, a flushed page another.  No TLB, no cache, no lock, no other CPU.  It is run with the same
curves, fits and quantities as the simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sim.hardware.steps import Access
from sim.kernel import program
from sim.kernel.designs import make_design
from sim.timed.paired import PairedResult, RunResult

if TYPE_CHECKING:
    from sim.kernel.designs.base import Design
    from sim.timed.costs import CostTable

PAGE = 4096
NS = 1_000_000_000


class Constant(NamedTuple):
    """A constant of the null model: value, unit, and the figure that it is."""

    value: int
    unit: str
    source: str
    says: str


CONSTANTS = {
    "crossing_pcid": Constant(141, "ns", "S5", "a pair of crossings, isolated with PCID"),
    "crossing": Constant(262, "ns", "S6", "a pair of crossings, isolated without PCID"),
    "invlpg_skylake": Constant(194, "cycles", "M14", "a page flushed, on a Skylake"),
    "invlpg": Constant(237, "cycles", "M4", "a page flushed, on anything else"),
    "invpcid": Constant(347, "cycles", "M14", "the same page in the user half, isolated with PCID"),
}


class Prices(NamedTuple):
    """What the constants make of a design on a machine, in cycles; *most* pages are flushed one by one.

    *fault* and *fork* are the work of a page fault and a fork, the cost table's, so that percentages have a base.
    """

    crossing: float
    page: int
    most: int
    fault: int
    fork: int


def prices(design: Design, costs: CostTable, crossing: float | None) -> Prices:
    """Return the prices; *crossing* is a pair of crossings in cycles that a curve brings, in place of the constant."""
    page = CONSTANTS["invlpg_skylake" if costs.name.startswith("skylake") else "invlpg"].value
    if design.isolates and design.pcid and not getattr(design, "defer_user_flush", False):
        page += CONSTANTS["invpcid"].value
    constant = CONSTANTS["crossing_pcid" if design.pcid else "crossing"].value * costs.frequency_hz / NS
    pair = 0.0 if not design.isolates else constant if crossing is None else crossing
    cycles = costs.cycles()
    return Prices(pair, page, design.shootdown.maxva, cycles["fault_work"], cycles["fork_work"])


@dataclass(slots=True)
class Space:
    """Pages of an address space: those present, and of these the read-only ones."""

    present: set[int] = field(default_factory=set)
    read_only: set[int] = field(default_factory=set)


class Tally:
    """Adds up one run, operation by operation, in cycles by CPU, LWP, call and cause.

    Attributes:
        made: how often each LWP made each call.
    """

    def __init__(self, prices: Prices) -> None:
        self.prices = prices
        self.cycles: dict[tuple[int, str, str, str], float] = {}
        self.made: dict[tuple[str, str], int] = {}
        self.comm = self.call = ""
        self.flushes: list[tuple[int, int, int]] = []
        self.spaces: dict[str, Space] = {}

    def add(self, cpu: int, cause: str, cycles: float) -> None:
        """Charge a cause on a CPU, to the LWP and the call that are on."""
        key = cpu, self.comm, self.call, cause
        self.cycles[key] = self.cycles.get(key, 0.0) + cycles

    def begin(self, call: str) -> None:
        """The LWP makes a call."""
        self.call = call
        self.made[self.comm, call] = self.made.get((self.comm, call), 0) + 1

    def lwp(self, spec: program.LwpSpec, cpu: int) -> None:
        """One LWP from beginning to end, then the children that it forks."""
        self.comm = spec.name
        space = self.spaces.setdefault(spec.group, Space())
        children: list[program.LwpSpec] = []
        for operation in spec.program:
            if isinstance(operation, program.User):
                self.user(spec, space, operation, cpu)
            elif isinstance(operation, program.Syscall):
                self.syscall(spec, space, operation, cpu, children)
            elif not isinstance(operation, program.Mark):
                self.crossing(cpu, operation.cycles)
        for child in children:
            self.lwp(child, cpu)

    def crossing(self, cpu: int, work: float) -> None:
        """Into the kernel and back, with so much work there."""
        self.add(cpu, "entry/exit CR3", self.prices.crossing)
        self.add(cpu, "kernel work", work)

    def user(self, spec: program.LwpSpec, space: Space, operation: program.User, cpu: int) -> None:
        """Compute; pages that are not there, or may not be written, fault once."""
        if spec.system:
            self.add(cpu, "kernel work", operation.cycles)
            return
        self.add(cpu, "user work", operation.cycles)
        for va, access in operation.touches:
            page = va // PAGE
            missing = page not in space.present and not spec.resident
            if missing or access is Access.WRITE and page in space.read_only:
                self.begin(program.PAGE_FAULT.name)
                self.crossing(cpu, self.prices.fault)
                self.call = ""
            space.present.add(page)
            if access is Access.WRITE:
                space.read_only.discard(page)

    def syscall(self, spec: program.LwpSpec, space: Space, operation: program.Syscall, cpu: int,
                children: list[program.LwpSpec]) -> None:  # fmt: skip
        """A call: a crossing, its work, and the pages that its operations flush."""
        self.begin(operation.name)
        if spec.system:
            self.add(cpu, "kernel work", operation.cycles)
        else:
            self.crossing(cpu, operation.cycles)
        for part in operation.body:
            if isinstance(part, program.Unmap | program.Protect):
                hit = {page for page in space.present if part.start <= page * PAGE < part.end}
                if isinstance(part, program.Unmap):
                    space.present -= hit
                elif not part.write:
                    space.read_only |= hit
                self.flush(cpu, len(hit))
            elif isinstance(part, program.Fork):
                self.add(cpu, "kernel work", self.prices.fork)
                children.append(part.child)
            elif isinstance(part, program.Exec):
                space.present.clear()
        self.call = ""

    def flush(self, cpu: int, pages: int) -> None:
        """Flush single pages; above the design's limit everything goes, for which there is no constant."""
        if pages:
            cycles = pages * self.prices.page if pages <= self.prices.most else 0
            self.add(cpu, "shootdown local flush", cycles)
            self.flushes.append((cpu, pages if pages <= self.prices.most else -1, cycles))


def null_paired(
    source: Callable[[], program.Workload], *, profile: str, baseline: str, pcid: bool | None, cpus: int,
    costs: CostTable, crossing: float | None = None,
) -> PairedResult:  # fmt: skip
    """Price the workload under both designs: what :func:`~sim.timed.paired.run_paired` gives, without running anything.

    An LWP stays on the CPU where the simulator would start it, and CPUs never wait: a run lasts as long as the busiest.
    *crossing*: cycles of a pair of crossings that the curve brings.
    """
    return PairedResult(*(_run(source(), name, pcid, cpus, costs, crossing) for name in (baseline, profile)))


def _run(
    workload: program.Workload, profile: str, pcid: bool | None, cpus: int, costs: CostTable, crossing: float | None
) -> RunResult:
    """One run."""
    design = make_design(profile, pcid)
    tally = Tally(prices(design, costs, crossing))
    for number, spec in enumerate(workload.lwps):
        tally.lwp(spec, (number if spec.cpu is None else spec.cpu) % cpus)
    rows = [(*key, round(n)) for key, n in tally.cycles.items()]
    busy = [sum(row[-1] for row in rows if row[0] == cpu) for cpu in range(cpus)]
    ledger = {row[3]: (0, sum(other[-1] for other in rows if other[3] == row[3])) for row in rows}
    return RunResult(
        profile=profile, pcid=design.pcid, cpus=cpus, frequency_hz=costs.frequency_hz, elapsed_cycles=max(busy),
        busy_cycles=sum(busy), conserved=True, ledger=ledger, counters={}, frames=_frames(tally, rows), assumptions={},
        recorded={},
    )  # fmt: skip


def _frames(tally: Tally, rows: Sequence[tuple[int, str, str, str, int]]) -> dict[str, dict[str, list[object]]]:
    """What quantities look at of a run's frames."""
    calls = [(comm, 0, name, tally.made[comm, name], cause, n) for _, comm, name, cause, n in rows if name]
    return {
        "ledger": _frame(("cpu", "cause", "cycles"), [(cpu, cause, n) for cpu, _, _, cause, n in rows]),
        "tasks": _frame(("comm", "cause", "cycles"), [(comm, cause, n) for _, comm, _, cause, n in rows]),
        "calls": _frame(("comm", "pid", "name", "calls", "cause", "cycles"), calls),
        "shootdowns": _frame(("cpu", "pages", "total_cycles"), tally.flushes),
    }


def _frame(columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> dict[str, list[object]]:
    """Rows as columns."""
    return {name: [row[place] for row in rows] for place, name in enumerate(columns)}
