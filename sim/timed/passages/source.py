"""A recorded passage as a Python function: what has to hold, then what happens, in straight lines.

Step by step nearly all of a passage's time goes into finding out what comes next, which is known here.  The function
takes the time and the time of whatever comes next, and returns DIFFERS where something that was read is not as it was,
LATE where there is no room, None where everything has happened, or else the steps that are left to be made one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sim.hardware.steps import ACCESS, ACQUIRE, CALLS, COST, RELEASE, TOUCH, Step
from sim.timed.passages.passage import Counts, Entry
from sim.timed.passages.played import DIFFERS, LATE, Played
from sim.timed.passages.recording import UNSEEN
from sim.timed.passages.text import Text
from sim.timed.passages.views import MISSING
from sim.timed.passages.watch import Mark

HANDLERS = {ACCESS: "access", TOUCH: "touch"}


class Machine(NamedTuple):
    """What the function works on; *over* hears of the end where translations were looked up, and how long it took.

    *left* and *stop* make the steps that are left after, or before, a step.  *longest*: of what the translation of one
    page can take, cycles.
    """

    cpu: Any
    core: Any
    clock: Any
    queue: list[Any]
    account: Any
    watchers: Any
    locks: Any
    ci: Any
    add: Callable[..., None]
    access: Callable[[Step], int]
    touch: Callable[[Step], int]
    reads: Mapping[str, Any]
    hooks: Any
    caches: Any
    known: Any
    over: Callable[[Played, int], None]
    left: Callable[[Played, int, int], Any]
    stop: Callable[[Played, int, int], Any]
    longest: int


class Source:
    """Writes one function."""

    def __init__(self, played: Played, machine: Machine) -> None:
        self._played = played
        self._passage = played.passage
        self._charges: Counts = {}  # to the tally in use, not yet written down
        self._index: int = machine.core.index
        self._text = Text()
        self._say, self._name = self._text.say, self._text.name
        self._pending = 0  # cycles of the steps since the clock was last set
        self._machine = machine

    def function(self) -> Callable[[int, int], Any]:
        """The function itself."""
        known = self._machine.known
        named = dict(self._machine._asdict(), me=self._played, MISSING=MISSING, sequences=known.sequences,
                     noted=known.noted)  # fmt: skip
        self._body()
        return self._text.function("play(t, limit)", named)

    def check(self) -> Callable[[object], bool]:
        """The function that only says whether all that it needs is there."""
        self._say(f"return {self._conditions()}")
        return self._text.function("stands(_)", {"watchers": self._machine.watchers, "MISSING": MISSING})

    # --- what has to hold -------------------------------------------------------------------------------------------

    def _body(self) -> None:
        entries = self._passage.entries
        self._say(f"if not ({self._conditions()}): return {DIFFERS}")
        self._say("if queue and queue[0][0] < limit: limit = queue[0][0]")  # others may have been called back by that
        self._say(f"if t + {self._played.cycles} >= limit: return {LATE}")
        self._known_to_hit()
        seen_live = False
        for number, entry in enumerate(entries):
            if seen_live:
                self._look_again(number)
            self._within_window(number, entry)
            self._mark(entry.marks)
            self._step(number, entry)
            seen_live = seen_live or bool(entry.pages)
        self._end()

    def _conditions(self) -> str:
        conditions = [self._text.holds(read) for read in self._passage.reads]
        conditions += [self._free(mutex) for mutex in self._passage.mutexes]
        conditions += [self._text.here(line, self._index) for line in self._passage.lines]
        written = tuple(id(line.words) for line in self._passage.lines if line.write)
        if written:
            conditions.append(f"(not watchers or watchers.keys().isdisjoint({self._name(written)}))")
        return " and ".join(conditions) or "True"

    def _free(self, mutex: Any) -> str:
        name = self._name(mutex)
        return f"{name}.owner is None and not {name}.waiters"

    def _look_again(self, number: int) -> None:
        """A walk may have changed words that are read from here on."""
        again = [read for read in self._passage.reads if read.at == number and isinstance(read.holder, list)]
        if again:
            holds = " and ".join(map(self._text.holds, again))
            self._say(f"if not ({holds}): return stop(me, {number}, t + {self._pending})")

    def _within_window(self, number: int, entry: Entry) -> None:
        """What has been done is charged in this window; what comes after translations may be of the next."""
        if entry.pages and (self._charges or entry.cycles):
            time, longest = f"t + {self._pending}", self._machine.longest * len(entry.pages)
            self._say(f"if slow and {time} + {longest} >= account.window_end: return stop(me, {number}, {time})")

    # --- what happens -----------------------------------------------------------------------------------------------

    def _step(self, number: int, entry: Entry) -> None:
        step = entry.step
        op = step[0]
        if entry.pages:
            self._live(number, step)
        elif op in CALLS:
            self._say(f"cpu.{CALLS[op]}({', '.join(map(self._name, step[2:]))})")
        elif op is ACQUIRE:
            self._say(f"{self._name(step[2])}.owner = cpu; {self._name(step[2])}.since = t + {self._pending}")
        elif op is RELEASE:
            name = self._name(step[2])
            self._say(f"locks.released({self._index}, {name}, t + {self._pending}); {name}.owner = None")
        else:
            self._text.effect(entry)
        self._pending += entry.cycles
        for cause, charged in entry.charges.items():
            self._charges[cause] = self._charges.get(cause, 0) + charged

    def _live(self, number: int, step: Step) -> None:
        """A translation, at its time, by the handler that always makes it; a cost's own cycles are as recorded."""
        if step[0] is COST:
            step = (TOUCH, step[1], self._machine.reads[step[2]], 0, False)
        left = sum(entry.cycles for entry in self._passage.entries[number:])
        if self._pending:
            self._say(f"t += {self._pending}")
        self._pending = 0
        self._say("if slow:")
        self._say(" clock._now = account.until = t")
        self._say(f" c = {HANDLERS[step[0]]}({self._name(step)})")
        self._say(f" if t + c + {left} >= limit or core.value != {UNSEEN[step[0]]}: return left(me, {number}, c)")
        self._say(" t += c")

    def _known_to_hit(self) -> None:
        """Where all of its pages are known to hit, and their lines are where they were, nothing is looked up."""
        self._say("start = t")
        if self._played.pairs is None:
            self._say("slow = True")
            self._say("core.slow += 1")
            return
        self._say("before = caches.now")
        self._say("found = sequences.get(id(me))")
        self._say(f"own = cpu.pcid == {self._passage.pcid}")
        self._say("slow = not own or found is None or found[0] is not me "
                  "or not caches.are_here(found[2], core.lwp.lines)")  # fmt: skip
        self._say("if slow: core.slow += 1; walks = core.walks")
        self._say("else: u = found[2]; noted.pop(u, None); noted[u] = None")

    def _mark(self, marks: tuple[Mark, ...]) -> None:
        """Hooks hear what they heard; what follows may be charged to another tally."""
        if marks:
            self._charge()
        for mark in marks:
            self._say(f"hooks.{mark.hook}({', '.join(map(self._name, mark.arguments))})")

    def _charge(self) -> None:
        """Write the charges down."""
        if self._charges:
            self._say("tally = account.charging")
        for cause, charged in self._charges.items():
            self._say(f"tally[{cause!r}] = tally.get({cause!r}, 0) + {charged}")
        self._charges = {}

    def _end(self) -> None:
        passage, played = self._passage, self._played
        self._say(f"t += {self._pending}")
        self._say("clock._now = account.until = t")
        if passage.entries[-1].charges:
            self._say(f"account.current = {passage.last!r}")
        self._charge()
        self._mark(passage.marks)
        if played.owed:
            self._say(f"core.debt[0] += {played.owed}")
        for name, n in played.counts.items():
            self._say(f"add(ci, {name!r}, {n})")
        if played.pairs is not None:
            self._say("if slow and own and caches.now is before and core.walks == walks: over(me, t - start)")
        for kind, holder, key, value in passage.writes:
            self._text.change(kind, holder, key, value)
