"""Entry code that is patched while the system runs (x86_hotpatch in sys/arch/x86/x86/patch.c, frameasm.h 1.38).

A site has SVS's instructions, or in their place EB, the opcode of a short jump, and its distance, over what is left of
them.  The bytes are stored one by one from the first, by the one CPU that patches; what follows the second lies behind
the jump.  SVS_ENTER_ALT, SVS_LEAVE and SVS_LEAVE_ALT begin with ``testb $SEL_UPL,TF_CS(%rsp)``, F6 84 24: with the
first byte patched alone they are a jump 122 bytes back.

What a CPU fetches is no step: the sites stand for no work of their own, in which somebody could land.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import HalfPatched
from sim.hardware.sites import Procedure, site
from sim.hardware.steps import Proc, rmw, same, store

if TYPE_CHECKING:
    from sim.kernel.cpuinfo import CpuInfo
    from sim.kernel.kernel import Kernel

SVS_ENTER, SVS_ENTER_ALT, SVS_LEAVE, SVS_LEAVE_ALT = range(4)  # words of svs_code
NAMES = ("SVS_ENTER", "SVS_ENTER_ALT", "SVS_LEAVE", "SVS_LEAVE_ALT")
SVS, HALF, PLAIN = range(3)  # what a site has


class X86Hotpatch(Procedure, name="x86_hotpatch", cause="SVS disable"):
    opcode = site("first byte: opcode of the jump")
    distance = site("second byte: its distance")


class X86PatchWindowClose(Procedure, name="x86_patch_window_close", cause="SVS disable"):
    wbinvd = site("wbinvd")


def svs_disable_hotpatch(k: Kernel) -> Proc:
    """Take SVS out of the entry code, one site after another; a locked access stands for what wbinvd serialises."""
    for at in (SVS_ENTER, SVS_ENTER_ALT, SVS_LEAVE, SVS_LEAVE_ALT):
        yield store(k.svs_code, at, HALF, X86Hotpatch.opcode)
        yield store(k.svs_code, at, PLAIN, X86Hotpatch.distance)
    yield rmw(k.svs_code, SVS_LEAVE_ALT, same, 0, X86PatchWindowClose.wbinvd)


def has_svs(k: Kernel, ci: CpuInfo, at: int) -> bool:
    """Whether *ci*, which comes to a site, finds SVS's code there; HalfPatched if it is neither."""
    found = k.hooks.fetched(ci, k.svs_code, at)
    if found == HALF:
        raise HalfPatched(f"cpu{ci.ci_index} comes to {NAMES[at]} with one byte of it patched: a jump 122 bytes back")
    return bool(found == SVS)
