"""A recorded passage as a generator, for where there is no room to play it: other CPUs act between its steps.

It makes the steps one by one, each at its time, as the procedure does, but knows them: what the procedure reads between
two of them is looked at there, what it writes and counts is written and counted there, and the steps are charged there
or made by their handlers; the CPU's driver makes those that last.  As soon as something is not as it was when the
passage was recorded, the procedure itself goes on from there (:mod:`sim.timed.passages.rewinding`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Any, NamedTuple

from sim.hardware.memory import WORDS_PER_LINE, Words
from sim.hardware.steps import (
    ACQUIRE,
    CLI,
    COST,
    INVLPG,
    INVPCID,
    LOAD,
    PGE,
    REG,
    RELEASE,
    SPL,
    STI,
    STORE,
    Proc,
    Step,
)
from sim.timed.passages.at_once import PASS
from sim.timed.passages.passage import Entry, Line, Passage
from sim.timed.passages.text import Text
from sim.timed.passages.views import MISSING
from sim.timed.passages.watch import Mark, Section

NOT_REPEATED = (ACQUIRE, RELEASE, PGE, INVLPG, INVPCID)
INLINE = (LOAD, STORE, CLI, STI, SPL, REG, COST)


class Ground(NamedTuple):
    """What a walk works on; *resume* makes what is left, by the steps made, a new procedure and what is sent to it.

    *walked* hears of its end: what the core's ``slow``, ``walks`` and ``refilled`` and the PCID were, how many steps
    the driver has got, and what the time and the state of the data caches was.
    """

    cpu: Any
    core: Any
    clock: Any
    account: Any
    queue: list[Any]
    pending: Sized
    watchers: Any
    ci: Any
    add: Callable[..., None]
    hooks: Any
    handlers: Sequence[Callable[[Step], int]]
    resume: Callable[[int, Callable[[], Proc], Any], Proc]
    caches: Any
    walked: Callable[[tuple[int, int, int, int], int, int, object], None]


def can_be_walked(passage: Passage) -> bool:
    """Whether the procedure could be brought to any of its steps again: what it finds has to be put back for that."""
    words = {id(read.value) for read in passage.reads if isinstance(read.holder, Words) and read.key == "v"}
    lengths = {id(read.holder) for read in passage.reads if read.kind == "length"}
    return lengths <= words and not any(entry.step[0] in NOT_REPEATED for entry in passage.entries)


class Walk:
    """Writes one generator."""

    def __init__(self, passage: Passage, ground: Ground) -> None:
        self._passage = passage
        self._ground = ground
        self._text = Text()
        self._say, self._name = self._text.say, self._text.name

    def function(self) -> Callable[[Callable[[], Proc]], Proc]:
        """The function that takes what begins the procedure, and returns the generator."""
        entries, end = self._passage.entries, self._passage.end
        self._say("was, n, start, before = (core.slow, core.walks, core.refilled, cpu.pcid), 0, clock._now, caches.now")
        self._say("lwp = core.lwp")
        for number, entry in enumerate(entries):
            self._section(number, entry.section, entry.marks, entry.counted)
            if entry.step[0] in INLINE and not entry.pages:
                self._make(entry)
            else:
                self._hand_on(number, entry)
        self._section(len(entries), end, self._passage.marks, self._passage.after)
        self._say("walked(was, n, start, before)")
        return self._text.function("walk(begin)", dict(self._ground._asdict(), MISSING=MISSING))

    def _section(self, number: int, section: Section, marks: tuple[Mark, ...], counted: dict[str, int]) -> None:
        """What the procedure does before a step; its LWP may have been preempted, and go on elsewhere."""
        conditions = ["core.lwp is lwp"] if number else []
        conditions += [self._text.holds(read) for read in section.reads]
        if number < len(self._passage.entries):
            conditions += self._room(self._passage.entries[number])
        if conditions:
            sent = self._passage.entries[number - 1].result if number else None
            self._say(f"if not ({' and '.join(conditions)}):")
            self._say(f" return (yield from resume({number}, begin, {self._name(sent)}))")
        for mark in marks:
            self._say(f"hooks.{mark.hook}({', '.join(map(self._name, mark.arguments))})")
        for write in section.writes:
            self._text.change(*write)
        for name, n in counted.items():
            self._say(f"add(ci, {name!r}, {n})")

    def _room(self, entry: Entry) -> list[str]:
        """What has to hold for a load or store to be made without the driver."""
        op, index = entry.step[0], self._ground.core.index
        if op not in (LOAD, STORE):
            return []
        words, at = entry.step[2:4]
        here = self._text.here(Line(words, at // WORDS_PER_LINE, op is STORE), index)
        return [here, f"{self._name(id(words))} not in watchers"] if op is STORE else [here]

    def _make(self, entry: Entry) -> None:
        """Make a step, and let its time pass."""
        self._text.effect(entry)
        for cause, charged in entry.charges.items():  # one at most
            self._say("t = clock._now")
            self._say("if t >= account.window_end: account.close_window(t)")
            self._say(f"account.until = t + {entry.cycles}; account.current = {cause!r}; tally = account.charging")
            self._say(f"tally[{cause!r}] = tally.get({cause!r}, 0) + {charged}")
        if entry.owed:
            self._say(f"core.debt[0] += {entry.owed}")
        if not entry.cycles:
            self._say(f"if pending: n += 1; yield ({PASS}, 0, None)")
            return
        late = f"pending or queue and queue[0][0] <= t + {entry.cycles}"
        self._say(f"if {late}: n += 1; yield ({PASS}, {entry.cycles}, None)")
        self._say(f"else: clock._now = t + {entry.cycles}")

    def _hand_on(self, number: int, entry: Entry) -> None:
        """Make a step by its handler, or let the driver make one that lasts; it has to send back what it sent then."""
        handler, step = self._name(self._ground.handlers[entry.step[0]]), self._name(entry.step)
        self._say(f"c = {handler}({step})")
        self._say(f"if c < 0: n += 1; sent = yield {step}")
        self._say("else:")
        self._say(" sent = core.value; core.value = None")
        self._say(f" if pending or c and queue and queue[0][0] <= clock._now + c: n += 1; yield ({PASS}, c, None)")
        self._say(" else: clock._now += c")
        differs = "!=" if type(entry.result) in (int, str) else "is not"
        self._say(f"if sent {differs} {self._name(entry.result)}:")
        self._say(f" return (yield from resume({number + 1}, begin, sent))")
