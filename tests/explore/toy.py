"""A toy machine with everything that makes reduction hard: locks, waits, loops, interrupts that are held off."""

from __future__ import annotations

import random
from collections.abc import Callable

from sim.explore.model import AWAITS, ENABLES, NEEDS, READ, SPINS, WRITE, Broken, Footprint, Violation, Wait

Instruction = tuple[str, int, int]
Program = list[list[Instruction]]  # by CPU

WORDS, MUTEXES = 3, 2


def random_program(seed: int) -> Program:
    """Two or three CPUs of a few instructions; each may send the others interrupts, which add 10 to a word."""
    rng = random.Random(f"toy/{seed}")
    cpus = rng.choice((2, 2, 2, 3))
    program: Program = []
    for cpu in range(cpus):
        code: list[Instruction] = []
        for _ in range(rng.randint(2, 7 - cpus)):
            other = rng.choice([other for other in range(cpus) if other != cpu])
            word, value = rng.randrange(WORDS), rng.randint(1, 2)
            code += rng.choice(
                (
                    [("load", word, 0)],
                    [("store", word, value)],
                    [("own", word, 0)],  # stores what was loaded last
                    [("wait", word, value)],
                    [("take", 0, 0), ("store", word, value), ("give", 0, 0)],
                    [("take", 1, 0), ("take", 0, 0), ("load", word, 0), ("give", 0, 0), ("give", 1, 0)],
                    [("send", other, 0)],
                    [("off", 0, 0), ("load", word, 0), ("store", word, value), ("on", 0, 0)],
                    [("again", word, value % 2)],  # back to the beginning as long as the word has that value
                    [("again", word, value)],
                    [("never", word, 3 - value)],  # breaks if a store has left that value
                )
            )
        program.append(code)
    return program


class Toy:
    """An execution: actors are CPUs, then the interrupts that may land on each."""

    def __init__(self, program: Program) -> None:
        self.program, self.n = program, len(program)
        self.at = [0] * self.n
        self.words, self.loaded = [0] * WORDS, [0] * self.n
        self.holder = [-1] * MUTEXES
        self.sent, self.masked = [False] * self.n, [False] * self.n
        self.outcomes: list[str] = []

    def mark(self) -> bytes:
        return repr((self.at, self.words, self.loaded, self.holder, self.sent, self.masked)).encode()

    def _next(self, cpu: int) -> Instruction:
        return self.program[cpu][self.at[cpu]] if self.at[cpu] < len(self.program[cpu]) else ("end", 0, 0)

    def _can(self, cpu: int) -> bool:
        name, a, b = self._next(cpu)
        if name == "wait":
            return self.words[a] == b
        return self.holder[a] < 0 if name == "take" else name != "end"

    def enabled(self) -> list[int]:
        able = [cpu for cpu in range(self.n) if self._can(cpu)]
        return able + [self.n + cpu for cpu in range(self.n) if self.sent[cpu] and not self.masked[cpu]]

    def step(self, actor: int) -> Footprint:
        if actor >= self.n:
            cpu = actor - self.n
            self.sent[cpu] = False
            self.words[0] = min(self.words[0] + 10, 20)
            return ((("c", cpu), AWAITS), (("i", cpu), NEEDS), (("w", 0), WRITE))
        name, a, b = self._next(actor)
        self.at[actor] += 1
        return ((("c", actor), WRITE), *self._do(actor, name, a, b))

    def _do(self, cpu: int, name: str, a: int, b: int) -> Footprint:
        if name == "load":
            self.loaded[cpu] = self.words[a]
        elif name in ("store", "own"):
            self.words[a] = b if name == "store" else self.loaded[cpu]
            return ((("w", a), WRITE),)
        elif name == "wait":
            return ((("w", a), SPINS),)
        elif name in ("take", "give"):
            self.holder[a] = cpu if name == "take" else -1
            return ((("m", a), NEEDS if name == "take" else ENABLES),)
        elif name == "send":
            mode = WRITE if self.sent[a] else ENABLES
            self.sent[a] = True
            return ((("i", a), mode),)
        elif name in ("off", "on"):
            self.masked[cpu] = name == "off"
            return ()
        elif name == "again":
            self.at[cpu] = 0 if self.words[a] == b else self.at[cpu]
        elif name == "never" and self.words[a] == b:
            raise Violation(Broken("never", f"word {a} is {b}"))
        return ((("w", a), READ),)

    def follow(self, actors: list[int]) -> None:
        for actor in actors:
            self.step(actor)

    def stuck(self) -> list[tuple[int, Footprint]]:
        found: list[tuple[int, Footprint]] = []
        for cpu in range(self.n):
            name, a, _ = self._next(cpu)
            if name in ("wait", "take") and not self._can(cpu):
                found.append((cpu, ((("c", cpu), WRITE), (("w", a), SPINS) if name == "wait" else (("m", a), NEEDS))))
            if self.sent[cpu] and self.masked[cpu]:
                found.append((self.n + cpu, ((("c", cpu), AWAITS), (("i", cpu), NEEDS), (("w", 0), WRITE))))
        return found

    def waits(self) -> dict[int, Wait]:
        found: dict[int, Wait] = {}
        for cpu in range(self.n):
            name, a, _ = self._next(cpu)
            if not self._can(cpu):
                holder = (self.holder[a],) if name == "take" else ()
                found[cpu] = Wait(holder, (("w", a),) if name == "wait" else ())
            if not self.sent[cpu]:
                found[self.n + cpu] = Wait((), (("i", cpu),))
            elif self.masked[cpu]:
                found[self.n + cpu] = Wait((cpu,))
        return found

    def finish(self) -> None:
        """Every end is a proper end."""


def maker(program: Program) -> Callable[[], Toy]:
    return lambda: Toy(program)
