"""The registry of designs under comparison.

A design is one file here, with a tuple ``PROFILES`` of what it can be run as; its module's name stands below.  Every
list of profiles comes from :data:`PROFILES`: what ``--profile`` takes, what ``all`` means, verdicts, the order and the
colours of charts, and the documentation.
"""

from __future__ import annotations

from sim.errors import ModelError
from sim.kernel.designs import none, pti, svs
from sim.kernel.designs.base import Design, Profile
from sim.kernel.designs.variations import vary

PROFILES: dict[str, Profile] = {}


def register(profile: Profile) -> None:
    """Add a profile behind those there are; ModelError if its name is taken."""
    if profile.name in PROFILES:
        raise ModelError(f"there are two profiles '{profile.name}'")
    PROFILES[profile.name] = profile


for module in (none, svs, pti):
    for each in module.PROFILES:
        register(each)


def isolating() -> tuple[str, ...]:
    """Names of the profiles that isolate, in order."""
    return tuple(name for name, profile in PROFILES.items() if profile.isolates)


def make_design(profile: str, pcid: bool | None = None) -> Design:
    """Return a fresh design; *pcid* None means on where the profile has it.

    *profile* is a name of ``PROFILES``, perhaps with variations after plus signs: ``pti+no-global``
    (:mod:`sim.kernel.designs.variations`).  Raises KeyError for an unknown profile, ValueError for a variation it
    cannot have.
    """
    name, *variations = profile.split("+")
    known = PROFILES[name]
    design = known.make(known.pcid and pcid is not False)
    vary(design, variations)
    return design
