"""What a CPU reads by itself when it delivers an interrupt or returns from one (SDM vol. 3, 6.12 and 7.7).

The gate lies in the IDT, the segment that it leads to in the GDT, the stack pointer of ring 0 in the TSS; IRET reads
the segments that it returns to.  These are accesses through TLB and caches like any other: after a flush they are
walked for, unless their pages are global.  The TSS counts at deliveries from kernel mode too, where only an IST needs
it.
"""

from __future__ import annotations

from sim.kernel.layout import Layout


def descriptor_reads(layout: Layout, cpu: int) -> dict[str, tuple[int, ...]]:
    """Return the addresses that a CPU reads, by the name of the cost that the event has."""
    gdt, tss = (layout.entry_page(cpu, what) for what in ("gdt", "tss"))
    return {"interrupt_entry": (layout.idt, gdt, tss), "iret": (gdt,)}
