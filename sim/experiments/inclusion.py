"""What holds under ``tso`` holds under ``sc``, which then need not be explored.

Let every store and every mutex released drain before anybody else acts: such an execution under ``tso`` comes after
each drain to the state of one under ``sc``, and each one under ``sc`` has its own.  Interrupts, locked instructions and
IRET find empty buffers, so they can come wherever they can under ``sc``; and what the kernel does on a CPU between a
plain store and its next transition neither looks at what the drain changes, but through its own buffer, nor changes it.
Some judges do look past the buffer, on the way to user mode (``ci_pmap``, the UTLS page, leaves of the tables), and
miss nothing: CLI begins a transition, a CR3 write drains, and who is in user mode at rest is judged there again.  So
whatever breaks under ``sc`` breaks under ``tso``.  That is for the kernel as it is, and
``tests/explore/test_inclusion.py`` makes executions of the shipped programs under both, side by side, and compares
their states: patched ones are explored.

One thing is judged of states together: ``progress``, where they lead to one another and to no end.  Under ``tso`` a
store that drains late might lead out of them.  Each circle under ``sc`` is one under ``tso`` as well: where the search
has met none, there is none to be judged.  (Where a reduced search meets no circle none is left out: all executions
are as long as those it makes.)
"""

from __future__ import annotations

from dataclasses import replace

from sim.explore.check import Result
from sim.explore.request import Request

# So many states are explored in a second or two.  Smaller programs are explored under both memories: that is evidence
# which does not rest on the other's, tells how many states there are, and takes a fiftieth of all time.
SMALL = 1_000


def may_decide(one: Request, other: Request) -> bool:
    """Whether the result of one request could decide the other: only a search by states tells how many there are."""
    by_states = one.strategy in ("auto", "states") and one.preemptions is None and not one.deterministic
    return by_states and one.memory == "tso" and not one.patches and other == replace(one, memory="sc")


def decided(request: Request, by: Result) -> Result | None:
    """The result of a request, if that of the same one under ``tso`` decides it.  Numbers are 0: nothing was done."""
    exhausted = by.verdict == "holds" and by.states > SMALL and not by.circles
    if not exhausted or not may_decide(by.request, request):
        return None
    return replace(by, request=request, decided_under="tso", executions=0, abandoned=0, steps=0, states=0, depth=0,
                   switches=0, seconds=0.0, premises={}, finals={})  # fmt: skip
