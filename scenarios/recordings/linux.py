"""What of Linux the reader must know: system-call numbers of x86-64, flags, states, kernel threads, addresses."""

from __future__ import annotations

import re

PAGE = 4096
NETBSD_USER_SLOTS = 255
MOVED_SLOT = 253
SLOT_SHIFT = 39
MOVED_FROM = NETBSD_USER_SLOTS << SLOT_SHIFT
USER_END = 1 << 47

SYSCALLS = {
    0: "read", 1: "write", 2: "open", 3: "close", 4: "stat", 5: "fstat", 6: "lstat", 7: "poll", 8: "lseek", 9: "mmap",
    10: "mprotect", 11: "munmap", 12: "brk", 13: "rt_sigaction", 14: "rt_sigprocmask", 15: "rt_sigreturn", 16: "ioctl",
    17: "pread64", 18: "pwrite64", 19: "readv", 20: "writev", 21: "access", 22: "pipe", 23: "select",
    24: "sched_yield", 25: "mremap", 28: "madvise", 32: "dup", 33: "dup2", 34: "pause", 35: "nanosleep", 39: "getpid",
    40: "sendfile",
    41: "socket", 42: "connect", 43: "accept", 44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg",
    48: "shutdown", 49: "bind", 50: "listen", 54: "setsockopt", 55: "getsockopt", 56: "clone", 57: "fork", 58: "vfork",
    59: "execve", 60: "exit", 61: "wait4", 62: "kill", 63: "uname", 72: "fcntl", 79: "getcwd", 80: "chdir",
    83: "mkdir", 87: "unlink", 89: "readlink", 96: "gettimeofday", 97: "getrlimit", 102: "getuid", 110: "getppid",
    131: "sigaltstack", 157: "prctl", 158: "arch_prctl", 202: "futex", 217: "getdents64", 218: "set_tid_address",
    228: "clock_gettime", 230: "clock_nanosleep", 231: "exit_group", 232: "epoll_wait", 233: "epoll_ctl",
    234: "tgkill", 247: "waitid", 257: "openat", 262: "newfstatat", 270: "pselect6", 271: "ppoll",
    273: "set_robust_list",
    281: "epoll_pwait", 288: "accept4", 290: "eventfd2", 291: "epoll_create1", 292: "dup3", 293: "pipe2",
    302: "prlimit64", 318: "getrandom", 322: "execveat", 329: "pkey_mprotect", 334: "rseq",
    435: "clone3", 439: "faccessat2",
}  # fmt: skip
NUMBERS = {name: number for number, name in SYSCALLS.items()}

CLONE, VFORK, CLONE3 = 56, 58, 435
CLONE_VM = 0x100
MAP_FIXED = 0x10
MADV_DONTNEED, MADV_FREE = 4, 8
PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4

KERNEL_THREAD = re.compile(
    r"^\[?(?:kworker|ksoftirqd|rcu_|rcuo|rcub|rcuc|migration|kthreadd|kswapd|khugepaged|kcompactd|ksmd|watchdog|cpuhp|"
    r"irq/|jbd2|xfs|ext4|scsi_|nvme|kdevtmpfs|khungtaskd|oom_reaper|writeback|kblockd|kauditd|kintegrityd|idle_inject)"
)
IRQ_PREFIXES = (
    "local_timer", "reschedule", "call_function", "call_function_single", "irq_handler", "softirq", "irq_work",
    "thermal_apic", "threshold_apic", "error_apic", "spurious_apic", "x86_platform_ipi", "deferred_error_apic",
)  # fmt: skip
IRQ_ENTRY = {f"{name}_entry": name for name in IRQ_PREFIXES}
IRQ_EXIT = {f"{name}_exit": name for name in IRQ_PREFIXES}

KNOWN_UNUSED = {
    "tlb_flush", "ipi_send_cpu", "ipi_send_cpumask", "ipi_raise", "ipi_entry", "ipi_exit",
    "sched_migrate_task", "sched_stat_runtime", "sched_stat_wait", "sched_stat_sleep", "sched_stat_blocked",
    "sched_stat_iowait", "sched_process_wait", "sched_process_free", "page_fault_kernel", "softirq_raise",
    "task_rename",
    "task_newtask", "cpu_idle", "sched_pi_setprio", "sched_wait_task", "vector_activate", "tracing_mark_write", "print",
}  # fmt: skip


def fold(va: int) -> int:
    """Move what Linux has in L4 slot 255, kernel space on NetBSD, to a slot that Linux leaves free."""
    if va >> SLOT_SHIFT >= NETBSD_USER_SLOTS:
        return va % (1 << SLOT_SHIFT) + (MOVED_SLOT << SLOT_SHIFT)
    return va


def is_user(va: int) -> bool:
    """Whether Linux would have it in user space."""
    return PAGE <= va < USER_END
