"""Looks for one mutant: in the programs that run the lines it changes, short ones first, until something breaks.

Schedules are drawn at random, a few in many programs before many in few, under both memory models and in every
assignment of roles to CPUs in turn.  What is left then is searched for state by state and within a bound: in the
programs in which planted bugs close by are found, for those were written for that code, and in the shortest ones.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

import mutation
from reached import Cell
from unidiff import PatchSet

from scenarios.litmus_reader import find
from sim.errors import InputError
from sim.explore.check import builder
from sim.explore.explorer import Budget, Outcome, Strategy, explore
from sim.explore.mirror import assignments
from sim.explore.patches import Patch
from sim.explore.patches.kernel import Kernel, patched
from sim.explore.plants import plants
from sim.explore.request import Request
from sim.explore.run import KernelRun
from sim.explore.search import search
from sim.explore.strategies.pct import Pct
from sim.explore.strategies.random import Random

# Those that have most of the code, each in a form of its own, from the fourth on in the programs VARIED only; of the
# others whatever these do not run.
PROFILES = ("svs-netbsd8", "svs-netbsd10", "pti", "svs-netbsd9", "none", "pti+call-queues")
VARIATIONS = ("svs-2018-02", "pti+defer-user-flush", "pti+local-first", "pti+serial-call-queues",
              "svs-2018-02+copy-at-return")  # fmt: skip
# How the names of programs begin that are run under the profiles after the third, too.
VARIED = ("bad-", "device-in-", "disable", "foreign-after", "nmi-", "re", "switch", "two-")
SECONDS = 90  # of CPU time that a mutant gets
FOUND, SURVIVES, INVALID, UNREACHED = "found", "survives", "invalid", "unreached"


class Round(NamedTuple):
    """So many schedules in so many programs."""

    memory: str
    strategy: Callable[[int, int], Strategy]
    runs: int
    cells: int


ALL = 1000
ROUNDS = (
    Round("sc", Pct, 3, 40),
    Round("tso", Pct, 5, 40),
    Round("tso", Random, 2, ALL),
    Round("sc", Pct, 8, 60),
    Round("tso", Pct, 20, 16),
)
# So many of the smallest programs are searched by so many orders, then states: orders of four or five turns are seldom
# drawn at random, and most of these programs end within the second bound.
SEARCHES = ((6, 60, 600), (12, 60, 4000), (8, 60, 20_000))
CLOSE, NEAR, NEAR_STATES = 12, 8, 8_000  # lines to a planted bug; how many such programs are searched, and how far
CONTROL = 60  # schedules of each kind in which the kernel as it is must not break what a mutant breaks


class Fate(NamedTuple):
    """What became of a mutant: *how* is an invariant, or what else gave it away; *seconds* are of CPU time."""

    mutant: mutation.Mutant
    verdict: str
    how: str = ""
    where: str = ""
    seconds: float = 0.0


class TimeUp(BaseException):
    """A mutant has had its time; nothing that catches errors, as of an import, may catch this."""


class Hunt:
    """Looks for one mutant in its cells."""

    def __init__(self, mutant: mutation.Mutant, cells: list[Cell], effort: int) -> None:
        self.mutant = mutant
        self.cells = cells
        self.effort = effort
        self.near = near(mutant)[:NEAR]
        self.where = ""
        self.muted: dict[str, set[str]] = {}  # what the kernel as it is breaks, by cell

    def fate(self) -> Fate:
        """Check the mutant, program by program, until one of them breaks."""
        signal.signal(signal.SIGVTALRM, _time_up)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS * self.effort)
        try:
            with patched((Patch(self.mutant.name, self.mutant.diff),)) as kernel:
                if not self.cells and not self.near:
                    return Fate(self.mutant, UNREACHED)
                how = next((how for how in self._looks(kernel) if how), "")
        except InputError:
            return Fate(self.mutant, INVALID)
        except TimeUp:
            return Fate(self.mutant, SURVIVES, "time is up", self.where)
        except NameError:  # nor would a C compiler take a variable before its first value
            return Fate(self.mutant, INVALID)
        except Exception as error:  # whatever a broken kernel raises: nobody could overlook it
            return Fate(self.mutant, FOUND, type(error).__name__, self.where)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return Fate(self.mutant, FOUND, how, self.where) if how else Fate(self.mutant, SURVIVES)

    def _looks(self, kernel: Kernel) -> Iterator[str]:
        """What broke in each program, round by round; empty where nothing did."""
        for turn, (memory, strategy, few, most) in enumerate(ROUNDS):
            runs = few * self.effort
            for cell in self.cells[:most]:
                request = self._request(cell, memory, turn)
                out = explore(self._build(request, kernel.run), strategy(turn, runs), Budget(executions=runs))
                yield self._broken(request, out)
        yield from self._where_planted(kernel)
        yield from self._searches(kernel)

    def _where_planted(self, kernel: Kernel) -> Iterator[str]:
        """What broke in the programs in which planted bugs close by are found: they were written for that code."""
        for litmus, profile, memory in self.near:
            request = self._request(Cell(litmus, profile, 0, frozenset()), memory, 0)
            request = replace(request, budget=Budget(states=self.effort * NEAR_STATES))
            yield self._broken(request, search(request, kernel, self._build(request, kernel.run)).out)

    def _searches(self, kernel: Kernel) -> Iterator[str]:
        """What broke in small programs, searched by states with growing bounds until all of them are seen."""
        ended: set[str] = set()
        small = _different(sorted(self.cells, key=lambda cell: cell.steps))
        for stage, (programs, orders, states) in enumerate(SEARCHES):
            budget = Budget(executions=self.effort * orders, states=self.effort * states)
            for cell in small[:programs]:
                for turn, memory in enumerate(("sc", "tso")):
                    request = replace(self._request(cell, memory, stage + turn), budget=budget)
                    if self.where in ended:
                        continue
                    found = search(request, kernel, self._build(request, kernel.run))
                    if found.out.exhausted and not found.left_out:
                        ended.add(self.where)
                    yield self._broken(request, found.out)

    def _request(self, cell: Cell, memory: str, turn: int) -> Request:
        """A program with its roles as it is their turn."""
        roles = assignments(find(cell.litmus))
        request = Request(roles[turn % len(roles)], cell.profile, memory, strategy="auto")
        self.where = f"{request.litmus.name} {cell.profile} {memory}"
        return request

    def _build(self, request: Request, run: type[KernelRun]) -> Callable[[], KernelRun]:
        """What makes its executions, in which the kernel may break what it is known to break there."""
        known = request.litmus.violates.get(request.profile.partition("+")[0], ())
        return partial(builder(request, run), muted=(*known, *self.muted.get(self.where, ())))

    def _broken(self, request: Request, out: Outcome[Any]) -> str:
        """The invariant that breaks, or that an execution has no end; nothing if the kernel as it is breaks it too."""
        if out.broken is None:
            return "endless" if out.left_out.startswith("an execution") else ""
        name = out.broken.invariant
        for strategy in (Pct, Random):
            same = explore(self._build(request, KernelRun), strategy(CONTROL, CONTROL), Budget(executions=CONTROL))
            if same.broken is not None and same.broken.invariant == name:
                self.muted.setdefault(self.where, set()).add(name)
                return ""
        return name


def _time_up(_number: int, _frame: FrameType | None) -> None:
    raise TimeUp


def near(mutant: mutation.Mutant) -> list[tuple[str, str, str]]:
    """Program, profile and memory model of the planted bugs within CLOSE lines of a mutant, the nearest first."""
    found: dict[tuple[str, str, str], int] = {}
    for plant in plants():
        hunks = [(file.path, hunk) for file in PatchSet(plant.patch.diff) for hunk in file]
        far = [max(hunk.source_start - at, at - hunk.source_start - hunk.source_length, 0)
               for path, hunk in hunks for changed, at in mutant.lines if changed == path]  # fmt: skip
        if far and min(far) <= CLOSE:
            cell = plant.litmus, plant.profile, plant.memory
            found[cell] = min(found.get(cell, CLOSE), min(far))
    return sorted(found, key=lambda cell: (found[cell], cell))


def dealt(mutant: mutation.Mutant, cells: list[Cell]) -> list[Cell]:
    """The cells in which to look for a mutant: those that run it, of each profile the shortest, in turns.

    If none does it may be for the few executions that were traced: those that come closest to its lines, then.  The
    profiles after the first six come last.
    """
    for far in range(CLOSE + 1):
        around = {(path, line + by) for path, line in mutant.lines for by in (-far, far)}
        mine = sorted((cell for cell in cells if not cell.lines.isdisjoint(around)), key=lambda cell: cell.steps)
        if mine:
            break
    found: list[Cell] = []
    for profiles in (PROFILES, VARIATIONS):
        turns = [[cell for cell in mine if cell.profile == profile] for profile in profiles]
        found += [turn[i] for i in range(len(mine)) for turn in turns if i < len(turn)]
    return [cell._replace(lines=frozenset()) for cell in found]


def _different(cells: list[Cell]) -> list[Cell]:
    """Cells with every program once before any comes a second time, under another profile."""
    seen: Counter[str] = Counter()
    rank: list[int] = []
    for cell in cells:
        rank.append(seen[cell.litmus])
        seen[cell.litmus] += 1
    return [cell for _, cell in sorted(zip(rank, cells, strict=True), key=lambda pair: pair[0])]


def pairs(programs: Sequence[str]) -> list[tuple[str, str]]:
    """The cells: programs and profiles."""
    varied = [litmus for litmus in programs if litmus.startswith(VARIED)]
    return [(litmus, profile) for profile in PROFILES[:3] for litmus in programs] + [
        (litmus, profile) for profile in PROFILES[3:] + VARIATIONS for litmus in varied
    ]


def fate(mutant: mutation.Mutant, cells: list[Cell], effort: int = 1) -> Fate:
    """What becomes of a mutant in those cells, with so many times the usual effort."""
    began = time.process_time()
    return Hunt(mutant, cells, effort).fate()._replace(seconds=round(time.process_time() - began, 2))
