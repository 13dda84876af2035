"""Speed of the exploring driver, as ratios measured in one run: ``python benchmarks/explore.py [REPEATS]``.

* re-execution of 3 threads of 4 steps in all 34,650 orders, against the same orders by a bare odometer over plain
  generators;
* steps per second on the largest shipped litmus program;
* executions with and without reduction.
"""

from __future__ import annotations

import sys

from rates import rates

from scenarios.litmus_reader import find, shipped
from sim.explore.explorer import Budget, Outcome, explore
from sim.explore.run import KernelRun
from sim.explore.strategies.dpor import Dpor
from sim.explore.strategies.exhaustive import Exhaustive
from sim.explore.threads import pairs, steps

THREADS, LENGTH = 3, 4
PROFILE = "svs-netbsd10"


def odometer() -> int:
    """All orders of plain generators, by an odometer over choices and nothing else; the number of executions."""

    def thread():  # type: ignore[no-untyped-def]
        for step in range(LENGTH):  # noqa: UP028 - a step of its own each, as a program's are
            yield step

    choices: list[int] = []
    widths: list[int] = []
    count = 0
    while True:
        alive = [thread() for _ in range(THREADS)]
        for resume in alive:
            next(resume)
        depth = 0
        while alive:
            if depth == len(choices):
                choices.append(0)
                widths.append(0)
            widths[depth] = len(alive)
            chosen = choices[depth]
            depth += 1
            try:
                next(alive[chosen])
            except StopIteration:
                del alive[chosen]
        count += 1
        while choices and choices[-1] + 1 == widths[-1]:
            choices.pop()
            widths.pop()
        if not choices:
            return count
        choices[-1] += 1


def largest() -> tuple[str, Outcome]:
    """The shipped litmus program with the longest executions."""
    best: tuple[str, Outcome] | None = None
    for name in shipped():
        litmus = find(name)
        out = explore(lambda litmus=litmus: KernelRun(litmus, PROFILE, tso=True), Dpor(), Budget(executions=3))
        if best is None or out.depth > best[1].depth:
            best = name, out
    assert best is not None
    return best


def main() -> None:
    """Print the three measurements."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    plain, ours = rates([odometer, lambda: explore(steps(THREADS, LENGTH), Exhaustive()).executions], repeats)
    print(f"3 threads x 4 steps: {ours:,.0f} executions/s, bare odometer {plain:,.0f}: ratio {ours / plain:.2f}")
    name, out = largest()
    litmus = find(name)

    def run() -> int:
        return explore(lambda: KernelRun(litmus, PROFILE, tso=True), Dpor(), Budget(executions=200)).steps

    print(f"largest litmus ({name}, {out.depth} transitions an execution): {rates([run], repeats)[0]:,.0f} steps/s")
    for threads, rounds in ((2, 2), (3, 1), (3, 2)):
        every = explore(pairs(threads, rounds), Exhaustive()).executions
        reduced = explore(pairs(threads, rounds), Dpor()).executions
        print(f"{threads} threads x {rounds} read-write pairs: {every:,} orders, {reduced:,} explored: "
              f"{every / reduced:.2f} times fewer")  # fmt: skip


if __name__ == "__main__":
    main()
