"""No isolation: what every other design is compared with."""

from __future__ import annotations

from sim.kernel.designs.base import Design, Profile
from sim.kernel.shootdown2018 import Shootdown2018


def _make(pcid: bool) -> Design:
    return Design("none", pcid=pcid, shootdown=Shootdown2018())


PROFILES = (
    Profile("none", "no isolation: one set of tables, and kernel pages are global", _make, pcid=False, isolates=False),
)
