"""The LDT register (amd64 cpufunc.S, lldt)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Proc, cost

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo


class Lldt(Procedure, name="lldt", cause="context switch"):
    ci_curldt = site("ci_curldt")
    lldt = site("lldt")


def lldt(ci: CpuInfo, selector: int) -> Proc:
    """Load LDTR, unless it has that selector already."""
    yield cost("load", Lldt.ci_curldt)
    if ci.ci_curldt == selector:
        return
    ci.ci_curldt = selector
    yield cost("lldt", Lldt.lldt)
