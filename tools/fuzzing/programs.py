"""Random valid scenarios and litmus programs, run; and the same with a few values changed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from random import Random
from typing import Any

from scenarios.litmus_reader import read as read_litmus
from scenarios.open import open_scenario
from sim.explore.check import check
from sim.explore.explorer import Budget
from sim.explore.request import Request
from sim.kernel.designs import PROFILES, isolating
from sim.timed.costs import load_costs
from sim.timed.paired import PairedResult, run_paired
from tools.fuzzing.damage import of_tree, toml
from tools.fuzzing.watch import Case

BUDGETS = {"dpor": Budget(executions=200), "states": Budget(states=2000)}
SMALL = (0, 1, 2, 3, 4, 5, 8, 17, 33, 64, 100, -1, 0.5, 1.5)  # values with which a run remains short
TIMES = ("1 us", "20 us", "300 us", "20 ms", "1 ns", "0 us", "7 cycles")
WORDS = (*TIMES, "1 page", "9 pages", "128 KiB", "none", "pti", "pti+no-global", "svs-2018-02", "svs-netbsd8",
         "svs-netbsd9", "svs-netbsd10", "g0", "g1", "fork", "call", "wake", "wait", "sleep", "exec", "map_unmap",
         "protect", "discard", "yield", "kernel", "user", "haswell+nested", "skylake-server", "sequential")  # fmt: skip
STANDSTILL = 4
STATUS = {"holds": 0, "violated": 1, "incomplete": 3}


def facts(pair: PairedResult) -> object:
    """What two engines must agree on."""
    return [(r.elapsed_cycles, r.busy_cycles, r.ledger, r.counters, r.frames) for r in (pair.baseline, pair.profile)]


def run_both(path: Path, profile: str | None = None, engines: tuple[str, ...] = ("fast", "plain")) -> int:
    """Run a scenario under a profile (its own: None) with each engine: it ends, conserves every cycle, both agree."""
    found = []
    for engine in engines:
        scenario = open_scenario(path)
        pair = run_paired(
            scenario.source, profile=profile or scenario.profile, baseline=scenario.baseline, pcid=scenario.pcid,
            cpus=scenario.cpus, costs=scenario.costs, seed=scenario.seed, engine=engine,
        )  # fmt: skip
        assert pair.baseline.conserved, "cycles are missing"
        assert pair.profile.conserved, "cycles are missing"
        found.append(facts(pair))
    assert all(one == found[0] for one in found), "the engines differ"
    return 0


def _drawn(rng: Random) -> object:
    """A duration, or a distribution of some."""
    return rng.choice((
        rng.choice(TIMES[:3]), {"dist": "uniform", "low": "1 us", "high": "90 us"},
        {"dist": "exponential", "mean": "20 us"}, {"dist": "lognormal", "median": "9 us", "sigma": 0.6},
        {"dist": "choice", "values": ["1 us", "70 us"]},
    ))  # fmt: skip


def _call(rng: Random, groups: int) -> dict[str, Any]:
    kind = rng.choice(("plain", "map_unmap", "protect", "discard", "sleep", "yield", "exec", "wait", "wake", "call"))
    call: dict[str, Any] = {"kind": kind, "kernel_time": _drawn(rng)}
    if kind in ("map_unmap", "protect", "discard"):
        call["pages"] = f"{rng.choice((1, 2, 16, 40))} pages"
    if kind == "sleep":
        call["time"] = rng.choice(("1 us", "500 us", "900 ms"))
    if kind in ("wake", "call"):
        call["target"] = f"g{rng.randrange(groups)}"
    return call


def behaviour(rng: Random) -> dict[str, Any]:
    """A valid behaviour that runs for a moment."""
    groups = rng.choice((1, 1, 2, 3))
    top: dict[str, Any] = {"seed": rng.randrange(99), "machine": {"cpus": rng.choice((1, 2, 3, 5))}, "group": []}
    top["profile"] = rng.choice(list(PROFILES))
    if rng.random() < 0.3:
        top["machine"]["costs"] = rng.choice(("skylake-server", "skylake-client", "haswell+nested", "haswell@2GHz"))
    if rng.random() < 0.2:
        top["kernel_pages"] = {"syscall": rng.randrange(9), "fault": 3, "direct_map": rng.random() < 0.5}
    for number in range(groups):
        top["group"].append({
            "name": f"g{number}", "lwps": rng.randrange(1, 5), "processes": rng.randrange(1, 3),
            "iterations": rng.randrange(1, 20), "burst": _drawn(rng), "pages_per_burst": rng.randrange(9),
            "working_set": "128 KiB", "locality": rng.choice(("uniform", "sequential", 1.2)),
            "resident": rng.random() < 0.3, "own_pages": rng.random() < 0.3, "in_turn": rng.random() < 0.3,
            "kind": "kernel" if number and rng.random() < 0.2 else "user",
        })  # fmt: skip
        if top["group"][-1]["kind"] == "user":
            top["group"][-1]["syscalls"] = [_call(rng, groups) for _ in range(rng.randrange(3))]
    if rng.random() < 0.3:
        top["interrupt"] = [{"interval": f"{rng.choice((60, 900))} us", "handler": f"{rng.randrange(1, 30)} us"}]
    return top


def scenario(rng: Random) -> Case:
    """A valid behaviour under any profile, by both engines."""
    return Case(toml(behaviour(rng)).encode(), ".toml", run_both)


def changed_scenario(rng: Random) -> Case:
    """A behaviour with a few values changed; run if it is accepted."""
    tree = of_tree(rng, behaviour(rng), [behaviour(rng)], numbers=SMALL, words=WORDS)
    if rng.random() < 0.1:
        tree["disable_svs_at"] = "50 us"  # of which one design has a deadlock
    good = frozenset({0, 2, STANDSTILL}) if "disable_svs_at" in tree else frozenset({0, 2})
    return Case(toml(tree).encode(), ".toml", lambda path: run_both(path, engines=("fast",)), good)


def costs(rng: Random) -> Case:
    """A cost table with a few values changed; a short run by it if it is accepted."""
    text = (Path(load_costs.__code__.co_filename).parent / "costs_data" / "haswell.toml").read_text()
    data = toml(of_tree(rng, tomllib.loads(text), numbers=(*SMALL, 300, 5000, 10**6, 10**12)))

    def run(path: Path) -> int:
        use = path.with_name("use.toml")
        group = {
            "name": "a",
            "lwps": 2,
            "iterations": 4,
            "syscalls": [{"kind": "map_unmap"}, {"kind": "sleep", "time": "1 us"}],
        }
        use.write_text(toml({"machine": {"cpus": 2, "costs": str(path)}, "group": [group]}))
        return run_both(use, engines=("fast",))

    return Case(data.encode("utf-8", "surrogatepass"), ".toml", run)


def _operation(rng: Random) -> str:
    page = f"{rng.randrange(2)}.{rng.randrange(2)}"
    return rng.choice(("user", f"read {page}", f"write {page}", f"copyin {page}", f"enter {page}", f"remove {page}",
                       f"zap {page}", f"protect {page}", f"replace {page}", f"munmap {page}", "syscall", "update",
                       f"read A:{page}", f"remove B:{page}", "segment", "tick 0", "nmi 1", "fork", "exit",
                       "page_remove X", "page_protect X", "touch 0.2", "read 0.2", "munmap 0.2",
                       "kenter 1", "kremove 0", "kzap 0", "kread 0", "kwrite 1", "device 0 kremove 0",
                       "device 1 kenter 1", f"mremap {page} 0.3"))  # fmt: skip


def program(rng: Random) -> dict[str, Any]:
    """A valid litmus program of two CPUs with one or two operations each."""
    lwps = [
        {"name": f"l{cpu}", "cpu": cpu, "pmap": rng.choice("AAB"),
         "ops": [_operation(rng) for _ in range(rng.choice((1, 1, 2)))]}
        for cpu in range(2)
    ]  # fmt: skip
    return {"says": "random", "cpus": 2, "slots": 2, "pmaps": {"A": ["0.0"], "B": ["1.0"]},
            "shared": {"X": ["A:0.2", "B:0.2"]}, "kernel": rng.randrange(3), "lwps": lwps}  # fmt: skip


def litmus(rng: Random) -> Case:
    """A litmus program, explored by orders and by states."""
    tree, profile, memory = program(rng), rng.choice(isolating()), rng.choice(("sc", "sc", "tso"))
    return Case(toml(tree).encode(), ".toml", lambda path: compare_strategies(path, profile, memory), frozenset({0, 2}))


def compare_strategies(path: Path, profile: str, memory: str) -> int:
    """Where both explorations end, verdicts and outcomes are the same; where one does not, it contradicts nothing."""
    read = read_litmus(path)
    one, two = (
        check(Request(read, profile, memory, strategy=strategy, budget=budget)) for strategy, budget in BUDGETS.items()
    )
    said = {one.verdict, two.verdict} - {"incomplete"}
    assert len(said) < 2, f"dpor: {one.verdict}, states: {two.verdict}"
    if said == {"holds"} and one.verdict == two.verdict:
        assert set(one.finals) == set(two.finals), f"dpor: {sorted(one.finals)}, states: {sorted(two.finals)}"
    return 0


def changed_litmus(rng: Random) -> Case:
    """A litmus program with a few values changed; explored for a moment if it is accepted."""
    words = ("A", "B", "l0", "l1", "0.0", "1.1", "block x", "wake x", "wake y", "switch l1", "switch l0", "update B",
             "disable", "segment iretq", "device 0", "device 0 kread 9", "tick 1", "exit", "fork",
             "read 9.9")  # fmt: skip
    tree = of_tree(rng, program(rng), [program(rng)], numbers=SMALL, words=words)
    profile, memory = rng.choice(isolating()), rng.choice(("sc", "tso"))

    def run(path: Path) -> int:
        found = check(Request(read_litmus(path), profile, memory, budget=Budget(executions=6)))
        return STATUS[found.verdict]

    return Case(toml(tree).encode("utf-8", "surrogatepass"), ".toml", run, frozenset({0, 1, 2, 3}))
