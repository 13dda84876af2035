"""Looking ahead: a search that knows who touches what need not begin again, and finds the same."""

from __future__ import annotations

from toy import Program, Toy, maker, random_program

from sim.explore.ahead import look_ahead
from sim.explore.explorer import StateOutcome
from sim.explore.stateful import StateSearch
from sim.explore.touches import Touches

SEEDS = range(1500)


def explored(program: Program, touches: Touches) -> tuple[StateOutcome[Toy], set[bytes]]:
    ends: set[bytes] = set()
    search: StateSearch[Toy] = StateSearch(
        maker(program), Toy.mark, ended=lambda run: ends.add(run.mark()), touches=touches
    )
    return search.explore(), ends


def test_who_is_known_is_no_surprise() -> None:
    began_again = 0
    for seed in SEEDS:
        program, touches = random_program(seed), Touches()
        out, ends = explored(program, Touches())
        if not out.restarts or out.broken is not None:
            continue
        began_again += 1
        look_ahead(maker(program), touches)
        knowing, found = explored(program, touches)
        assert (knowing.restarts, found) == (0, ends), seed
    assert began_again > 5
