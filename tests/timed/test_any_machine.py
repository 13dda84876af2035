"""Both engines on machines of all kinds: tables, options, figures that are 0, frequent ticks, small caches and TLBs.

``SVS_ENGINES=500`` makes that many scenarios instead of a few, as for the other generated ones.
"""

from __future__ import annotations

import os
from copy import copy
from dataclasses import replace

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sim.kernel.designs import PROFILES
from sim.kernel.program import Mark, Part
from sim.timed.costs import load_costs
from tests.timed.eager import be_eager
from tests.timed.test_aside import steady
from tests.timed.test_contested import crowded, outcome, shapes
from tests.timed.test_engines import disturbed

EXAMPLES = int(os.environ.get("SVS_ENGINES", "15"))
OPTIONS = ["", "", "+nested", "+flat", "+no-descriptors", "+nested+no-descriptors"]
FIGURES = sorted(load_costs().cycles())
MOST_TICKS = 0.3  # of a CPU's time
FREQUENT = [2_000_000, 10_000_000, 100_000_000]  # Hz: a tick takes a hundredth of it


@st.composite
def machines(draw):
    """A cost table that differs in anything from those that ship."""
    name = draw(st.sampled_from(["haswell", "skylake-server", "skylake-client"])) + draw(st.sampled_from(OPTIONS))
    changed = draw(st.dictionaries(st.sampled_from(FIGURES), st.sampled_from([0, 0, 1, 50, 300]), max_size=8))
    frequency = draw(st.none() | st.sampled_from(FREQUENT))
    table = copy(load_costs(name).with_cycles(changed if frequency is None else {**changed, "timer_work": 20}))
    table.frequency_hz = frequency or table.frequency_hz
    assume(table.timer_load() < MOST_TICKS)
    table.mwait = draw(st.booleans())
    shape, second = draw(shapes), draw(st.sampled_from([(1536, 12), (24, 12), (4, 2)]))
    table.tlb = replace(table.tlb, **shape, stlb=second)
    table.caches = draw(st.sampled_from([table.caches, table.caches._replace(l1=4, l2=16, l3=64)]))
    return table


@st.composite
def workloads(draw):
    """What the other tests draw, of LWPs with pages that were there before, and perhaps a part of it."""
    source, cpus = draw(st.one_of(disturbed(), steady(), crowded()))
    resident, lines = draw(st.booleans()), draw(st.sampled_from([1, 1, 17, 64]))
    pages = draw(st.sampled_from([{}, {}, {"syscall": 9, "fault": 3}, {"interrupt": 5, "switch": 12}]))
    part = draw(st.none() | st.none() | st.tuples(st.booleans(), st.integers(0, 20), st.integers(0, 60)))

    def made():
        workload = source()
        for spec in workload.lwps:
            spec.resident, spec.lines = resident, lines
            if part is not None:
                spec.program = iter(_marked(list(spec.program), *part))
        section = None if part is None else Part(0, part[0], 0, [], [], {})
        return replace(workload, kernel_pages=pages, text_pages=2, part=section)

    return made, cpus or 2


def _marked(program, from_start, begin, length):
    """A program with marks."""
    head, body, tail = program[:begin], program[begin : begin + length], program[begin + length :]
    return [*head, *[Mark(0, False)] * (not from_start), *body, Mark(0, True), *tail]


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    case=workloads(), costs=machines(), profile=st.sampled_from(list(PROFILES)), pcid=st.booleans(),
    row=st.sampled_from([2, 12]),
)  # fmt: skip
def test_engines_agree_on_any_machine(case, costs, profile, pcid, row, monkeypatch):
    source, cpus = case
    be_eager(monkeypatch, row)
    options = {"profile": profile, "pcid": pcid, "cpus": cpus, "costs": costs}
    assert outcome(source, engine="fast", **options) == outcome(source, engine="plain", **options)
