"""Fuzzes what people can give: recordings, TOML, tokens, arguments; and runs random scenarios and litmus programs.

``python tools/fuzz.py --cases 1000`` or ``--seconds 28800``.  Case *n* of a kind depends on seed, kind and *n* alone.
Whatever ends otherwise than well or in an InputError is kept as a file and reported; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import gzip
import io
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from random import Random
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from scenarios.litmus_reader import read as read_litmus  # noqa: E402
from scenarios.open import open_scenario  # noqa: E402
from sim.cli._parser import ORDER, parse  # noqa: E402
from sim.errors import InputError  # noqa: E402
from sim.experiments.sweep import load_sweep  # noqa: E402
from sim.experiments.validation.reading import load_curve  # noqa: E402
from sim.explore.check import check  # noqa: E402
from sim.explore.counterexample.token import Token, decode, encode  # noqa: E402
from sim.explore.explorer import Budget  # noqa: E402
from sim.explore.request import Request  # noqa: E402
from sim.kernel.designs import PROFILES, isolating  # noqa: E402
from sim.timed.costs import load_costs  # noqa: E402
from sim.timed.paired import PairedResult, run_paired  # noqa: E402

LONGEST_S = 60
BUDGETS = {"dpor": Budget(executions=3000), "states": Budget(states=20_000)}
ODD = (b"", b"0", b"-1", b"99999999999999999999", b"1e400", b"nan", b"\xff", b"\0", b"\x1b[2J", b'"', b"[[", b"\n",
       "\u00b2".encode(), b"a" * 9000, b"1979-05-27", b"{}", b"true", b"[[[[]]]]", b"10^400", b"<idle>-0")  # fmt: skip


class Case(NamedTuple):
    """One input as a file's bytes, the ending of its name, and what is to be done with it."""

    data: bytes
    ending: str
    run: Callable[[Path], object]


def mutate(rng: Random, data: bytes) -> bytes:
    """Damage a text in a few places: bytes, numbers, words, lines."""
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        lines = data.split(b"\n")
        line = rng.randrange(len(lines))
        match rng.randrange(7):
            case 0:
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case 1:
                data = data[:at] + rng.choice(ODD) + data[at:]
            case 2:
                data = data[:at] + data[at + rng.choice((1, 2, 20, 400)) :]
            case 3:
                lines[line:line] = [rng.choice(lines)]
                data = b"\n".join(lines)
            case 4:
                del lines[line]
                data = b"\n".join(lines)
            case 5:
                words = lines[line].split(b" ")
                words[rng.randrange(len(words))] = rng.choice(ODD)
                lines[line] = b" ".join(words)
                data = b"\n".join(lines)
            case _:
                head, equals, _ = lines[line].partition(b"=")
                lines[line] = head + equals + b" " + rng.choice(ODD)
                data = b"\n".join(lines)
    return data


def trace(rng: Random) -> str:
    """A recording of a few tasks on a few CPUs, in which anything may follow anything."""
    at, lines = 1_000_000, []
    names = ("alpha", "beta", "kworker/0:1", "a b", "<...>")
    for _ in range(rng.randrange(2, 60)):
        at += rng.choice((0, 1, 10, 1000, 2_000_000))
        tid, other = rng.randrange(1, 6), rng.randrange(6)
        comm, cpu, nr = names[tid % 5], rng.randrange(3), rng.choice((0, 1, 9, 10, 11, 39, 56, 59, 60, 202, 999))
        size = rng.choice((1, 0x1000, 0x100000, 0x7000000000))
        fields = rng.choice((
            f"sys_enter: NR {nr} (1000000, {size:x}, 1, 0, 0, 0)", f"sys_exit: NR {nr} = {rng.choice((0, -1, 4096))}",
            f"sched_switch: prev_comm={comm} prev_pid={tid} prev_prio=120 prev_state={rng.choice('RSD')} ==> "
            f"next_comm={names[other % 5]} next_pid={other} next_prio=120",
            f"page_fault_user: address={0x1000000 + size:#x} ip=0x400000 error_code=0x6",
            f"sched_wakeup: comm={names[other % 5]} pid={other} prio=120 target_cpu=00{cpu}",
            f"sched_process_fork: comm={comm} pid={tid} child_comm={comm} child_pid={rng.randrange(6, 9)}",
            "local_timer_entry: vector=236", "local_timer_exit: vector=236", "irq_handler_entry: irq=9 name=d",
        ))  # fmt: skip
        lines.append(f" {comm}-{tid} [00{cpu}] ..... {at // 10**6}.{at % 10**6:06d}: {fields}")
    return "\n".join(lines) + "\n"


def facts(pair: PairedResult) -> object:
    """What two engines must agree on."""
    return [(r.elapsed_cycles, r.busy_cycles, r.ledger, r.counters, r.frames) for r in (pair.baseline, pair.profile)]


def run_both(path: Path, profile: str = "svs-netbsd9", engines: tuple[str, ...] = ("fast", "plain")) -> None:
    """Run a scenario under a profile with each engine: it ends, conserves every cycle, and both agree."""
    found = []
    for engine in engines:
        scenario = open_scenario(path)
        pair = run_paired(scenario.source, profile=profile, baseline="none", pcid=None, cpus=scenario.cpus,
                          costs=scenario.costs, seed=scenario.seed, engine=engine)  # fmt: skip
        assert pair.baseline.conserved
        assert pair.profile.conserved
        found.append(facts(pair))
    assert all(one == found[0] for one in found), "the engines differ"


def recording(rng: Random) -> Case:
    """A recording, mostly damaged, sometimes packed."""
    data = trace(rng).encode()
    if rng.random() < 0.7:
        data = mutate(rng, data)
    if rng.random() < 0.1:
        data = gzip.compress(data, mtime=0)
        if rng.random() < 0.5:
            data = mutate(rng, data)
    return Case(data, ".txt", lambda path: run_both(path, engines=("fast",)))


def toml(rng: Random) -> Case:
    """A shipped file of any kind, damaged: read and checked, not run."""
    kinds: tuple[tuple[str, Callable[[Path], object]], ...] = (
        ("scenarios/*.toml", open_scenario), ("scenarios/litmus/*.toml", read_litmus),
        ("scenarios/sweeps/*.toml", load_sweep), ("sim/timed/costs_data/*.toml", load_costs),
        ("scenarios/validation/*.toml", load_curve),
    )  # fmt: skip
    pattern, read = rng.choice([kind for kind in kinds if any(ROOT.glob(kind[0]))])
    return Case(mutate(rng, rng.choice(sorted(ROOT.glob(pattern))).read_bytes()), ".toml", read)


def token(rng: Random) -> Case:
    """A replay token, damaged."""
    choices = tuple(rng.randrange(4) for _ in range(rng.randrange(40)))
    good = encode(Token("switch-pmaps", "0" * 12, "svs-netbsd9", "sc", (), choices)).encode()
    return Case(mutate(rng, good), ".token", lambda path: decode(path.read_text("utf-8", "surrogateescape")))


def arguments(rng: Random) -> Case:
    """A command line: parsed, not carried out."""
    options = ("--out", "--json", "--seed", "--quiet", "--cpus", "--profile", "--pcid", "--jobs", "--costs", "--budget",
               "--memory", "--window", "--help", "--repeat", "--strategy", "x.toml", "pti+no-global")  # fmt: skip
    words = [rng.choice(ORDER).encode()]
    words += [rng.choice((rng.choice(options).encode(), rng.choice(ODD))) for _ in range(rng.randrange(8))]
    data = b"\n".join(words) if rng.random() < 0.5 else mutate(rng, b"\n".join(words))
    return Case(data, ".args", lambda path: parse(path.read_text("utf-8", "surrogateescape").split("\n")))


def scenario(rng: Random) -> Case:
    """A valid behaviour under any profile, by both engines."""
    lines = [f"seed = {rng.randrange(99)}", "[machine]", f"cpus = {rng.choice((1, 2, 3, 5))}"]
    for group in range(rng.choice((1, 1, 2))):
        lines += ["[[group]]", f'name = "g{group}"', f"lwps = {rng.randrange(1, 5)}",
                  f"processes = {rng.randrange(1, 3)}", f"iterations = {rng.randrange(1, 30)}",
                  f'burst = "{rng.choice((1, 20, 300, 20000))} us"', f"pages_per_burst = {rng.randrange(9)}",
                  'working_set = "128 KiB"']  # fmt: skip
        for _ in range(rng.randrange(3)):
            kind = rng.choice(("plain", "map_unmap", "sleep", "yield"))
            lines += ["[[group.syscalls]]", f'kind = "{kind}"']
            lines += [f'time = "{rng.choice((1, 500, 900000))} us"'] if kind == "sleep" else []
    if rng.random() < 0.3:
        lines += ["[[interrupt]]", f'interval = "{rng.choice((60, 900))} us"', f'handler = "{rng.randrange(1, 30)} us"']
    profile = rng.choice(list(PROFILES))
    return Case("\n".join(lines).encode(), ".toml", lambda path: run_both(path, profile))


def litmus(rng: Random) -> Case:
    """A small litmus program, explored by orders and by states."""
    lines = ['says = "random"', "cpus = 2", "slots = 2", "[pmaps]", 'A = ["0.0"]', 'B = ["1.0"]']
    for cpu in range(2):
        page = f"{rng.randrange(2)}.{rng.randrange(2)}"
        ops = rng.choice(('"user"', f'"read {page}"', f'"enter {page}"', f'"remove {page}"', f'"zap {page}"',
                          f'"protect {page}"', f'"enter {page}", "read {page}"'))  # fmt: skip
        lines += ["[[lwps]]", f'name = "l{cpu}"', f"cpu = {cpu}", f'pmap = "{rng.choice("AAB")}"', f"ops = [{ops}]"]
    profile, memory = rng.choice(isolating()), rng.choice(("sc", "sc", "tso"))
    return Case("\n".join(lines).encode(), ".toml", lambda path: compare_strategies(path, profile, memory))


def compare_strategies(path: Path, profile: str, memory: str) -> None:
    """Where both explorations end, verdicts and outcomes are the same; where one does not, it contradicts nothing."""
    program = read_litmus(path)
    one, two = (
        check(Request(program, profile, memory, strategy=strategy, budget=budget))
        for strategy, budget in BUDGETS.items()
    )
    said = {one.verdict, two.verdict} - {"incomplete"}
    assert len(said) < 2, f"dpor: {one.verdict}, states: {two.verdict}"
    if said == {"holds"} and one.verdict == two.verdict:
        assert set(one.finals) == set(two.finals), f"dpor: {sorted(one.finals)}, states: {sorted(two.finals)}"


KINDS: dict[str, Callable[[Random], Case]] = {
    "recording": recording, "toml": toml, "token": token, "arguments": arguments, "scenario": scenario,
    "litmus": litmus,
}  # fmt: skip


def _too_long(_number: int, _frame: object) -> None:
    raise TimeoutError(f"took longer than {LONGEST_S} s")


def fuzz_one(kind: str, seed: int, number: int, keep: Path) -> str:
    """Run one case; return how it ended: ``ok``, ``refused``, or what went wrong, its input then kept in *keep*."""
    with tempfile.TemporaryDirectory(prefix="svs-fuzz-") as folder:
        case = KINDS[kind](Random(f"{seed}/{kind}/{number}"))
        path = Path(folder) / f"case{case.ending}"
        path.write_bytes(case.data)
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(LONGEST_S)
        try:
            with redirect_stdout(io.StringIO()):
                case.run(path)
            return "ok"
        except InputError:
            return "refused"
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{kind}-{seed}-{number}{case.ending}").write_bytes(case.data)
            last = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
        finally:
            signal.alarm(0)


def main() -> int:
    """Fuzz until the cases or the seconds are used up; print what was found and how many there were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, metavar="N", help="so many of each kind")
    parser.add_argument("--seconds", type=float, metavar="S", help="at most so long")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first case")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this kind (can be repeated)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"), metavar="DIR", help="for what is found")
    args = parser.parse_args()
    if args.cases is None and args.seconds is None:
        parser.error("give --cases or --seconds")
    begun, number, ends = time.monotonic(), args.first, Counter[tuple[str, str]]()
    while args.cases is None or number < args.first + args.cases:
        for kind in args.kind or KINDS:
            if args.seconds is not None and time.monotonic() - begun > args.seconds:
                args.cases = 0
                break
            end = fuzz_one(kind, args.seed, number, args.keep)
            if end not in ("ok", "refused"):
                print(f"{kind} {number}: {end}", flush=True)
                end = "FOUND"
            ends[kind, end] += 1
        number += 1
    for (kind, end), count in sorted(ends.items()):
        print(f"{kind}: {end} {count}")
    print(f"{sum(ends.values())} cases, {time.monotonic() - begun:.0f} s, "
          f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB at most")  # fmt: skip
    return int(any(end == "FOUND" for _, end in ends))


if __name__ == "__main__":
    sys.exit(main())
