"""From samples to a cost table: figures that were measured, fitted through the model, or kept from a base table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from sim.experiments.calibrate import model
from sim.experiments.calibrate.machine import Machine
from sim.experiments.calibrate.probe import Samples
from sim.timed.costs import CostTable, parse_costs

SOURCE = "calibrate"


class Fit(NamedTuple):
    """Costs that are scaled so that the model takes what the probe measured."""

    sample: str
    costs: tuple[str, ...]
    takes: Callable[[CostTable], float]
    says: str


FITS = (
    Fit("null_call", ("syscall_dispatch",), model.null_call, "a null call"),
    Fit("page_fault", ("fault_work",), model.page_fault, "a fault on a fresh page"),
    Fit("pipe_round_trip", ("mi_switch_work", "cpu_switchto_work", "wakeup_work", "enqueue_work"),
        model.pipe_round_trip, "a round trip through two pipes on one CPU"),
)  # fmt: skip

PRIVILEGED = (
    "cr3_write", "cr3_write_noflush", "cr4_write", "invlpg", "invpcid_address", "invpcid_context",
    "invpcid_all_nonglobal", "invpcid_all", "wrmsr", "wbinvd", "lldt", "cli", "sti",
)  # fmt: skip


@dataclass(slots=True)
class Calibration:
    """A table being made.

    Attributes:
        measured: what the probe gave, (value, low, high) by quantity: lower quartile (clock: upper) and both quartiles.
        figures: cycles and a note for each cost that does not come from *base*.
        unmeasured: a line for each thing that could not be measured, with the reason.
        text: the table as TOML, once it is finished.
    """

    base: CostTable
    machine: Machine
    measured: dict[str, tuple[float, float, float]]
    frequency_hz: int
    figures: dict[str, tuple[int, str]] = field(default_factory=dict)
    unmeasured: list[str] = field(default_factory=list)
    text: str = ""

    def cycles(self, name: str) -> float:
        """A measured time in CPU cycles."""
        return self.measured[name][0] * self.frequency_hz / 1e9

    def take(self, cost: str, sample: str, says: str = "") -> None:
        """A cost is what the probe measured."""
        _, low, high = self.measured[sample]
        note = f"{says + ': ' if says else ''}{low:.3g} to {high:.3g} ns (quartiles)"
        self.figures[cost] = (max(0, round(self.cycles(sample))), note)


def calibrate(samples: Samples, machine: Machine, base: CostTable) -> Calibration:
    """Make a cost table for *machine*; whatever was not measured is *base*'s."""
    measured = {name: (samples.value(name), *samples.spread(name)) for name in samples.by_name}
    frequency = round(samples.value("clock_hz") / 1e6) * 1_000_000
    made = Calibration(base, machine, measured, frequency)
    made.take("locked_rmw", "locked_rmw")
    made.take("pause", "pause")
    _translations(made)
    _lines(made, samples)
    _unmeasured(made)
    made.text = render(made)
    if not machine.pti:
        _fit(made)
    made.text = render(made)
    return made


def _translations(made: Calibration) -> None:
    """Second-level hits and walks: as many lines on small pages as on large ones, the difference is the TLB's."""
    made.take("stlb_hit_data", "translate_256", "256 pages, beyond the first level")
    made.take("stlb_hit_instruction", "translate_256", "as stlb_hit_data")
    walk = round(made.cycles("translate_16384"))
    base = made.base.figures["walk_base"]["cycles"]
    _, low, high = made.measured["translate_16384"]
    if walk <= base:
        made.unmeasured.append(f"page walks: 16,384 pages add {walk} cycles an access, less than a walk can take")
        return
    nested = ", two-dimensional in a virtual machine" if made.machine.hypervisor else ""
    made.figures["walk_load"] = (walk - base, f"16,384 pages add {low:.3g} to {high:.3g} ns, less walk_base{nested}")


def _lines(made: Calibration, samples: Samples) -> None:
    """Transfers of a cache line, the quickest pair for each distance."""
    by_distance: dict[str, tuple[int, int]] = {}
    for pair in samples.lines():
        distance = made.machine.distances[pair]
        best = by_distance.get(distance)
        if best is None or samples.value(f"line_{pair[0]}_{pair[1]}") < samples.value(f"line_{best[0]}_{best[1]}"):
            by_distance[distance] = pair
    for distance in ("same_core", "cluster", "socket", "remote"):
        if distance in by_distance:
            one, other = by_distance[distance]
            made.take(f"line_{distance}", f"line_{one}_{other}", f"CPUs {one} and {other}")
        else:
            made.unmeasured.append(f"line_{distance}: no two CPUs here are that far apart")


def _unmeasured(made: Calibration) -> None:
    """What a program without privileges cannot measure here, and why."""
    made.unmeasured.append(f"{', '.join(PRIVILEGED)}: privileged instructions")
    if made.machine.hypervisor:
        made.unmeasured.append("walks and IPIs of the bare machine: this is a virtual machine")
    if made.machine.pti:
        made.unmeasured.append("null call, page fault, switches, shootdown without isolation: PTI is on")
    if made.machine.pti is None:
        made.unmeasured.append("whether PTI is on: the kernel does not say; null calls are taken to be without it")


def _fit(made: Calibration) -> None:
    """Choose software's costs, and the flight of an IPI, so that the model takes as long as the machine did."""
    table = parse_costs(made.text, "calibrated table")
    for sample, costs, takes, says in FITS:
        table = _fit_one(made, table, Fit(sample, costs, takes, says), made.cycles(sample))
    if "unmap_beside_thread" not in made.measured:
        made.unmeasured.append("IPIs: one CPU only")
        return
    added = made.cycles("unmap_beside_thread") - made.cycles("unmap_alone")
    flights = tuple(f"ipi_latency_{d}" for d in ("same_core", "cluster", "socket", "remote"))
    shootdown = Fit("unmap_beside_thread", flights, model.shootdown, "what a running thread adds to a munmap")
    _fit_one(made, table, shootdown, added)


def _fit_one(made: Calibration, table: CostTable, fit: Fit, wanted: float) -> CostTable:
    """Fit one quantity; return the table with it."""
    costs, takes = model.solve(table, fit.costs, fit.takes, wanted)
    _, low, high = made.measured[fit.sample]
    for name, cycles in costs.items():
        made.figures[name] = (
            cycles,
            f"fitted: {fit.says} takes {wanted:.0f} cycles; sample {low:.0f} to {high:.0f} ns",
        )
    if takes > wanted * 1.05 + 2:
        made.unmeasured.append(
            f"{fit.says}: the model takes {takes:.0f} cycles even with {', '.join(fit.costs)} at zero, "
            f"this machine {wanted:.0f}"
        )
    return table.with_cycles(costs)


def render(made: Calibration) -> str:
    """The table as TOML: facts and samples as comments, then every cost with its source."""
    machine, base = made.machine, made.base
    pti = {True: "on", False: "off", None: "not stated"}[machine.pti]
    head = [
        f"# Measured by svs-sim calibrate on {machine.model}, {machine.kernel}.",
        f"# Virtual machine: {'yes' if machine.hypervisor else 'no'}; PTI: {pti}; base table: {base.name}.",
        "# Samples in ns, lower quartile (quartiles):",
        *(f"#   {name} {value:.4g} ({low:.4g} to {high:.4g})" for name, (value, low, high) in made.measured.items()),
        "# Not measured:",
        *(f"#   {line}" for line in made.unmeasured),
        "",
        'name = "calibrated"',
        f"frequency_hz = {made.frequency_hz}",
        "",
        "[costs]",
    ]
    return "\n".join([*head, *(_figure(made, name) for name in base.figures), "", *_shapes(base)]) + "\n"


def _quoted(text: str) -> str:
    """A TOML string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _figure(made: Calibration, name: str) -> str:
    """One cost as a line."""
    if name in made.figures:
        cycles, note = made.figures[name]
        source, sure = SOURCE, "FITTED" if note.startswith("fitted") else "MEASURED"
    else:
        raw = made.base.figures[name]
        cycles, source, sure = raw["cycles"], raw["source"], raw["sure"]
        note = f"of {made.base.name}" + (f": {raw['note']}" if raw.get("note") else "")
    return (
        f'{name} = {{ value = {cycles}, unit = "cycles", source = {_quoted(source)}, sure = "{sure}", '
        f"note = {_quoted(note)} }}"
    )


def _shapes(base: CostTable) -> list[str]:
    """TLB and topology, which are the base's."""
    text = base.text
    return text[text.index("[tlb]") :].rstrip().splitlines()
