"""Makes recordings: runs a command on this Linux machine and writes what its kernel traced as ftrace text.

A private tracing instance holds the switches of the whole machine, a second one the calls and faults of the command's
process tree.  Both are read as raw pages while the command runs, merged by time, and printed as ``cat trace`` prints
them, with nanoseconds.  The user's own tracing is left alone.
"""

from sim.record.session import Outcome, Plan, record

__all__ = ["Outcome", "Plan", "record"]
