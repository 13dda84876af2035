"""What a CPU reads by itself when it delivers an interrupt or returns from one (SDM vol. 3, 6.12 and 7.7).

The gate lies in the IDT, the segment that it leads to in the GDT, the stack pointer of ring 0 in the TSS; IRET reads
the segments that it returns to.  These are accesses through TLB and caches like any other: after a flush they are
walked for, unless their pages are global.  The TSS counts at deliveries from kernel mode too, where only an IST needs
it.
"""

from __future__ import annotations

from sim.hardware.steps import READ, Access
from sim.kernel.layout import Layout

Reads = tuple[tuple[int, Access], ...]  # addresses, each to be read


def descriptor_reads(layout: Layout, cpu: int) -> dict[str, Reads]:
    """Return what a CPU reads, by the name of the cost that the event has."""
    idt, gdt, tss = ((va, READ) for va in (layout.idt, layout.entry_page(cpu, "gdt"), layout.entry_page(cpu, "tss")))
    return {"interrupt_entry": (idt, gdt, tss), "iret": (gdt,)}
