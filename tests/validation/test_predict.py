"""Predictions: exact where the cost table gives them by hand, fitted where a point says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from scenarios.behaviours import load_behaviour
from sim.errors import InputError
from sim.experiments.failed import Failed
from sim.experiments.validation import load_curve, predict, validate
from sim.experiments.validation.predict import _root
from sim.timed.paired import run_paired
from tests.validation.invented import CURVE, WORKLOAD, write

LOOP = """
title = "a call in a loop"

[machine]
cpus = 1

[[group]]
name = "caller"
iterations = 400
burst = "10 ns"
resident = true
[[group.syscalls]]
name = "call"
kernel_time = "10 ns"
"""

TIMES = """
title = "times"
source = "this test"
x = "bytes"
quantity = "overhead_percent"
scenario = "workload.toml"

[run]
profile = "pti"
iterations = 400

[[fit]]
key = "group.0.syscalls.0.kernel_time"
at = 1
why = "the call"

[[fit]]
key = "group.0.syscalls.0.kernel_time"
per_x = true
at = 1000
why = "a byte"

[[point]]
x = 1
published = 100.0

[[point]]
x = 1000
published = 20.0

[[point]]
x = 4000
published = 6.0
"""


def failure(path: Path) -> str:
    """Why none of a curve's points could be run."""
    (failed,) = {found for found in predict(load_curve(path)).predicted if isinstance(found, Failed)}
    assert not failed.bug
    return failed.reason


def test_an_offset_comes_from_one_point_and_the_rest_from_the_cost_table(tmp_path: Path) -> None:
    """Haswell's INVLPG is 237 cycles: each page more adds just that."""
    prediction = predict(load_curve(write(tmp_path)))
    assert prediction.predicted == (1000.0, 1000.0 + 237, 1000.0 + 4 * 237)
    rows = validate([load_curve(write(tmp_path))]).points
    assert [row["fitted"] for row in rows] == [True, False, False]
    assert [row["error"] for row in rows] == [0.0, round(-13 / 1250, 6), round((1948 - 1600) / 1600, 6)]


def test_an_error_counts_from_the_reference(tmp_path: Path) -> None:
    curve = CURVE.replace('x = "pages"\n', 'x = "pages"\nreference = 900\n')
    rows = validate([load_curve(write(tmp_path, curve))]).points
    assert [row["error"] for row in rows] == [0.0, round(-13 / 350, 6), round(348 / 700, 6)]


def test_two_values_of_one_key_are_taken_from_two_points(tmp_path: Path) -> None:
    """Overhead is added time over base: if 999 bytes more make 1 into 1/5, 3999 bytes more make it 1/17."""
    prediction = predict(load_curve(write(tmp_path, TIMES, LOOP)))
    first, second, third = prediction.predicted
    assert first == pytest.approx(100, rel=0.01)
    assert second == pytest.approx(20, rel=0.01)
    assert third == pytest.approx(100 / 17, rel=0.02)


@pytest.mark.parametrize(
    ("quantity", "of"),
    [
        ("added_cycles", lambda base, own: (own - base) / 5),
        ("added_ns", lambda base, own: (own - base) / 5 / 3.5),
        ("run_cycles", lambda base, own: own / 5),
        ("run_ns", lambda base, own: own / 5 / 3.5),
        ("overhead_percent", lambda base, own: 100 * (own / base - 1)),
        ("elapsed_percent", lambda base, own: 100 * (own / base - 1)),
        ("elapsed_ns", lambda base, own: own / 5 / 3.5),
        ("per_second", lambda base, own: 5 * 3.5e9 / own),
        ("loss_percent", lambda base, own: 100 * (1 - base / own)),
        ("elapsed_loss_percent", lambda base, own: 100 * (1 - base / own)),
        ("gain_percent", lambda base, own: 100 * (base / own - 1)),
    ],
)
def test_a_quantity_is_what_its_name_says(tmp_path: Path, quantity: str, of: Callable[[int, int], float]) -> None:
    """One CPU that is never idle after its first wake-up: two runs of known cycles give every quantity."""
    curve = CURVE[: CURVE.index("[vary]")].replace("flush_cycles", quantity).replace("none+max-pages-20", "pti")
    loaded = load_curve(write(tmp_path, curve + "[[point]]\nx = 1\npublished = 1\n"))
    scenario = load_behaviour(loaded.scenario, costs="haswell")
    pair = run_paired(scenario.source, profile="pti", baseline="none", pcid=None, cpus=1, costs=scenario.costs, seed=0)
    cycles = [run.busy_cycles for run in (pair.baseline, pair.profile)]
    if quantity in ("elapsed_percent", "elapsed_loss_percent", "elapsed_ns", "per_second"):
        cycles = [run.elapsed_cycles for run in (pair.baseline, pair.profile)]
    assert cycles[1] > cycles[0]
    assert predict(loaded).predicted == pytest.approx((of(*cycles),), rel=1e-12)


def test_a_clock_samples_the_way_out_in_user_mode(tmp_path: Path) -> None:
    """What entering and leaving take is half the user's; together it is what it was."""
    found = {}
    for quantity in ("user_percent", "system_percent", "sampled_user_percent", "sampled_system_percent"):
        curve = CURVE[: CURVE.index("[vary]")].replace("flush_cycles", quantity).replace("none+max-pages-20", "pti")
        found[quantity] = predict(load_curve(write(tmp_path, curve + "[[point]]\nx = 1\npublished = 1\n"))).predicted[0]
    assert found["sampled_user_percent"] > 1 > found["user_percent"]
    assert 0 < found["sampled_system_percent"] < found["system_percent"]


def test_refills_are_the_ledgers_share(tmp_path: Path) -> None:
    """Without PCID a call walks again for what the flush took; with it hardly anything is refilled."""
    curve = CURVE[: CURVE.index("[vary]")].replace("flush_cycles", "refill_percent").replace("none+max-pages-20", "pti")
    found = []
    for pcid in ("true", "false"):
        text = curve.replace("iterations = 5", f"iterations = 400\npcid = {pcid}")
        loaded = load_curve(write(tmp_path, text + "[[point]]\nx = 1\npublished = 1\n", LOOP))
        found += predict(loaded).predicted
    scenario = load_behaviour(loaded.scenario, costs="haswell")
    pair = run_paired(scenario.source, profile="pti", baseline="none", pcid=False, cpus=1, costs=scenario.costs, seed=0)
    ledger = pair.profile.frames["ledger"]
    refill = sum(c for cause, c in zip(ledger["cause"], ledger["cycles"], strict=True) if "TLB refill" in str(cause))
    assert found[1] == pytest.approx(100 * refill / pair.profile.busy_cycles, rel=1e-12)
    assert found[1] > 10 * found[0]


def test_a_published_baseline_is_met(tmp_path: Path) -> None:
    curve = TIMES[: TIMES.index("[[fit]]")].replace("overhead_percent", "run_ns").replace('"pti"', '"none"')
    curve += """
[[fit]]
key = "group.0.burst"
at = 1
baseline_ns = 500
why = "the whole loop"

[[point]]
x = 1
published = 510
"""
    prediction = predict(load_curve(write(tmp_path, curve, LOOP)))
    assert prediction.predicted[0] == pytest.approx(500, rel=0.002)


def test_a_cost_of_the_machine_can_be_taken_from_a_point(tmp_path: Path) -> None:
    """With INVLPG free to choose, two pages at 1400 cycles make it 700; the third point follows."""
    curve = CURVE.replace('key = "offset"\nat = 1', 'key = "costs.invlpg"\nat = 2').replace("= 1250", "= 1402")
    prediction = predict(load_curve(write(tmp_path, curve)))
    assert round(prediction.fits[0]) == 700
    assert prediction.predicted == (702.0, 1402.0, 3502.0)


def test_what_no_time_can_meet_is_said(tmp_path: Path) -> None:
    curve = TIMES.replace("published = 100.0", "published = 100000.0")
    reason = failure(write(tmp_path, curve, LOOP))
    assert re.search("fit of 'group.0.syscalls.0.kernel_time'.* 100000 at x = 1", reason)


def test_a_workload_without_such_flushes_is_refused(tmp_path: Path) -> None:
    curve = CURVE.replace('"group.0.syscalls.0.pages" = "{x} pages"', "")
    assert "no flush of single pages" in failure(write(tmp_path, curve, LOOP))


def test_a_curve_may_use_a_cpu_that_is_not_there(tmp_path: Path) -> None:
    curve = CURVE.replace("iterations = 5", "iterations = 5\ncpu = 3").replace("flush_cycles", "run_cycles")
    assert "cpu = 3: the scenario has 1 CPUs" in failure(write(tmp_path, curve, WORKLOAD))


PARTS = """
title = "a caller and another"

[machine]
cpus = 1

[[group]]
name = "caller"
iterations = 50
burst = "1 us"
working_set = "1 page"
pages_per_burst = 1
resident = true
[[group.syscalls]]
name = "short"
kernel_time = "100 ns"
[[group.syscalls]]
name = "long"
kernel_time = "900 ns"

[[group]]
name = "caller-b"
lwps = 2
iterations = 20
burst = "5 us"
working_set = "1 page"
pages_per_burst = 1
resident = true
"""


def whose(key: str, quantity: str) -> str:
    """A curve of one point under 'none', of whom *key* says."""
    curve = TIMES[: TIMES.index("[[fit]]")].replace("overhead_percent", quantity)
    return curve.replace('profile = "pti"', f'profile = "none"\n{key}') + "[[point]]\nx = 1\npublished = 1\n"


def test_the_time_of_one_group_or_of_the_calls_of_a_name(tmp_path: Path) -> None:
    """A call that is 800 ns longer takes that much more; a group's time is that of its LWPs alone."""
    found, null = {}, {}
    for key in ('call = "short"', 'call = "long"', 'group = "caller-b"'):
        text = whose(key, "run_ns").replace("400", "50")
        prediction = predict(load_curve(write(tmp_path, text, PARTS)))
        found[key], null[key] = prediction.predicted[0], prediction.null[0]
    assert found['call = "long"'] - found['call = "short"'] == pytest.approx(800, abs=10)
    assert null == {'call = "short"': 100, 'call = "long"': 900, 'group = "caller-b"': 2 * 20 * 5000 / 50}
    assert null['group = "caller-b"'] < found['group = "caller-b"'] < null['group = "caller-b"'] * 1.2


@pytest.mark.parametrize(
    ("key", "quantity", "message"),
    [
        ('call = "shrt"', "run_ns", "call = 'shrt': nobody made one; there are .*did you mean 'short'"),
        ('group = "nobody"', "run_ns", "group = 'nobody': nobody of that name ran"),
    ],
)
def test_whose_time_counts_must_be_somebodys_in_the_run(tmp_path: Path, key: str, quantity: str, message: str) -> None:
    curve = whose(key, quantity)
    assert re.search(message, failure(write(tmp_path, curve, PARTS)))


@pytest.mark.parametrize(
    ("key", "quantity", "message"),
    [
        ('call = "short"\ncpu = 0', "run_ns", "only one of 'cpu' and this"),
        ('group = "caller"', "per_second", "'per_second' is of the whole run, not of a group"),
    ],
)
def test_whose_time_counts_must_be_somebodys(tmp_path: Path, key: str, quantity: str, message: str) -> None:
    curve = whose(key, quantity)
    with pytest.raises(InputError, match=message):
        load_curve(write(tmp_path, curve, PARTS))


def test_points_of_one_unit_can_have_quantities_of_their_own(tmp_path: Path) -> None:
    curve = TIMES.replace("x = 4000\npublished = 6.0", "x = 4000\npublished = 6.0\nquantity = 'loss_percent'")
    whole, own = (predict(load_curve(write(tmp_path, text, LOOP))).predicted[2] for text in (TIMES, curve))
    assert 100 / own == pytest.approx(100 / whole + 1, rel=1e-6)
    with pytest.raises(InputError, match="'run_ns' is in ns, the curve in %"):
        load_curve(write(tmp_path, curve.replace("loss_percent", "run_ns"), LOOP))


EACH = """
title = "two calls"
source = "this test"
x = "call"
quantity = "elapsed_ns"
scenario = "workload.toml"

[run]
profile = "none"
iterations = 400

[[fit]]
key = "group.0.syscalls.0.kernel_time"
each = true
why = "the call"

[[point]]
x = "short"
published = 1000
baseline_ns = 200

[[point]]
x = "long"
published = 1000
baseline_ns = 900
"""


def test_each_point_may_have_a_baseline_of_its_own(tmp_path: Path) -> None:
    """The profile is the baseline, so what comes out is the baseline's time; no point counts as fitted."""
    curve = load_curve(write(tmp_path, EACH, LOOP))
    assert predict(curve).predicted == pytest.approx((200, 900), rel=0.01)
    assert not any(curve.fitted(place) for place in range(2))


def test_a_cost_of_whole_cycles_comes_as_near_as_it_can() -> None:
    """7.4 cycles can't be had, and is no error; the nearer neighbour is taken."""
    found: list[float] = []

    def miss(cycles: float) -> float:
        found.append(cycles)
        return round(cycles) / 7.4 - 1

    complaint = InputError("none")
    assert _root(miss, 400.0, 1.0, complaint) == 7
    assert found[-1] == 7
    with pytest.raises(InputError, match="none"):
        _root(lambda cycles: 1.0 + cycles, 400.0, 1.0, complaint)
