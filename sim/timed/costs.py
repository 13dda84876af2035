"""Cost tables: what each thing that the machine does costs, with source and certainty (TOML)."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from sim.errors import InputError, closest
from sim.hardware.paging import Geometry
from sim.hardware.tlb import Tlb, TlbShape
from sim.hardware.topology import TopologyShape

NAMES = (
    "load", "store", "locked_rmw", "pause", "cli", "sti", "syscall", "sysret", "swapgs", "iret",
    "interrupt_entry", "exception_entry", "push_frame", "cr3_write", "cr3_write_noflush", "cr4_write", "invlpg",
    "invpcid_address", "invpcid_context", "invpcid_all_nonglobal", "invpcid_all", "wrmsr", "wbinvd", "lldt",
    "hlt_wakeup", "stlb_hit_data", "stlb_hit_instruction", "walk_base", "walk_load", "line_same_core", "line_cluster",
    "line_socket", "line_remote", "ipi_send", "ipi_latency_same_core", "ipi_latency_cluster", "ipi_latency_socket",
    "ipi_latency_remote", "tlb_handler_work", "syscall_dispatch", "fault_work", "timer_work", "device_work",
    "balance_work", "mi_switch_work", "cpu_switchto_work", "wakeup_work", "enqueue_work", "fork_work", "exec_work",
    "exit_work", "pmap_work", "pmap_page_work", "page_zero",
)  # fmt: skip
SHIPPED = ("haswell", "skylake-server", "skylake-client")
DEFAULT = "skylake-client"
MOST = 10**12
LEAST_HZ = 1_000_000
_FIGURE_KEYS = {"value", "unit", "source", "sure", "note", "tuned_on"}
_TLB_PARTS = ("l1d_4k", "l1d_2m", "l1i_4k", "l1i_2m", "stlb")
_SURE = {"READ-1", "READ-2", "DERIVED", "RECALLED", "MEASURED", "FITTED", "assumed"}
_CLOCK = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([GM])Hz")


class CostTable:
    """A validated cost table.

    Attributes:
        name: the table's own name.
        frequency_hz: CPU cycles a second.
        clock: where the frequency is from, and how surely.
        tlb, topology: shapes of the machine.
        shapes: the raw entries of the TLB's parts, with source and certainty.
        figures: the raw entries by name: value (cycles), source, sure; ``tuned_on`` lists the ids of the published
            figures on which a value was chosen, so that these are predicted no more.
    """

    def __init__(self, raw: dict[str, Any], figures: dict[str, dict[str, Any]], tlb: TlbShape,
                 topology: TopologyShape, text: str) -> None:  # fmt: skip
        self._raw = raw
        self.name: str = raw["name"]
        self.frequency_hz: int = raw["frequency_hz"]
        self.clock = (str(raw.get("clock_source", "assumed")), str(raw.get("clock_sure", "assumed")))
        self.shapes: dict[str, dict[str, Any]] = raw["tlb"]
        self.figures = figures
        self.tlb = tlb
        self.topology = topology
        self.text = text

    def cycles(self) -> dict[str, int]:
        """Return cycles by name, a fresh dict."""
        return {name: figure["cycles"] for name, figure in self.figures.items()}

    def with_cycles(self, changed: dict[str, int]) -> CostTable:
        """Return this table with other cycles for some names; the same object for none."""
        if not changed:
            return self
        figures = {**self.figures, **{name: {**self.figures[name], "cycles": c} for name, c in changed.items()}}
        return CostTable(self._raw, figures, self.tlb, self.topology, self.text)

    def make_tlb(self, geometry: Geometry) -> Tlb:
        """Return an empty TLB of this machine's shape."""
        return Tlb(geometry, self.tlb)

    def source(self, name: str) -> str:
        """Where a figure is from: an id of the published figures, or how it was assumed."""
        return str(self.figures[name]["source"])


def _fail(place: str, what: str) -> InputError:
    return InputError(f"{place}: {what}")


def _positive(place: str, key: str, value: object, *, zero: bool = False) -> int:
    """An int of at least 1 (0 with *zero*) and at most MOST."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _fail(place, f"{key} = {value!r} must be a whole number")
    if value < (0 if zero else 1):
        raise _fail(place, f"{key} = {value} must be {'zero or more' if zero else 'positive'}")
    if value > MOST:
        raise _fail(place, f"{key} = {value} must be {MOST} or less")
    return value


def _known(place: str, table: dict[str, Any], known: set[str]) -> None:
    """Every key of *table* must be known."""
    for key in table:
        if key not in known:
            raise _fail(place, f"unknown key '{key}'{closest(key, known)}")


def _figure(place: str, name: str, raw: object, frequency: int) -> dict[str, Any]:
    """Validate one ``name = { value, unit, source, sure, note }``."""
    if not isinstance(raw, dict):
        raise _fail(place, f"costs.{name} must be a table with value, unit, source and sure")
    _known(f"{place}: costs.{name}", raw, _FIGURE_KEYS)
    for key in ("value", "unit", "source", "sure"):
        if key not in raw:
            raise _fail(place, f"costs.{name}.{key} is missing")
    if not isinstance(raw["source"], str):
        raise _fail(place, f"costs.{name}.source = {raw['source']!r} must be text in quotes")
    if not isinstance(raw["sure"], str) or raw["sure"] not in _SURE:
        raise _fail(place, f"costs.{name}.sure = {raw['sure']!r} must be one of {', '.join(sorted(_SURE))}")
    tuned = raw.get("tuned_on", [])
    if not isinstance(tuned, list) or not all(isinstance(figure, str) for figure in tuned):
        raise _fail(place, f"costs.{name}.tuned_on = {tuned!r} must be a list of texts")
    value = _positive(place, f"costs.{name}.value", raw["value"], zero=True)
    if raw["unit"] not in ("cycles", "ns"):
        raise _fail(place, f"costs.{name}.unit = {raw['unit']!r} must be 'cycles' or 'ns'")
    cycles = value if raw["unit"] == "cycles" else value * frequency // 1_000_000_000
    return {**raw, "cycles": cycles}


def _shape(place: str, raw: dict[str, Any]) -> TlbShape:
    """Validate ``[tlb]``."""
    _known(f"{place}: tlb", raw, {*_TLB_PARTS, "psc"})
    parts: dict[str, Any] = {}
    for name in _TLB_PARTS:
        part = raw.get(name)
        if not isinstance(part, dict):
            raise _fail(place, f"tlb.{name} is missing (a table with entries and ways)")
        _known(f"{place}: tlb.{name}", part, {"entries", "ways", "source", "sure"})
        entries = _positive(place, f"tlb.{name}.entries", part.get("entries"))
        ways = _positive(place, f"tlb.{name}.ways", part.get("ways"))
        if entries % ways:
            raise _fail(place, f"tlb.{name}: {entries} entries do not divide into sets of {ways} ways")
        parts[name] = (entries, ways)
    psc = raw.get("psc")
    if not isinstance(psc, dict) or set(psc) - {"source", "sure"} != {"l4", "l3", "l2"}:
        raise _fail(place, "tlb.psc must give the entries of l4, l3 and l2")
    parts["psc"] = tuple(_positive(place, f"tlb.psc.{key}", psc[key]) for key in ("l4", "l3", "l2"))
    return TlbShape(**parts)


def parse_costs(text: str, place: str) -> CostTable:
    """Validate a cost table's text; *place* is the file's name for messages."""
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _fail(place, f"not valid TOML: {error}") from None
    _known(place, raw, {"name", "frequency_hz", "clock_source", "clock_sure", "costs", "tlb", "topology", "source"})
    for key in ("name", "frequency_hz", "costs", "tlb", "topology"):
        if key not in raw:
            raise _fail(place, f"'{key}' is missing")
    if not isinstance(raw["name"], str):
        raise _fail(place, f"name = {raw['name']!r} must be text in quotes")
    for key in ("costs", "tlb", "topology"):
        if not isinstance(raw[key], dict):
            raise _fail(place, f"'{key}' must be a table")
    frequency = _positive(place, "frequency_hz", raw["frequency_hz"])
    if frequency < LEAST_HZ:
        raise _fail(place, f"frequency_hz = {frequency} must be {LEAST_HZ} or more")
    _known(f"{place}: costs", raw["costs"], set(NAMES))
    missing = [name for name in NAMES if name not in raw["costs"]]
    if missing:
        raise _fail(place, f"figure missing: {', '.join(missing)}")
    figures = {name: _figure(place, name, raw["costs"][name], frequency) for name in NAMES}
    _known(f"{place}: topology", raw["topology"], set(TopologyShape.__dataclass_fields__))
    topology = TopologyShape(**{k: _positive(place, f"topology.{k}", v) for k, v in raw["topology"].items()})
    return CostTable(raw, figures, _shape(place, raw["tlb"]), topology, text)


def is_shipped(name: str) -> bool:
    """Whether a table ships under that name, which may carry a clock: ``haswell@2.4GHz``."""
    return name.partition("@")[0] in SHIPPED


def _at_clock(text: str, name: str, clock: str) -> str:
    """The text of a table with another clock; InputError if *clock* is none."""
    given = _CLOCK.fullmatch(clock)
    if given is None:
        raise InputError(f"cost table '{name}': the clock '{clock}' must be like 2.4GHz or 2400MHz")
    hertz = round(float(given[1]) * {"G": 10**9, "M": 10**6}[given[2]])
    text = re.sub(r"(?m)^frequency_hz\s*=.*$", f"frequency_hz = {hertz}", text, count=1)
    text = re.sub(r"(?m)^clock_(source|sure)\s*=.*\n", "", text)
    return re.sub(r"(?m)^name\s*=.*$", f'name = {json.dumps(name)}\nclock_source = "given"', text, count=1)


def load_costs(name: str | Path = DEFAULT) -> CostTable:
    """Load a shipped table by name, or the user's own by path; ``@2.4GHz`` after either sets another clock."""
    path = Path(name)
    base, at, clock = ("", "", "") if path.exists() else str(name).rpartition("@")
    if at:
        return parse_costs(_at_clock(load_costs(base).text, str(name), clock), str(name))
    if str(name) in SHIPPED:
        text = resources.files("sim.timed").joinpath("costs_data", f"{name}.toml").read_text(encoding="utf-8")
        return parse_costs(text, f"{name}.toml")
    if not path.suffix and not path.exists():
        raise InputError(f"unknown cost table '{name}'; shipped are {', '.join(SHIPPED)}{closest(str(name), SHIPPED)}")
    try:
        return parse_costs(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise InputError(f"cannot read cost table '{path}': {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"cost table '{path}' is not UTF-8 text") from None
