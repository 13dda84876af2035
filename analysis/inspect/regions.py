"""The regions of the address space, by the names that results give them."""

USER, PTE_SPACE = "user space", "PTE space (page tables)"
TEXT_USER, TEXT, DATA = "kernel text: .text.user", "kernel text: the rest", "kernel data"
HEAP, DIRECT = "kernel heap and stacks", "direct map"
UTLS, IDT_LDT = "UTLS page", "idt and ldt"
OWN, RSP0, REMOTE = "own gdt, tss and ist pages", "rsp0 stack page", "pcpu_area of other CPUs"
REGIONS = (TEXT_USER, IDT_LDT, OWN, RSP0, UTLS, REMOTE, PTE_SPACE, TEXT, DATA, HEAP, DIRECT)
