"""What a recording cannot tell: the rule used instead, by the name under which a run counts its use.

``docs/recordings.rst`` gives the reasons.  Counts are uses of the rule unless the sentence says otherwise.
"""

from __future__ import annotations

UNKNOWN_EVENT = "unknown_event_"

RULES = {
    "addresses_moved": "an address above the modelled user half was moved below it",
    "asleep_at_the_end": "a task that nobody wakes before the recording ends exits there",
    "blocked_at_end": "a task still asleep when all others had ended was left there",
    "buffers_started_late": "a CPU whose first events were overwritten: its tasks begin with the first that is there",
    "clock_went_back": "an event stamped slightly earlier than the one before it was given that one's time",
    "cut_last_line": "a last line cut in the middle was left out",
    "cycles_deducted": "CPU cycles that the model charges itself in the baseline were taken out of recorded durations",
    "cycles_not_deductible": "CPU cycles that the model charges itself found no recorded duration to be taken out of",
    "device_interrupts_while_idle_dropped": "a device interrupt of an idle CPU was left out; whom it woke still wakes",
    "fault_time_estimated": "the fault handler takes the lower quartile of what followed the recording's faults",
    "faults_inside_syscalls": "a fault of the kernel on a user page counts as the system call's time",
    "faults_outside_user_space": "a fault at an address outside user space was left out",
    "fork_kind_unknown": "a child forked outside any recorded system call got an address space of its own",
    "forks_by_unknown_tasks": "a task whose creator is not recorded begins at the first sign of its creation",
    "interrupts_made_by_the_model": "a timer, reschedule or shootdown interrupt was left to the model to make",
    "lost_events": "events that the recorder lost; tasks go on from the next event that is there",
    "malformed_lines": "a line that is no ftrace event was left out",
    "pid_reused": "a pid seen again after its exit is a new task",
    "resident_pages": "a page touched but never faulted in was there before the recording began",
    "sleeps_ended_from_outside": "a sleep that no recorded task ended lasts as long as it was recorded",
    "switches_missing": "a task that shows up on a CPU without a switch to it was switched to there",
    "syscall_entry_missing": "an exit without entry was left out; the time before it counts as user time",
    "syscall_exit_missing": "an entry inside a system call ends the one before",
    "syscall_events_twice": "a system call printed by two events, the raw one and its own, counts once",
    "tasks_first_seen_late": "a task that shows up late, without a wake-up, begins there",
    "timer_interrupts_cut": "a timer interrupt that took more than a millisecond counts as one of a millisecond",
    "tasks_alive_before": "a task alive before the recording began starts with the pages it touches later",
    "tracer_cycles": "CPU cycles that the tracer took, a fixed time for each event, were taken out",
    "tracer_cycles_left_in": "CPU cycles that the tracer took found no recorded duration to be taken out of",
    "unreadable_fields": "an event whose fields are not understood was left out",
    "wakeups_missing": "a task that runs again without a recorded wake-up was woken from outside",
    "wakeups_of_running_tasks": "a wake-up of a task that was not asleep was left out",
}


def rule(name: str) -> str:
    """Return the rule behind the count *name*, in a sentence."""
    if name.startswith(UNKNOWN_EVENT):
        return f"events named '{name.removeprefix(UNKNOWN_EVENT)}' are not known and were left out"
    return RULES.get(name, "see the page on recordings in the documentation")
