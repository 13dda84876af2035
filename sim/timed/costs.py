"""Cost tables: what each thing that the machine does costs, with source and certainty (TOML)."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from sim.errors import InputError, closest
from sim.hardware.caches import Caches, CacheShape, HostTables
from sim.hardware.paging import Geometry
from sim.hardware.tlb import Tlb, TlbShape
from sim.hardware.topology import TopologyShape
from sim.inputs.door import read_text
from sim.inputs.table import Table
from sim.inputs.toml import MOST_BYTES, parse_toml
from sim.kernel.kernel import DEFAULT_PAGES
from sim.kernel.sched import RR_TICKS
from sim.timed.cost_options import OPTIONS, changed, split_name, suffix_of

NAMES = (
    "load", "store", "locked_rmw", "pause", "cli", "sti", "syscall", "sysret", "swapgs", "iret", "interrupt_entry",
    "exception_entry", "push_frame", "cr3_write", "cr3_write_noflush", "cr4_write", "invlpg", "invpcid_address",
    "invpcid_context", "invpcid_all_nonglobal", "invpcid_all", "wrmsr", "wbinvd", "lldt", "hlt_wakeup",
    "stlb_hit_data", "stlb_hit_instruction", "walk_base", "walk_load", "cache_l2", "cache_l3", "cache_memory",
    "line_same_core", "line_cluster", "line_socket", "line_remote", "ipi_send", "ipi_latency_same_core",
    "ipi_latency_cluster", "ipi_latency_socket", "ipi_latency_remote", "tlb_handler_work", "syscall_dispatch",
    "fault_work", "timer_work", "device_work", "balance_work", "mi_switch_work", "cpu_switchto_work", "wakeup_work",
    "enqueue_work", "fork_work", "exec_work", "exit_work", "pmap_work", "pmap_page_work", "page_zero",
)  # fmt: skip
SHIPPED = ("haswell", "skylake-server", "skylake-client")
DEFAULT = "skylake-client"
MOST = 10**12
LINES_PER_KIB = 16
MOST_KIB = 10**6
LEAST_HZ, MOST_HZ = 1_000_000, 10**11
MOST_ENTRIES = 4096  # of one structure of a TLB: as many as the largest there are, and each CPU has its own
MOST_CPUS = 256  # that share something
HZ = 100  # timer interrupts a second
MOST_INTERRUPTS = 0.9  # share of a CPU's time; what an interrupt drives out of caches is not counted
KERNEL_MAPPINGS = 4  # text, data, direct map and stack, which each crossing touches
_TLB_PARTS = ("l1d_4k", "l1d_2m", "l1i_4k", "l1i_2m", "stlb")
_CACHES = ("l1", "l2", "l3")
_TOPOLOGY = tuple(TopologyShape.__dataclass_fields__)
_SURE = ("READ-1", "READ-2", "DERIVED", "RECALLED", "MEASURED", "FITTED", "assumed")


class CostTable:
    """A validated cost table.

    Attributes:
        name: the table's own name.
        frequency_hz: CPU cycles a second.
        clock: where the frequency is from, and how surely.
        mwait: whether idle CPUs wait in MWAIT, as Intel's with MONITOR do, else in HLT.
        tlb, caches, topology: shapes of the machine.
        nested: whether it is a guest, whose walks go through the host's tables as well.
        no_descriptors: whether what the CPU reads by itself at deliveries costs nothing.
        flat: whether all lines of page tables are taken to be in the first-level cache.
        shapes: the raw entries of the TLB's and the caches' parts, with source and certainty.
        figures: the raw entries by name: value (cycles), source, sure; ``tuned_on`` lists the ids of the published
            figures on which a value was chosen, so that these are predicted no more.  Shapes may have it too.
    """

    def __init__(self, raw: dict[str, Any], figures: dict[str, dict[str, Any]], tlb: TlbShape,
                 topology: TopologyShape, text: str) -> None:  # fmt: skip
        self._raw = raw
        self.name: str = raw["name"]
        self.frequency_hz: int = raw["frequency_hz"]
        self.clock = (str(raw.get("clock_source", "assumed")), str(raw.get("clock_sure", "assumed")))
        self.shapes: dict[str, dict[str, Any]] = {**raw["tlb"], **raw["caches"]}
        self.nested: bool = raw.get("nested", False)
        self.flat: bool = raw.get("flat", False)
        self.no_descriptors: bool = raw.get("no-descriptors", False)
        self.mwait = raw.get("idle", "mwait") == "mwait"
        self.figures = figures
        self.tlb = tlb
        self.caches = CacheShape(*(raw["caches"][key]["kib"] * LINES_PER_KIB for key in _CACHES))
        self.topology = topology
        self.text = text

    def cycles(self) -> dict[str, int]:
        """Return cycles by name, a fresh dict."""
        return {name: figure["cycles"] for name, figure in self.figures.items()}

    def bare_call(self) -> int:
        """Cycles of a system call that does nothing, without isolation: both crossings and the dispatch."""
        costs = self.cycles()
        once = ("syscall", "sysret", "syscall_dispatch")
        twice = ("swapgs", "push_frame", "cli", "sti")
        return sum(costs[name] for name in once) + 2 * sum(costs[name] for name in twice)

    def with_cycles(self, changed: dict[str, int]) -> CostTable:
        """Return this table with other cycles for some names; the same object for none."""
        if not changed:
            return self
        figures = {**self.figures, **{name: {**self.figures[name], "cycles": c} for name, c in changed.items()}}
        return CostTable(self._raw, figures, self.tlb, self.topology, self.text)

    def make_tlb(self, geometry: Geometry) -> Tlb:
        """Return an empty TLB of this machine's shape."""
        return Tlb(geometry, self.tlb)

    def make_caches(self) -> Caches:
        """Return the data caches of one CPU, which hold nothing but what has always been used."""
        shape = CacheShape(MOST, MOST, MOST) if self.flat else self.caches
        return Caches(shape, HostTables(self.tlb) if self.nested else None)

    def interrupt_overhead(self, pages: int = DEFAULT_PAGES["interrupt"]) -> int:
        """Cycles of entering and leaving by an interrupt that touches *pages* of the kernel, nothing being cached."""
        c = self.cycles()
        walk = c["stlb_hit_data"] + c["walk_base"] + Geometry().levels * c["walk_load"]
        crossing = c["interrupt_entry"] + c["push_frame"] + 2 * (c["swapgs"] + c["cr3_write"]) + c["iret"]
        return crossing + (pages + KERNEL_MAPPINGS) * walk

    def timer_load(self, pages: int = DEFAULT_PAGES["interrupt"]) -> float:
        """Share of each CPU's time that its timer interrupts take, the switch at the end of each slice included."""
        c = self.cycles()
        switch = c["mi_switch_work"] + c["cpu_switchto_work"] + c["cr3_write"]
        return HZ * (self.interrupt_overhead(pages) + c["timer_work"] + switch / RR_TICKS) / self.frequency_hz

    def source(self, name: str) -> str:
        """Where a figure is from: an id of the published figures, or how it was assumed."""
        return str(self.figures[name]["source"])


def parse_costs(text: str, place: str) -> CostTable:
    """Validate a cost table's text; *place* is the file's name for messages.  Raises InputError."""
    top = parse_toml(text, place)
    top.only("name", "frequency_hz", "clock_source", "clock_sure", "idle", *OPTIONS, "costs", "tlb", "caches",
             "topology", "source")  # fmt: skip
    top.text("idle", "mwait", ("mwait", "hlt"))
    top.text("name")
    for key in OPTIONS:
        top.flag(key, False)
    frequency = top.whole("frequency_hz", least=LEAST_HZ, most=MOST_HZ)
    for key in ("clock_source", "clock_sure", "source"):
        top.prose(key, "")
    figures = _figures(top, top.table("costs"), frequency)
    topology = top.table("topology")
    shape = TopologyShape(**{k: topology.whole(k, most=MOST_CPUS) for k in _TOPOLOGY if topology.has(k)})
    topology.finish()
    _check_caches(top.table("caches"))
    table = CostTable(top.values, figures, _shape(top.table("tlb")), shape, text)
    _check_timer(table, top.table("costs"))
    _check_lengths(table, top.table("costs"))
    return table


def _check_timer(table: CostTable, costs: Table) -> None:
    """InputError if timer interrupts leave a CPU no time: nothing on it would ever get on."""
    load = table.timer_load()
    if load > MOST_INTERRUPTS:
        c = table.cycles()
        parts = ("timer_work", "interrupt_entry", "push_frame", "swapgs", "cr3_write", "iret", "stlb_hit_data",
                 "walk_base", "walk_load", "mi_switch_work", "cpu_switchto_work")  # fmt: skip
        raise costs.fail(
            max(parts, key=lambda name: c[name]),
            f"timer interrupts, {HZ} a second, would take {100 * load:.0f} % of the time of each CPU; at most "
            f"{100 * MOST_INTERRUPTS:.0f} % leave it time for anything else",
        )


def _check_lengths(table: CostTable, costs: Table) -> None:
    """InputError if one thing takes longer than a tick: whatever needs some of them would run for hours."""
    tick = table.frequency_hz // HZ
    for name, cycles in table.cycles().items():
        if cycles > tick:
            raise costs.table(name).fail(
                "value", f"{cycles:,} cycles are more than {tick:,}, a tick of {1000 // HZ} ms"
            )


def _figures(top: Table, costs: Table, frequency: int) -> dict[str, dict[str, Any]]:
    """All figures of ``[costs]``, as they stand there and with their cycles."""
    costs.only(*NAMES)
    missing = [name for name in NAMES if name not in costs.values]
    if missing:
        raise top.fail("costs", f"figure missing: {', '.join(missing)}")
    figures = {}
    for name in NAMES:
        raw = costs.table(name)
        value = raw.whole("value", least=0, most=MOST)
        unit = raw.text("unit", choices=("cycles", "ns"))
        raw.prose("source")
        raw.text("sure", choices=_SURE)
        raw.prose("note", "")
        raw.texts("tuned_on", [])
        raw.finish()
        figures[name] = {**raw.values, "cycles": value if unit == "cycles" else value * frequency // 1_000_000_000}
    return figures


def _shape(tlb: Table) -> TlbShape:
    """The entries and ways of ``[tlb]``."""
    parts: dict[str, Any] = {}
    for name in _TLB_PARTS:
        part = tlb.table(name)
        entries, ways = (part.whole(key, most=MOST_ENTRIES) for key in ("entries", "ways"))
        if entries % ways:
            raise part.fail("ways", f"{entries} entries do not divide into sets of {ways} ways")
        _finish(part)
        parts[name] = (entries, ways)
    psc = tlb.table("psc")
    parts["psc"] = tuple(psc.whole(key, most=MOST_ENTRIES) for key in ("l4", "l3", "l2"))
    _finish(psc)
    tlb.finish()
    return TlbShape(**parts)


def _check_caches(caches: Table) -> None:
    """``[caches]``: the size of each level of a core, and what it may use of the last."""
    for name in _CACHES:
        part = caches.table(name)
        part.whole("kib", most=MOST_KIB)
        _finish(part)
    caches.finish()


def _finish(part: Table) -> None:
    """Read where a part's figures are from, which nothing follows from, and refuse other keys."""
    part.prose("source", "")
    part.text("sure", "", choices=("", *_SURE))
    part.texts("tuned_on", [])
    part.prose("note", "")
    part.finish()


def is_shipped(name: str) -> bool:
    """Whether a table ships under that name, which may carry options and a clock: ``haswell+nested@2.4GHz``."""
    return split_name(name)[0] in SHIPPED


def load_costs(name: str | Path = DEFAULT) -> CostTable:
    """Load a shipped table by name, or the user's own by path.

    Options and a clock may follow either: ``haswell+nested``, ``mine.toml@2.4GHz``, ``haswell+nested@2.4GHz``.
    """
    path = Path(name)
    if not path.exists():
        base, options, clock = split_name(str(name))
        if clock or options:
            table = load_costs(base)
            named = table.name + suffix_of(str(name))
            return parse_costs(changed(table.text, named, options, clock), str(name))
    if str(name) in SHIPPED:
        file = Path(str(resources.files("sim.timed"))) / "costs_data" / f"{name}.toml"
        return parse_costs(read_text(file, MOST_BYTES), f"{name}.toml")
    if not path.suffix and not path.exists():
        raise InputError(f"unknown cost table '{name}'; shipped are {', '.join(SHIPPED)}{closest(str(name), SHIPPED)}")
    return parse_costs(read_text(path, MOST_BYTES), str(path))
