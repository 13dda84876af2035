"""What an inspection found, as text, JSON and files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd

from analysis.folder import Kind
from analysis.inspect.picture import plot_reach, plot_tables
from analysis.inspect.regions import REGIONS
from analysis.inspect.tree import canonical, tree_text
from analysis.pictures import save_figure
from analysis.units import counted

MARKER = "inspect.json"
KIND = Kind(("at_cycles", "views"), ("tables.txt", "reach.*", "tables-cpu*"), MARKER)
VIEWS = {"user": "in user mode", "kernel": "in kernel mode"}
Views = dict[str, "nx.DiGraph[str]"]


@dataclass(frozen=True, slots=True)
class NmiTrace:
    """What an NMI on one CPU left on its stack, and who can read it in user mode.

    Attributes:
        cpu: the CPU it hit; *lwp*: the LWP that it interrupted there.
        stack_va, stack_pa: the page of the NMI stack.
        words: values left there by what they are, as (word, value, meaning).
        readable_on: CPUs whose user tables map that page after the NMI.
        fatal: how the NMI brought the machine down, instead of coming back; empty if it came back.
    """

    cpu: int
    lwp: str
    stack_va: int
    stack_pa: int
    words: tuple[tuple[int, int, str], ...]
    readable_on: tuple[int, ...]
    fatal: str = ""


@dataclass(slots=True)
class Study:
    """What an inspection found.

    Attributes:
        scenario, profile, pcid, cpus, seed, costs: what was run; *cycle* of *frequency_hz*: the moment.
        views: for each CPU asked for, its graphs by "user" and "kernel"; no "user" where no process is loaded.
        state: for each of these CPUs what it was doing: ``lwp``, ``pmap``, ``mode`` and ``cr3``.
        reach: :func:`sim.experiments.inspect.df_reach` of all profiles compared.
        nmi: what an NMI on CPU 0 leaves behind, by profile.
    """

    scenario: str
    profile: str
    pcid: bool
    cpus: int
    seed: int
    costs: str
    frequency_hz: int
    cycle: int
    views: dict[int, Views]
    state: dict[int, dict[str, str]]
    reach: pd.DataFrame
    nmi: dict[str, NmiTrace]

    @property
    def caption(self) -> str:
        """What the pictures stand on."""
        return (
            f"scenario {self.scenario}, {counted(self.cpus, 'CPU')}, costs {self.costs}, "
            f"{1e3 * self.cycle / self.frequency_hz:.6g} ms after the start, seed {self.seed}"
        )


def study_text(study: Study, cpus: Iterable[int]) -> str:
    """Return the trees of some CPUs as text."""
    parts = []
    for cpu in cpus:
        state = study.state[cpu]
        parts.append(
            f"CPU {cpu}: {state['lwp']} runs in {state['mode']} mode, pmap {state['pmap']}, CR3 {state['cr3']}"
        )
        for view, words in VIEWS.items():
            graph = study.views[cpu].get(view)
            parts.append(f"\nCPU {cpu} {words} ({study.profile}):")
            parts.append("no tables: no process is loaded" if graph is None else tree_text(graph))
        parts.append("")
    return "\n".join(parts)


def nmi_lines(study: Study) -> list[str]:
    """Say for each profile what an NMI leaves behind and who can read it."""
    lines = []
    for profile, trace in study.nmi.items():
        left = "; ".join(f"{meaning} ({canonical(value)})" for _, value, meaning in trace.words) or "nothing"
        where = f"on the NMI stack at physical {trace.stack_pa:#x}"
        who = ", ".join(f"CPU {cpu}" for cpu in trace.readable_on)
        if trace.fatal:
            lines.append(
                f"{profile}: an NMI on CPU {trace.cpu} would bring the machine down at this moment: it comes in kernel "
                f"mode with the user tables still loaded, and this revision's entry does not notice ({trace.fatal})"
            )
            continue
        lines.append(
            f"{profile}: an NMI on CPU {trace.cpu} leaves {left} {where}, "
            f"{'present in the tables of user mode on ' + who if who else 'which no user mode can reach'}"
        )
    return lines


def to_json(study: Study) -> dict[str, Any]:
    """Return the content of ``inspect.json``; graphs in networkx' node-link form."""
    table = study.reach.groupby(["profile", "region"], sort=False)["user_pages"].max()
    profiles = dict.fromkeys(study.reach["profile"])
    reach = {profile: {region: int(table[profile, region]) for region in REGIONS} for profile in profiles}
    return {
        "scenario": study.scenario,
        "profile": study.profile,
        "pcid": study.pcid,
        "cpus": study.cpus,
        "seed": study.seed,
        "costs": study.costs,
        "frequency_hz": study.frequency_hz,
        "at_cycles": study.cycle,
        "state": {str(cpu): state for cpu, state in study.state.items()},
        "views": {str(cpu): {view: nx.node_link_data(graph, edges="edges") for view, graph in views.items()}
                  for cpu, views in study.views.items()},
        "reachable_pages": reach,
        "nmi": {profile: _nmi_json(trace) for profile, trace in study.nmi.items()},
    }  # fmt: skip


def _nmi_json(trace: NmiTrace) -> dict[str, Any]:
    return {
        "cpu": trace.cpu,
        "lwp": trace.lwp,
        "stack_va": trace.stack_va,
        "stack_pa": trace.stack_pa,
        "left": [{"word": word, "value": value, "meaning": meaning} for word, value, meaning in trace.words],
        "readable_on_cpus": list(trace.readable_on),
        "fatal": trace.fatal,
    }


def write_study(study: Study, stage: Path) -> None:
    """Write ``inspect.json``, ``tables.txt``, ``reach.parquet`` and pictures into *stage*, a folder being filled."""
    text = json.dumps(to_json(study), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    (stage / MARKER).write_text(text + "\n", encoding="utf-8")
    (stage / "tables.txt").write_text(study_text(study, study.views), encoding="utf-8")
    with (stage / "reach.parquet").open("wb") as stream:
        study.reach.to_parquet(stream, index=False)
    for cpu, views in study.views.items():
        named = {f"{VIEWS[view]}: what CR3 holds then": graph for view, graph in views.items()}
        title = f"Page tables of CPU {cpu} under {study.profile}"
        save_figure(plot_tables(named, title, study.caption), stage / f"tables-cpu{cpu}")
    save_figure(plot_reach(study.reach, study.caption), stage / "reach")
