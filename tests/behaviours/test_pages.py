"""Whose pages an LWP touches, and when: working sets apart, and bursts between calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.behaviours import load_behaviour
from sim.errors import InputError
from sim.kernel.program import LwpSpec, Syscall, Unmap, User

TEXT = """
[machine]
cpus = 2

[[group]]
name = "a"
lwps = 2
iterations = 1
working_set = "3 pages"
pages_per_burst = 3
lines_per_page = 16
own_pages = true
in_turn = true
[[group.syscalls]]
kind = "discard"
pages = "2 pages"
[[group.syscalls]]
burst = "5 us"
"""


def lwps(folder: Path, text: str) -> list[LwpSpec]:
    """What a scenario creates."""
    path = folder / "pages.toml"
    path.write_text(text, encoding="utf-8")
    return load_behaviour(path).source().lwps


def data(spec: LwpSpec) -> list[set[int]]:
    """The data pages of each burst."""
    operations = [operation for operation in spec.program if isinstance(operation, User)]
    return [{va for va, _ in operation.touches if 1 << 40 <= va < 1 << 41} for operation in operations]


def test_working_sets_of_their_own_lie_side_by_side(tmp_path: Path) -> None:
    first, second = (data(spec)[0] for spec in lwps(tmp_path, TEXT))
    assert len(first) == len(second) == 3
    assert max(first) + 4096 == min(second)
    shared = [data(spec)[0] for spec in lwps(tmp_path, TEXT.replace("own_pages = true\n", ""))]
    assert shared[0] == shared[1] == first


def test_a_discard_gives_back_the_lwps_own_pages_and_shares_the_map(tmp_path: Path) -> None:
    specs = lwps(tmp_path, TEXT)
    found = [part for spec in specs for call in spec.program if isinstance(call, Syscall) for part in call.body]
    base = 1 << 40
    assert found == [Unmap(base, base + 2 * 4096, True), Unmap(base + 3 * 4096, base + 5 * 4096, True)]
    assert [spec.lines for spec in specs] == [16, 16]


def test_a_burst_of_a_calls_own_comes_right_before_it(tmp_path: Path) -> None:
    operations = list(lwps(tmp_path, TEXT)[0].program)
    assert [type(operation) for operation in operations] == [User, Syscall, User, Syscall]
    burst = operations[2]
    assert isinstance(burst, User)
    assert burst.cycles == 5 * 3500
    assert len(burst.touches) == 2 + 1 + 3  # text, stack, data


def test_working_sets_that_have_no_room_are_refused(tmp_path: Path) -> None:
    wide = TEXT.replace('"3 pages"', '"1 GiB"').replace("lwps = 2", "lwps = 2000")
    with pytest.raises(InputError, match="2000 working sets of 262144 pages have no room side by side"):
        lwps(tmp_path, wide)
