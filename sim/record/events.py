"""Which events are recorded, and how each is printed: as the kernel prints it, addresses as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sim.errors import InputError
from sim.record.layout import Convert, Layout, Show, printer, read_layout

_VECTORS = ("local_timer", "reschedule", "call_function", "call_function_single", "irq_work", "x86_platform_ipi",
            "error_apic", "spurious_apic", "thermal_apic")  # fmt: skip
_FAULT = "address={address:#x} ip={ip:#x} error_code={error_code:#x}"
_WAKEUP = "comm={comm} pid={pid} prio={prio} target_cpu={target_cpu:03d}"

# Of the whole machine.
MACHINE = {
    "sched/sched_switch": "prev_comm={prev_comm} prev_pid={prev_pid} prev_prio={prev_prio} prev_state={prev_state} ==> "
                          "next_comm={next_comm} next_pid={next_pid} next_prio={next_prio}",
    "sched/sched_wakeup": _WAKEUP,
    "sched/sched_wakeup_new": _WAKEUP,
    "sched/sched_process_fork": "comm={parent_comm} pid={parent_pid} child_comm={child_comm} child_pid={child_pid}",
    "sched/sched_process_exec": "filename={filename} pid={pid} old_pid={old_pid}",
    "sched/sched_process_exit": "comm={comm} pid={pid} prio={prio}",
    "irq/irq_handler_entry": "irq={irq} name={name}",
    "irq/irq_handler_exit": "irq={irq} ret={ret}",
    "irq/softirq_entry": "vec={vec}",
    "irq/softirq_exit": "vec={vec}",
    "ipi/ipi_send_cpu": "cpu={cpu}",
    "ipi/ipi_send_cpumask": "cpumask={cpumask}",
    "tlb/tlb_flush": "pages:{pages} reason:{reason}",
    **{f"irq_vectors/{name}_{side}": "vector={vector}" for name in _VECTORS for side in ("entry", "exit")},
}  # fmt: skip
# Of the command's process tree.
CALLS = {
    "raw_syscalls/sys_enter": "NR {id} ({args_0:x}, {args_1:x}, {args_2:x}, {args_3:x}, {args_4:x}, {args_5:x})",
    "raw_syscalls/sys_exit": "NR {id} = {ret}",
    "exceptions/page_fault_user": _FAULT,
    "exceptions/page_fault_kernel": _FAULT,
}
# Without these there is no recording; the others are left out where a kernel lacks them.
NEEDED = ("sched/sched_switch", "raw_syscalls/sys_enter", "raw_syscalls/sys_exit")
_STATES = 0xFF  # of prev_state; the bit above says "preempted"


class Event(NamedTuple):
    """An event that this kernel has: its path below ``events``, its name, and what prints its fields."""

    path: str
    name: str
    show: Show


def known_events(root: Path, templates: Mapping[str, str]) -> dict[int, Event]:
    """Return the events of *templates* that the tracefs at *root* has, by their numbers.

    Raises InputError where one that is needed is missing.
    """
    found: dict[int, Event] = {}
    for path, template in templates.items():
        try:
            text = (root / "events" / path / "format").read_text(encoding="utf-8")
        except FileNotFoundError:
            if path in NEEDED:
                what = f"this kernel has no event {path.replace('/', ':')}"
                raise InputError(f"{what} (CONFIG_FTRACE_SYSCALLS, CONFIG_EVENT_TRACING); it cannot record") from None
            continue
        layout = read_layout(text)
        found[layout.number] = Event(path, layout.name, printer(layout, template, _conversions(layout)))
    return found


def _conversions(layout: Layout) -> dict[str, Convert]:
    """How single fields of an event are printed."""
    symbols = layout.symbols
    if layout.name == "sched_switch":
        return {"prev_state": lambda state: _state(state, symbols)}
    if layout.name.startswith("softirq"):
        return {"vec": lambda vec: f"{vec} [action={symbols.get(vec, vec)}]"}
    if layout.name == "tlb_flush":
        # An unsigned long in the event, but all ones stand for "everything" and are printed as -1.
        return {"reason": lambda why: f"{symbols.get(why, why)} ({why})",
                "pages": lambda pages: pages - (pages >> 63 << 64)}  # fmt: skip
    if layout.name == "irq_handler_exit":
        return {"ret": lambda ret: "handled" if ret else "unhandled"}
    if layout.name == "ipi_send_cpumask":
        return {"cpumask": _cpus}
    return {}


def _state(state: int, symbols: Mapping[int, str]) -> str:
    """A task's state as it leaves its CPU, as in ``S``, ``D|K`` or ``R+``."""
    bits = state & _STATES
    letters = "|".join(name for bit, name in symbols.items() if bits & bit) if bits else "R"
    return (letters or f"{bits:#x}") + ("+" if state & (_STATES + 1) else "")


def _cpus(mask: bytes) -> str:
    """A bit map of CPUs as a list of ranges, as in ``0,2-3``."""
    bits = int.from_bytes(mask, "little")
    cpus = [cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1]
    starts = [cpu for cpu in cpus if cpu - 1 not in cpus]
    ends = [cpu for cpu in cpus if cpu + 1 not in cpus]
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
