"""How the three tools lay out a line: those that are events, those that are none, and those that lack a column."""

from __future__ import annotations

import re

# Numbers have as many digits as Linux can print: pids up to 2^31, CPUs up to 8191, seconds up to those since 1970.
_TGID = r"\(\s*(?P<tgid>-+|\d{1,10})\)"
_CPU = r"\[(?P<cpu>\d{1,4})\]"
_STAMP = r"(?P<sec>\d{1,10})\.(?P<frac>\d{1,9}):"
_EVENT = (
    # The difference to the line before (trace-cmd report --ts-diff), a sample's period (perf).
    r"\s+(?:\(\+[\d.]+\)\s+)?(?:\d+\s+)?"
    # The event, after its group if printed; ftrace has single system calls as "sys_read(fd: 3)" and "sys_read -> 0x1".
    r"(?:[A-Za-z_][\w.-]*:)??(?!PERF_RECORD_)(?P<name>[A-Za-z_][\w-]*)"
    r"(?::(?!\S) *(?P<fields>.*)|(?P<call>\(.*\)| -> .*))$"
)
_REST = rf"\s+(?:(?P<flags>[^\s:]{{3,8}})\s+)?{_STAMP}{_EVENT}"
# Names have up to 15 bytes (kernel workers' more, as some tools print them), so that long lines are judged quickly.
_COMM = r"(?P<comm>.{0,64}?)"
# comm-tid (tgid) [cpu], comm-tid [cpu] (tgid), comm-tid [cpu] of ftrace and trace-cmd; comm [tgid/]tid [cpu] of perf;
# comm-tid cpu and flags in one of the latency format, whose own stamps are microseconds.
LAYOUTS = (
    re.compile(rf"\s*{_COMM}-(?P<tid>\d{{1,10}})\s+{_TGID}\s+{_CPU}{_REST}"),
    re.compile(rf"\s*{_COMM}-(?P<tid>\d{{1,10}})\s+{_CPU}(?:\s+{_TGID})?{_REST}"),
    re.compile(rf"\s*(?P<comm>\S.{{0,64}}?)\s+(?:(?P<tgid>-?\d{{1,10}})/)?(?P<tid>-?\d{{1,10}})\s+{_CPU}{_REST}"),
    re.compile(
        rf"\s*{_COMM}-(?P<tid>\d{{1,10}})\s+(?:{_TGID}\s+)?(?P<cpu>\d{{1,4}})(?P<flags>[A-Za-z.#][^\s:]{{2,9}})\s+"
        rf"(?:{_STAMP}|(?P<us>\d{{1,16}})us[!+#*@$ ]?\s*:){_EVENT}"
    ),
)
GROUPS = ("comm", "tid", "tgid", "cpu", "flags", "sec", "frac", "name", "fields", "call")

LOST = re.compile(
    r"\s*CPU:?\s*\d+\s+\[(?:LOST\s+)?(?P<n>\d{1,18})?\s*EVENTS(?: DROPPED)?\]\s*$|"
    r".{0,200}\bPERF_RECORD_LOST\w*\s+lost\s+(?P<m>\d{1,18})"
)
# An event under a name that no tracepoint has: "cpu/cycles/u:", "0x00000001:", or none at all (old bpf_trace_printk).
ODD = re.compile(
    rf"\s*\S.{{0,64}}?[-\s/]\d{{1,10}}\s(?:.{{0,12}}\s)?{_CPU}.{{0,40}}?\s\d+\.\d+:"
    r"\s+(?:\(\+[\d.]+\)\s+)?(?:\d+\s+)?(?P<name>[^\s:]*(?::\w+)?):"
)
STACK = re.compile(rf".*{_CPU}.*?\s\d+\.\d+:\s+(?:<(?:user )?stack trace>|\S+ <-\S+)\s*$")
STARTED = re.compile(r"\s*#*\s*CPU:?\s*\d+ buffer started")
OVERWRITTEN = re.compile(r"# entries-in-buffer/entries-written: (?P<kept>\d{1,18})/(?P<written>\d{1,18})\b")
# What reports of several files, and grep, put before each line: the name of the file it is from.
PREFIX = re.compile(r"\s*(?P<file>[^\s:]*[./][^\s:]*(?=:\s)|[^\s:]+(?=:\s\s)):")
HEADER = re.compile(r"# svs-sim: (?P<key>\w+) = (?P<value>.*)$")
# Frames of perf's call chains begin with a tab (or, cut from a page, with blanks): an address, a symbol, where it is.
IGNORED = re.compile(
    r"\s*(?:#|$|version\s*=|cpus\s*=|CPU:? \d+ is empty|=> |[0-9a-f]{8,}\s|entries-in-buffer)|(?:trace-cmd|perf) |"
    r".{0,200}\bPERF_RECORD_\w|\t|\s+[0-9a-f]{2,16}(?:\s.+\(.*\))?\s*$|\s+\S.*\(inlined\)\s*$"
)

_PERF_FIELDS = "print it with 'perf script -F comm,pid,tid,cpu,time,event,trace'"
_ELSE = ", which has no switches and CPUs; record with 'svs-sim record', trace-cmd or perf"
_NAME = r"(?:[A-Za-z_][\w-]*:)?[a-z]\w+:(?:\s|$)"
_LACKING = (
    (r"\s*\S.{0,64}?\s+\[\d{1,4}\]\s+(?:[^\s:]{3,8}\s+)?\d+:\s+\w+:",
     "stamps without seconds; record with a clock that counts them "
     "(trace_clock mono, local, boot or uptime, not counter or x86-tsc)"),
    (rf"\s*\S.{{0,64}}?\s+(?:-?\d+/)?-?\d+\s+\d+\.\d+:\s+(?:\d+\s+)?{_NAME}",
     f"no CPU column; record with 'perf record -a' and {_PERF_FIELDS}"),
    (r"\s*\S.{0,64}?\s+(?:-?\d+/)?-?\d+\s+\[(?:-\d+)?\]\s+\d+\.\d+:",
     "no numbers in the CPU column; record all CPUs ('perf record -a'), not one task"),
    (rf"\s*\S.{{0,64}}?\s+(?:-?\d+/)?-?\d+\s+\[\d+\]\s+(?:\d+\s+)?{_NAME}", f"no time column; {_PERF_FIELDS}"),
    (rf"\s*\[\d+\]\s+\d+\.\d+:\s+(?:\d+\s+)?{_NAME}", f"no task column; {_PERF_FIELDS}"),
    (rf"\s*\S.{{0,64}}?\s+\[\d+\]\s+\d+\.\d+:\s+(?:\d+\s+)?{_NAME}", f"no column of thread numbers; {_PERF_FIELDS}"),
    (r"\s*\S.{0,64}?\s+(?:-?\d+/)?-?\d+\s+\[\d+\]\s+\d+\.\d+:\s+NR -?\d", f"no event column; {_PERF_FIELDS}"),
    (r"\s*(?:\[pid\s+\d+\]\s+|\d+\s+)?(?:[\d:.]+\s+)?[a-z]\w+\(.*(?:\)\s+= |<unfinished \.\.\.>)",
     f"output of strace{_ELSE}"),
    (r"\s*\d+\.\d+ \(\s*(?:[\d.]+ ms)?\s*\): ", f"output of 'perf trace'{_ELSE}"),
    (r"Attaching \d+ probe", f"output of bpftrace{_ELSE}"),
    (r"\s*\d+\)\s.*\|", "lines of the function_graph tracer; set ftrace's current_tracer to nop"),
    (r"\s*[\[{]\s*(?:[\"{\[]|$)", "JSON, not ftrace text; print the recording with the tool that made it"),
    (rf"\s*{_NAME}\s*\S", "only the events, not who, where and when; switch ftrace's options/context-info on"),
)  # fmt: skip
LACKING = tuple((re.compile(pattern), what) for pattern, what in _LACKING)


def lacking(text: str) -> str | None:
    """What a line that is no event lacks to be one, and the option that adds it; None if it is nothing of the kind."""
    return next((what for pattern, what in LACKING if pattern.match(text)), None)
