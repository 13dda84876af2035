"""Every kind of bad scenario is refused with file and key."""

from __future__ import annotations

import pytest

from scenarios.open import open_scenario
from sim.errors import InputError

GOOD = """
[machine]
cpus = 2

[[group]]
name = "caller"
iterations = 3
burst = "1 us"
[[group.syscalls]]
name = "getppid"
"""
BURST = 'burst = "1 us"'
CALL = 'name = "getppid"'
CHILD = '\n[[group]]\nname = "child"\niterations = 1\n'
FORK = 'kind = "fork"\ntarget = "child"'
BAD = [
    ("iterations", "iteration", "'group[0].iterations' is missing; did you mean 'iteration'?"),
    ("[machine]", "[machin]", "unknown key 'machin'; did you mean 'machine'?"),
    ("cpus = 2", "cpu = 2", "unknown key 'machine.cpu'; did you mean 'cpus'?"),
    ("cpus = 2", "cpus = 0", "machine.cpus: 0 must be 1 or more"),
    ("cpus = 2", "cpus = -3", "machine.cpus: -3 must be 1 or more"),
    ("cpus = 2", "cpus = 2.5", "machine.cpus: 2.5 must be a whole number"),
    ("cpus = 2", "cpus = true", "machine.cpus: true must be a whole number"),
    ("cpus = 2", "cpus = 1000", "machine.cpus: 1000 must be 256 or less"),
    (BURST, "burst = 3", "group[0].burst: 3 must be a duration with a unit"),
    (BURST, 'burst = "3 sec"', "unknown unit 'sec'"),
    (BURST, 'burst = "0 us"', "'0 us' must be positive"),
    (BURST, 'burst = "-1 us"', "'-1 us' must be positive"),
    (BURST, f'burst = "{"9" * 400} s"', "must be 3600 s or less"),
    (BURST, 'burst = { dist = "expo", mean = "1 us" }', "did you mean 'exponential'?"),
    (BURST, 'burst = { dist = "exponential" }', "'group[0].burst.mean' is missing"),
    (BURST, 'burst = { dist = "uniform", low = "2 us", high = "1 us" }', "must not be less than low"),
    (BURST, 'burst = { dist = "lognormal", median = "1 us", sigma = nan }', "must be a positive number"),
    (BURST, 'burst = { dist = "lognormal", median = "1 us", sigma = 900 }', "900 must be 5 or less"),
    (BURST, 'burst = { dist = "choice", values = ["1 us"], weights = [inf] }', "must be positive numbers"),
    (BURST, 'bind = [0, 2]', "there is no 2; with 2 CPUs they are 0 to 1"),
    (BURST, 'bind = [1, 1]', "names one twice"),
    (BURST, 'working_set = "1 furlong"', "unknown unit 'furlong'"),
    (BURST, 'working_set = "900 GiB"', "must be 64 GiB or less"),
    (BURST, "lwps = 1000000000", "must be 65536 or less"),
    ("iterations = 3", "iterations = 9999999999", "must be 1000000000 or less"),
    (BURST, "priority = 300", "300 must be 223 or less"),
    (BURST, f"iterations = {'9' * 5000}", "not valid TOML"),
    (CALL, 'kind = "plian"', "did you mean 'plain'?"),
    (CALL, "weight = 0", "0 must be a positive number"),
    (CALL, 'kind = "wake"\ntarget = "caler"', "did you mean 'caller'?"),
    (CALL, 'kind = "sleep"', "'group[0].syscalls[0].time' is missing"),
    (CALL, 'kind = "fork"\ntarget = "caller"', "every user group is forked"),
    (CALL, FORK + CHILD + f"[[group.syscalls]]\n{FORK}", "forks itself without end"),
    (CALL, FORK + CHILD + '[[group.syscalls]]\nkind = "wait"', "a forked group cannot be named"),
    (CALL, CALL + '\n[[interrupt]]\ninterval = "1 ms"' * 2, "two interrupts are named 'device'"),
    (CALL, CALL + CHILD.replace("child", "caller"), "two groups are named 'caller'"),
    (CALL, CALL + CHILD + 'kind = "kernel"\n[[group.syscalls]]\nkind = "exec"', "a kernel LWP has no address space"),
    ("[machine]", 'profile = "svs-netbsd7"\n[machine]', "mine.toml:2: profile: unknown profile 'svs-netbsd7'"),
    ("[machine]", 'baseline = "none+nope"\n[machine]', "mine.toml:2: baseline: profile 'none+nope': unknown variation"),
    ("cpus = 2", 'costs = "hasswell"', "machine.costs: unknown cost table 'hasswell'"),
    (CALL, 'kind = "wake"\ntarget = ""', "no group is named ''"),
    ("[machine]", 'pcid = "yes"\n[machine]', "must be true or false"),
    ("[machine]", "seed = -1\n[machine]", "seed: -1 must be 0 or more"),
    ("[machine]", "[machine", "not valid TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), BAD)
def test_bad_scenarios_are_refused_with_place(tmp_path, old, new, message):
    assert old in GOOD
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        open_scenario(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("event", ["   cc1-12  [001] d..2.  2450.750889: sys_exit: NR 8", "x 7 [000] 1.000001: a: b"])
def test_a_recording_with_the_name_of_a_behaviour_is_told_apart(tmp_path, event):
    path = tmp_path / "mine.toml"
    path.write_text(f"# tracer: nop\n#\n{event}\n")
    with pytest.raises(InputError, match="this is a recording, but .* give it another name"):
        open_scenario(path)


def test_the_good_one_is_good(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert open_scenario(path).cpus == 2


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(InputError, match="did you mean 'null-syscall'"):
        open_scenario("nul-syscall")
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"mine\.toml"):
        open_scenario(path)
