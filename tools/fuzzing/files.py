"""TOML of every kind, replay tokens, command lines, and the files of results."""

from __future__ import annotations

import base64
import json
import shutil
import tomllib
import zlib
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from scenarios.litmus_reader import find
from scenarios.litmus_reader import read as read_litmus
from scenarios.open import open_scenario
from sim.cli import main
from sim.cli._parser import ORDER, parse
from sim.experiments.runs import run_scenario
from sim.experiments.sweep import load_sweep
from sim.experiments.validation.reading import load_curve
from sim.explore.check import check
from sim.explore.counterexample.token import PREFIX, Token, decode, encode
from sim.explore.explorer import Budget
from sim.explore.request import Request
from sim.kernel.designs import PROFILES
from sim.timed.costs import load_costs
from tools.fuzzing.damage import ODD, of_bytes, of_tree, toml
from tools.fuzzing.watch import Case

ROOT = Path(__file__).resolve().parents[2]
FILES: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("scenarios/*.toml", open_scenario),
    ("scenarios/validation/workloads/*.toml", open_scenario),
    ("scenarios/litmus/*.toml", read_litmus),
    ("scenarios/sweeps/*.toml", load_sweep),
    ("sim/timed/costs_data/*.toml", load_costs),
    ("scenarios/validation/*.toml", load_curve),
)
OPTIONED = (["--json"], ["--quiet"], ["--seed", "3"], ["--cpus", "2"], ["--profile", "pti+no-global"], ["--no-pcid"],
            ["--jobs", "2"], ["--costs", "haswell@2.4GHz"], ["--budget", "50000steps"], ["--memory", "tso"], ["--csv"],
            ["--window", "1ms:2ms"], ["--repeat", "3"], ["--strategy", "states"], ["--engine", "plain"], ["--pid", "7"],
            ["--untraced-cpu", "1.2s"], ["--help"], ["--out", "x"])  # fmt: skip
OPTIONS = ("--out", "--json", "--seed", "--quiet", "--cpus", "--profile", "--baseline", "--pcid", "--no-pcid",
           "--jobs", "--costs", "--budget", "--memory", "--window", "--help", "--repeat", "--strategy", "--comm",
           "--pid", "--csv", "--plant", "--patch", "--replay", "--preemptions", "--runs", "--depth", "--curve",
           "--list", "--at", "--cpu", "--kind", "--perfetto", "--run", "--validation", "--cluster", "--engine",
           "--untraced-cpu")  # fmt: skip
WORDS = ("null-syscall", "cc-build", "switch-pmaps", "all", "x.toml", "pti+no-global", "svs-netbsd9", "none", "out",
         "0", "1", "2", "64", "257", "1ms:2ms", "1ms", "-1", "tso", "sc", "states", "dpor", "50000steps", "30s",
         "bash", "haswell@2.4GHz", "haswell+nested", "fast", "\u00b2", "no-second-look", "reach")  # fmt: skip


@cache
def _shipped(pattern: str) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(ROOT.glob(pattern)))


@cache
def _trees(pattern: str) -> tuple[dict[str, Any], ...]:
    return tuple(tomllib.loads(text.decode()) for text in _shipped(pattern))


def _read(read: Callable[[Path], object]) -> Callable[[Path], int]:
    def run(path: Path) -> int:
        read(path)
        return 0

    return run


def file(rng: Random) -> Case:
    """A shipped file of any kind, a few values or bytes of it changed: read and checked, not run."""
    pattern, read = rng.choice(FILES)
    if rng.random() < 0.65:
        trees = _trees(pattern)
        tree = of_tree(rng, deepcopy(rng.choice(trees)), rng.sample(trees, 1))
        data = toml(tree).encode("utf-8", "surrogatepass")
    else:
        data = of_bytes(rng, rng.choice(_shipped(pattern)))
    return Case(data, ".toml", _read(read))


@cache
def _schedules() -> tuple[Token, ...]:
    """Schedules of shipped programs, each of which breaks something under a planted bug."""
    from sim.explore.plants import plants

    found = []
    for plant in plants()[:: len(plants()) // 4]:
        request = Request(
            find(plant.litmus), plant.profile, plant.memory, (plant.patch,), budget=Budget(executions=300)
        )
        broken = check(request).counterexample
        if broken is not None:
            found.append(decode(broken.token))
    return tuple(found)


def token(rng: Random) -> Case:
    """A replay token of a shipped program, its schedule or contents changed, or damaged; it is followed."""
    good = rng.choice(_schedules())
    choices = list(good.choices)
    for _ in range(rng.choice((0, 0, 1, 2))):
        at = rng.randrange(len(choices) + 1)
        choices[at : at + rng.randrange(2)] = [rng.randrange(3) for _ in range(rng.randrange(3))]
    choices = choices[: rng.randrange(len(choices) + 1)] if rng.random() < 0.3 else choices
    good = good._replace(choices=tuple(choices))
    if rng.random() < 0.95:  # the kernel as it is; one with a patch takes ten times as long
        good = good._replace(planted=(), profile=rng.choice(list(PROFILES)), memory=rng.choice(("sc", "tso")))
    made = encode(good)
    if rng.random() < 0.2:
        body = made[len(PREFIX) :]
        parts = json.loads(zlib.decompress(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))
        packed = zlib.compress(json.dumps(of_tree(rng, parts), default=str).encode(), 9)
        made = PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")
    data = of_bytes(rng, made.encode()) if rng.random() < 0.3 else made.encode()
    return Case(
        data, ".token", lambda path: main(["check", "--replay", path.read_text("utf-8", "surrogateescape"), "--quiet"]),
        frozenset({0, 1, 2}),
    )  # fmt: skip


def arguments(rng: Random) -> Case:
    """A command line: parsed, not carried out; half of them have what the command needs."""
    command = rng.choice(ORDER)
    words = [command]
    if rng.random() < 0.5:
        words += {"run": ["cc-build", "--out", "x"], "sweep": ["cpus", "--out", "x"],
                  "inspect": ["cc-build", "--at", "1ms"], "chart": ["x"], "report": ["x"],
                  "compare": ["x", "y"], "completion": ["bash"],
                  "export": ["x", "--perfetto"], "record": ["--out", "x", "--", "true"]}.get(command, [])  # fmt: skip
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        words += rng.choice(OPTIONED) if rng.random() < 0.6 else [rng.choice(rng.choice((OPTIONS, WORDS)))]
    data = "\n".join(words).encode()
    if rng.random() < 0.3:
        data = of_bytes(rng, data)
    elif rng.random() < 0.2:
        data += b"\n" + rng.choice(ODD)
    return Case(data, ".args", lambda path: _parsed(path.read_text("utf-8", "surrogateescape").split("\n")))


def _parsed(words: list[str]) -> int:
    parse(words)
    return 0


@cache
def _result() -> tuple[Path, bytes]:
    """A result of a short run and the text of its summary."""
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="svs-fuzz-result-"))
    small = folder / "small.toml"
    small.write_text('[[group]]\nname = "a"\nlwps = 2\niterations = 9\n[[group.syscalls]]\nkind = "map_unmap"\n')
    run_scenario(open_scenario(small), folder / "out", window=(0, 100_000))
    return folder / "out", (folder / "out" / "summary.json").read_bytes()


def result(rng: Random) -> Case:
    """A result whose summary was changed, or one of whose frames was damaged, as it is drawn, exported, compared."""
    folder, summary = _result()
    if rng.random() < 0.7:
        data = json.dumps(of_tree(rng, json.loads(summary)), default=str).encode()
    else:
        data = of_bytes(rng, summary)
    frame = rng.choice(sorted(folder.glob("*.parquet"))) if rng.random() < 0.2 else None
    broken = of_bytes(rng, frame.read_bytes()) if frame is not None else b""
    words: Any = rng.choice((
        ["chart", "R"], ["chart", "R", "--kind", "timeline"], ["report", "R"], ["compare", "R", "O"],
        ["export", "R", "--out", "E"],
    ))  # fmt: skip

    def use(path: Path) -> int:
        copy = path.parent / "R"
        shutil.copytree(folder, copy)
        shutil.copyfile(path, copy / "summary.json")
        if frame is not None:
            (copy / frame.name).write_bytes(broken)
        names = {"R": str(copy), "O": str(folder), "E": str(path.parent / "E")}
        return main([*(names.get(word, word) for word in words), "--quiet"])

    return Case(data, ".json", use)
