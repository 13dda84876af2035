"""Looks for one mutant: in the programs that run the lines it changes, short ones first, until something breaks.

Schedules are drawn at random, a few in many programs before many in few, under both memory models and in every
assignment of roles to CPUs in turn.  What is left then is searched for state by state, in the shortest programs and
within a bound.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

import mutation
from reached import Cell

from scenarios.litmus_reader import find
from sim.errors import InputError
from sim.explore.check import builder
from sim.explore.explorer import Budget, Outcome, Strategy, explore
from sim.explore.mirror import assignments
from sim.explore.patches import Patch
from sim.explore.patches.kernel import Kernel, patched
from sim.explore.request import Request
from sim.explore.search import search
from sim.explore.strategies.pct import Pct
from sim.explore.strategies.random import Random

# Those that have most of the code, each in a form of its own; of the others whatever these do not run.
PROFILES = ("svs-netbsd8", "svs-netbsd10", "svs-netbsd9", "pti", "none", "pti+call-queues")
VARIATIONS = ("svs-2018-02", "pti+defer-user-flush", "pti+local-first", "pti+serial-call-queues",
              "svs-2018-02+copy-at-return")  # fmt: skip
SECONDS = 90  # of CPU time that a mutant gets
FEW_STATES = Budget(executions=60, states=600)  # of a small program: orders first, then states
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
    Round("tso", Random, 3, ALL),
    Round("sc", Pct, 4, ALL),
    Round("tso", Pct, 4, ALL),
    Round("tso", Pct, 40, 24),
)
SMALL = 10  # programs that are searched by states


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

    def __init__(self, mutant: mutation.Mutant, cells: list[Cell]) -> None:
        self.mutant = mutant
        self.cells = cells
        self.where = ""

    def fate(self) -> Fate:
        """Check the mutant, program by program, until one of them breaks."""
        signal.signal(signal.SIGVTALRM, _time_up)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            with patched((Patch(self.mutant.name, self.mutant.diff),)) as kernel:
                if not self.cells:
                    return Fate(self.mutant, UNREACHED)
                how = next((how for how in self._looks(kernel) if how), "")
        except InputError:
            return Fate(self.mutant, INVALID)
        except TimeUp:
            return Fate(self.mutant, SURVIVES, "time is up", self.where)
        except Exception as error:  # whatever a broken kernel raises: nobody could overlook it
            return Fate(self.mutant, FOUND, type(error).__name__, self.where)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return Fate(self.mutant, FOUND, how, self.where) if how else Fate(self.mutant, SURVIVES)

    def _looks(self, kernel: Kernel) -> Iterator[str]:
        """What broke in each program, round by round; empty where nothing did."""
        for turn, (memory, strategy, runs, most) in enumerate(ROUNDS):
            for cell in self.cells[:most]:
                request, build = self._request(kernel, cell, memory, turn)
                out = explore(build, strategy(turn, runs), Budget(executions=runs))
                yield _broken(out)
        for cell in sorted(self.cells, key=lambda cell: cell.steps)[:SMALL]:
            for turn, memory in enumerate(("sc", "tso")):
                request, build = self._request(kernel, cell, memory, turn)
                yield _broken(search(request, kernel, build).out)

    def _request(self, kernel: Kernel, cell: Cell, memory: str, turn: int) -> tuple[Request, Callable[[], Any]]:
        """A program with its roles as it is their turn, and what makes its executions."""
        self.where = f"{cell.litmus} {cell.profile} {memory}"
        roles = assignments(find(cell.litmus))
        program = roles[turn % len(roles)]
        request = Request(program, cell.profile, memory, strategy="auto", budget=FEW_STATES)
        return request, partial(builder(request, kernel.run), muted=program.violates.get(cell.profile, ()))


def _broken(out: Outcome[Any]) -> str:
    """The invariant that breaks, or that an execution has no end, or nothing."""
    if out.broken is not None:
        return out.broken.invariant
    return "endless" if out.left_out.startswith("an execution") else ""


def _time_up(_number: int, _frame: FrameType | None) -> None:
    raise TimeUp


def dealt(mutant: mutation.Mutant, cells: list[Cell]) -> list[Cell]:
    """The cells in which to look for a mutant: those that run it, of each profile the shortest, in turns.

    What no profile of the first six runs is looked for under the others.
    """
    mine = sorted((cell for cell in cells if not cell.lines.isdisjoint(mutant.lines)), key=lambda cell: cell.steps)
    for profiles in (PROFILES, VARIATIONS):
        turns = [[cell for cell in mine if cell.profile == profile] for profile in profiles]
        found = [turn[i] for i in range(len(mine)) for turn in turns if i < len(turn)]
        if found:
            return [cell._replace(lines=frozenset()) for cell in found]
    return []


def fate(mutant: mutation.Mutant, cells: list[Cell]) -> Fate:
    """What becomes of a mutant in those cells."""
    began = time.process_time()
    return Hunt(mutant, cells).fate()._replace(seconds=round(time.process_time() - began, 2))
