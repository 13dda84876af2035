"""Speed of the timed driver, as ratios measured in one run: ``python benchmarks/timed.py [REPEATS]``.

* steps per second with everything a step does (kernel, TLB, ledger), against as many bare SimPy timeouts;
* the fast engine against the plain one, on the same workload;
* the short translation against the plain one: walks after a flush, and first-level hits.
"""

from __future__ import annotations

import sys

from rates import rates
from simpy import Environment

from scenarios.open import open_scenario
from sim.hardware.cpu import Cpu
from sim.hardware.mmu import translate
from sim.hardware.paging import FRAME, Geometry, P, PhysMem, U, W
from sim.hardware.quick_mmu import translator
from sim.hardware.steps import Access
from sim.hardware.tlb import Tlb
from sim.kernel.designs import make_design
from sim.timed.amounts import Amounts
from sim.timed.machine import TimedMachine

SCENARIO, PROFILE = "context-switch", "svs-2018-02"
TIMEOUTS = 200_000
ROUNDS, PAGES = 2_000, 13


def timeouts() -> int:
    """One process of SimPy that does nothing but wait; how often it waited."""
    env = Environment()

    def process():  # type: ignore[no-untyped-def]
        for _ in range(TIMEOUTS):
            yield env.timeout(1)

    env.process(process())
    env.run()
    return TIMEOUTS


def simulate(engine: str) -> int:
    """Run the scenario; the number of charges, which is about that of steps and the same in both engines."""
    scenario = open_scenario(SCENARIO)
    workload = scenario.source()
    machine = TimedMachine(workload, make_design(PROFILE), scenario.costs, scenario.cpus or workload.cpus, Amounts(),
                           fast=engine == "fast")  # fmt: skip
    machine.run()
    return sum(sum(account.counts.values()) for account in machine.accounts)


def mapped() -> tuple[Cpu, PhysMem, list[int]]:
    """A CPU whose tables map some pages in a row; their addresses."""
    geometry = Geometry()
    mem = PhysMem(geometry)
    cpu = Cpu(0, Tlb(geometry), geometry)
    cpu.cr3_pa = mem.alloc_table("root")
    addresses = [0x400000 + page * 4096 for page in range(PAGES)]
    for va in addresses:
        table = mem.table(cpu.cr3_pa)
        for level in range(geometry.levels, 1, -1):
            index = geometry.index(va, level)
            table.v[index] = table.v[index] or mem.alloc_table("table") | P | W | U
            table = mem.table(table.v[index] & FRAME)
        table.v[geometry.index(va, 1)] = mem.alloc_page("page") | P | W | U
    return cpu, mem, addresses


def walks(*, quick: bool) -> int:
    """Write to every page after a flush, round after round; the number of walks."""
    cpu, mem, addresses = mapped()
    translate_pair = translator(cpu, mem)
    for _ in range(ROUNDS):
        cpu.write_cr3(cpu.cr3_pa, 0, False)
        for va in addresses:
            if quick:
                translate_pair((va, Access.WRITE), True)
            else:
                translate(cpu, mem, va, Access.WRITE, True)
    return ROUNDS * PAGES


def main() -> None:
    """Print the measurements."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    bare, fast, plain = rates([timeouts, lambda: simulate("fast"), lambda: simulate("plain")], repeats)
    print(f"{SCENARIO} under {PROFILE}: {fast:,.0f} steps/s, bare timeouts {bare:,.0f}/s: ratio {fast / bare:.2f}")
    print(f"fast engine against plain one: {fast / plain:.2f} times as fast")
    slow, quick = rates([lambda: walks(quick=False), lambda: walks(quick=True)], repeats)
    print(f"walks: {quick:,.0f}/s, the plain way {slow:,.0f}/s: ratio {quick / slow:.2f}")


if __name__ == "__main__":
    main()
