"""What this machine is, as far as it decides what can be measured: hypervisor, page-table isolation, topology."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts for the head of a table.

    Attributes:
        model: the CPU's name.
        kernel: name and release of the kernel.
        hypervisor: whether this is a virtual machine (page walks are two-dimensional, interrupts may leave the guest).
        pti: whether the kernel isolates page tables (its crossings then hold CR3 writes); None if it does not say.
        distances: for a pair of CPUs ``same_core``, ``cluster``, ``socket`` or ``remote``.
    """

    model: str
    kernel: str
    hypervisor: bool
    pti: bool | None
    distances: dict[tuple[int, int], str]


def _text(path: Path) -> str:
    """The content of a file of /proc or /sys, or nothing."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _cpuinfo(root: Path) -> dict[str, str]:
    """The first CPU's lines of /proc/cpuinfo."""
    first = _text(root / "proc/cpuinfo").split("\n\n")[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def parse_list(text: str) -> set[int]:
    """CPUs of a list as the kernel prints it: ``0-3,8``."""
    found: set[int] = set()
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        if low.isdigit():
            found.update(range(int(low), int(high or low) + 1))
    return found


def _distance(root: Path, one: int, other: int) -> str:
    """The smallest thing that holds both CPUs; a shared last-level cache makes a cluster."""
    cpu = root / f"sys/devices/system/cpu/cpu{one}"
    for file, name in (
        ("topology/thread_siblings_list", "same_core"),
        ("cache/index3/shared_cpu_list", "cluster"),
        ("topology/core_siblings_list", "socket"),
    ):
        if other in parse_list(_text(cpu / file)):
            return name
    return "remote"


def look_at_machine(pairs: list[tuple[int, int]], root: Path = Path("/")) -> Machine:
    """Return what /proc and /sys below *root* say, with the distances of these pairs of CPUs."""
    info = _cpuinfo(root)
    meltdown = _text(root / "sys/devices/system/cpu/vulnerabilities/meltdown")
    return Machine(
        model=info.get("model name", "unknown CPU"),
        kernel=f"{platform.system()} {platform.release()}",
        hypervisor="hypervisor" in info.get("flags", "").split(),
        pti="PTI" in meltdown if meltdown else None,
        distances={pair: _distance(root, *pair) for pair in pairs},
    )
