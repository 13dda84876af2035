"""A part of a run that is over before something ends that was under way when it began."""

from __future__ import annotations

import pytest

from sim.kernel.program import LwpSpec, Mark, Part, Syscall, User, Work, Workload
from sim.timed.costs import load_costs
from tests.timed.test_contested import outcome


@pytest.mark.parametrize("engine", ["fast", "plain"])
def test_what_the_machine_did_when_a_part_began_may_outlast_the_part(engine):
    """A kernel thread computes from before its beginning to after its end: nothing of that is the part's."""

    def source():
        thread = [Syscall("thread", 0, (Work(500_000),))]
        program = [User(100_000), Mark(0, False), User(50_000), Mark(0, True)]
        lwps = [LwpSpec("thread", iter(thread), "kernel", system=True, cpu=1, bound=True),
                LwpSpec("a", iter(program), "a", cpu=0)]  # fmt: skip
        return Workload("part", 2, lwps, part=Part(0, False, 0, [], [], {}))

    result = outcome(source, profile="none", pcid=True, cpus=2, costs=load_costs(), engine=engine)
    assert isinstance(result, list)
