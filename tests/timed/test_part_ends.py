"""A part of a run that is over before something ends that was under way when it began."""

from __future__ import annotations

import pytest

from sim.kernel.program import Exec, LwpSpec, Mark, Part, Syscall, User, Workload
from sim.timed.costs import load_costs
from tests.timed.test_contested import outcome


@pytest.mark.parametrize("engine", ["fast", "plain"])
def test_what_the_machine_did_when_a_part_began_may_outlast_the_part(engine):
    """A bound LWP executes a program from before its beginning to after its end: nothing of that is the part's."""

    def source():
        other = [Syscall("exec", 0, (Exec(),))]
        program = [User(100_000), Mark(0, False), User(50_000), Mark(0, True)]
        lwps = [LwpSpec("b", iter(other), "b", cpu=1, bound=True),
                LwpSpec("a", iter(program), "a", cpu=0)]  # fmt: skip
        return Workload("part", 2, lwps, part=Part(0, False, 0, [], [], {}))

    costs = load_costs().with_cycles({"exec_work": 500_000})
    result = outcome(source, profile="none", pcid=True, cpus=2, costs=costs, engine=engine)
    assert isinstance(result, list)
