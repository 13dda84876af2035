"""Operations of a program that come round and round, as n times the same.

If a round of operations has just been played twice, one right after the other, nothing that it reads is other than
what it leaves behind, and all its pages are known to hit, then the next round is the same again, and so is each that
follows until something else happens.  So rounds are only counted, and what they come to is written down at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized

from sim.kernel.program import Operation
from sim.timed.parts import Parts
from sim.timed.passages.played import Played
from sim.timed.recorder import Recorder

LONGEST = 16  # operations of a round


class Rounds:
    """Rounds of operations on one CPU.

    Attributes:
        counted: operations that were only counted.
    """

    def __init__(self, parts: Parts, pending: Sized, recorder: Recorder) -> None:
        self._core = parts.core
        self._clock = parts.clock
        self._account = parts.account
        self._queue = parts.clock.waiting()
        self._known = parts.core.cpu.tlb.known
        self._caches = parts.steps.caches
        self._pending = pending
        self._recorder = recorder
        self._played: list[Played] = []
        self._until = -1
        self.counted = 0

    def add(self, played: Played, start: int) -> None:
        """An operation was played just now, from *start* on."""
        if start != self._until or len(self._played) > 8 * LONGEST:
            self._played.clear()
        self._played.append(played)
        self._until = self._clock.cycle

    def go_on(self, operation: Operation, program: Iterator[Operation]) -> Operation | None:
        """Make operations of the program as long as they go round; return the first that is left, None at its end."""
        if self._until != self._clock.cycle or self._pending:
            return operation
        found = self._round()
        if not found or found[0].operation != operation:
            return operation
        account, queue = self._account, self._queue
        limit = account.window_end if not queue else min(account.window_end, queue[0][0])
        now, at, times, left = self._clock.cycle, 0, [0] * len(found), operation
        while left is not None:
            played = found[at]
            end = now + played.cycles
            if end >= limit or left != played.operation:
                break
            now = end
            times[at] += 1
            at = at + 1 if at + 1 < len(found) else 0
            left = next(program, None)  # type: ignore[assignment]
        if sum(times):
            self._write_down(found, times, at, now)
        return left

    def _round(self) -> list[Played]:
        """The operations that have been made twice over, if they can go on so."""
        made = self._played
        for length in range(1, min(LONGEST, len(made) // 2) + 1):
            if made[-length:] == made[-2 * length : -length]:
                found = made[-length:]
                return found if all(map(self._goes_on, found)) else []
        return []

    def _goes_on(self, played: Played) -> bool:
        """Whether playing it changes nothing that it depends on."""
        sequence = self._known.sequences.get(id(played))
        return (
            played.repeats and sequence is not None and sequence[0] is played
            and sequence[2].cached is self._caches.now
        )  # fmt: skip

    def _write_down(self, found: list[Played], times: list[int], at: int, now: int) -> None:
        """What so many of each come to, those last that were played last."""
        account = self._account
        for place in [*range(at, len(found)), *range(at)]:
            if times[place]:
                self._add(found[place], times[place])
        self._clock._now = account.until = now
        self._until = now
        self._played.clear()
        self.counted += sum(times)

    def _add(self, played: Played, times: int) -> None:
        account, recorder, core = self._account, self._recorder, self._core
        for marks, charges in played.segments:
            for hook, arguments in marks:
                if hook == "call_begin":
                    recorder.calls_begin(arguments[0], arguments[1], times)
                else:
                    recorder.call_end(*arguments)
            if charges:
                tally = account.charging
                for cause, charged in charges.items():
                    tally[cause] = tally.get(cause, 0) + charged * times
        account.current = played.passage.last
        core.debt[0] += played.owed * times
        for name, n in played.counts.items():
            recorder.count(core.ci, name, n * times)
        uses = self._known.sequences[id(played)][2]
        self._known.noted.pop(uses, None)
        self._known.noted[uses] = None
