"""``svs-sim check --replay``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.cli._output import print_json
from sim.errors import InputError

if TYPE_CHECKING:
    import argparse

    from sim.explore.counterexample import Counterexample
    from sim.explore.counterexample.token import Token
    from sim.explore.patches import Patch


def replay(args: argparse.Namespace, given: tuple[Patch, ...]) -> int:
    """Follow the schedule of a token with the patches that it names; returns the exit status."""
    from scenarios.litmus_reader import find
    from sim.explore.check import fingerprint, replayed
    from sim.explore.counterexample.text import render
    from sim.explore.counterexample.token import decode
    from sim.explore.request import Request

    token = decode(args.replay)
    if len(args.litmus) > 1:
        raise InputError("--replay takes one litmus program at most")
    litmus = find(args.litmus[0] if args.litmus else token.litmus)
    if fingerprint(litmus) != token.digest:
        raise InputError(
            f"replay token: made for another version of litmus program '{token.litmus}' than {litmus.where}"
        )
    patches = _patches(token, given)
    example = replayed(Request(litmus, token.profile, token.memory, patches), token.choices)
    if args.json:
        print_json({"results": [_as_json(token, patches, example)]})
    elif not args.quiet:
        print(render(example) if example else "the schedule of this token no longer violates any invariant\n", end="")
    return 1 if example else 0


def _patches(token: Token, given: tuple[Patch, ...]) -> tuple[Patch, ...]:
    """The patches that a token names, in its order: those *given*, and planted bugs.

    InputError if one is missing or has changed, if others are given, or if profile or memory model is unknown.
    """
    from sim.explore import MEMORIES
    from sim.explore.patches.kernel import patched
    from sim.explore.plants import plants

    known = {plant.patch.digest: plant.patch for plant in plants()} | {patch.digest: patch for patch in given}
    for name, digest in token.planted:
        if digest not in known:
            raise InputError(
                f"replay token: it was made with '{name}' ({digest}); " + (
                    "that planted bug has changed since"
                    if any(plant.name == name for plant in plants())
                    else "give that patch with --patch, as it was then"
                )
            )  # fmt: skip
    wanted = {digest for _, digest in token.planted}
    for patch in given:
        if patch.digest not in wanted:
            raise InputError(f"replay token: it was made without {patch}")
    found = tuple(known[digest] for _, digest in token.planted)
    with patched(found) as kernel:
        if token.profile not in kernel.profiles or token.memory not in MEMORIES:
            raise InputError(f"replay token: unknown profile '{token.profile}' or memory model '{token.memory}'")
    return found


def _as_json(token: Token, patches: tuple[Patch, ...], example: Counterexample | None) -> dict[str, Any]:
    """What was found, as the object that ``--json`` prints."""
    from sim.explore.patches import names

    found: dict[str, Any] = {
        "litmus": token.litmus,
        "profile": token.profile,
        "memory": token.memory,
        "planted": names(patches) or None,
        "verdict": "violated" if example else "holds",
        "steps": len(token.choices),
    }
    if example is not None:
        found |= {
            "invariant": example.broken.invariant,
            "reason": example.broken.reason,
            "token": example.token,
            "trace": [{"cpu": s.cpu, "actor": s.actor, "did": list(s.lines)} for s in example.steps],
        }
    return found
