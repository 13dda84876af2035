"""The null model adds its constants and nothing else; accounting marks what it gives as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.experiments.validation import constants, load_curve, predict, select_curves, skill, validate
from sim.experiments.validation.null import null_paired
from sim.hardware.steps import Access
from sim.kernel.program import LwpSpec, Operation, Syscall, Touch, Unmap, User, Workload
from sim.timed.costs import load_costs
from sim.timed.paired import PairedResult
from tests.validation.invented import CURVE, write

GHZ = "skylake-client@1GHz"  # a cycle is a nanosecond


def operations(pages: int) -> Iterator[Operation]:
    """Touch pages, give them back, touch them again."""
    touches = tuple(Touch(page * 4096, Access.WRITE) for page in range(pages))
    yield User(100, touches)
    yield Syscall("madvise", 50, (Unmap(0, pages * 4096),))
    yield User(100, touches)


def priced(profile: str, pages: int, *, pcid: bool | None = None, crossing: float | None = None,
           resident: bool = True, costs: str = GHZ) -> PairedResult:  # fmt: skip
    """Price the operations on one CPU."""

    def source() -> Workload:
        return Workload("t", 1, [LwpSpec("a", operations(pages), "a", resident=resident)])

    return null_paired(source, profile=profile, baseline="none", pcid=pcid, cpus=1, costs=load_costs(costs),
                       crossing=crossing)  # fmt: skip


@pytest.mark.parametrize(
    ("profile", "pcid", "cycles"),
    [("none", None, 3 * 194), ("pti", True, 141 + 3 * (194 + 347)), ("pti", False, 262 + 3 * 194),
     ("pti+defer-user-flush", True, 141 + 3 * 194), ("svs-netbsd9", True, 141 + 3 * (194 + 347))],
)  # fmt: skip
def test_a_call_that_flushes_costs_a_crossing_and_its_pages(profile: str, pcid: bool | None, cycles: int) -> None:
    pair = priced(profile, 3, pcid=pcid)
    assert pair.profile.busy_cycles == 250 + cycles
    assert pair.baseline.busy_cycles == 250 + 3 * 194
    assert pair.profile.frames["shootdowns"]["pages"] == [3]


def test_faults_are_crossings_and_a_large_flush_has_no_price() -> None:
    """Three pages fault twice; eight are more than NetBSD flushes one by one."""
    assert priced("pti", 3, resident=False).profile.busy_cycles == 250 + 7 * 141 + 6 * 800 + 3 * 541
    assert priced("pti", 8).profile.busy_cycles == 250 + 141
    assert priced("pti", 8).profile.frames["shootdowns"]["pages"] == [-1]


def test_a_curve_can_bring_the_price_of_its_crossings_and_other_machines_flush_at_237() -> None:
    assert priced("pti", 3, crossing=1000.0).profile.busy_cycles == 250 + 1000 + 3 * 541
    assert priced("none", 3, costs="haswell@1GHz").profile.busy_cycles == 250 + 3 * 237


def test_two_lwps_on_two_cpus_take_as_long_as_the_busier() -> None:
    def source() -> Workload:
        lwps = [LwpSpec(str(n), iter([User(100 * n)]), str(n), cpu=n - 1) for n in (1, 2)]
        return Workload("t", 2, lwps)

    run = null_paired(source, profile="pti", baseline="none", pcid=None, cpus=2, costs=load_costs(GHZ)).profile
    assert (run.elapsed_cycles, run.busy_cycles) == (200 + 3 * 0, 300)


def test_points_are_implied_where_the_null_model_is_as_good(tmp_path: Path) -> None:
    """237 cycles a page: the second point is off by 1 %, the third by 22 %."""
    rows = validate([load_curve(write(tmp_path))]).points
    assert [row["null_predicted"] for row in rows] == [1000, 1237, 1948]
    assert [row["informative"] for row in rows] == [False, False, True]
    assert skill(rows) == 0


def test_what_no_value_of_a_fit_gives_the_null_model_gets_as_an_offset() -> None:
    """Global pages are nothing to it, so the gain that a walk's cost was fitted to stays the same."""
    (curve,) = select_curves(["global-pages-atom"])
    assert predict(curve).null == (23.87, 23.87)


def test_a_figure_on_which_a_constant_was_chosen_is_fitted(tmp_path: Path) -> None:
    text = CURVE.replace('costs = "haswell"', 'costs = "mine.toml"').replace("x = 5\n", 'x = 5\nfigure = "Z1"\n')
    table = load_costs("haswell").text
    for tuned, fitted in (("", False), (', tuned_on = ["Z1"]', True)):
        own = table.replace('source = "M4", sure = "READ-1"', f'source = "M4", sure = "READ-1"{tuned}')
        folder = tmp_path / str(fitted)
        folder.mkdir()
        (folder / "mine.toml").write_text(own, encoding="utf-8")
        assert load_curve(write(folder, text)).fitted(2) is fitted


def test_every_constant_is_listed_with_its_source() -> None:
    rows = {(row["table"], row["name"]): row for row in constants(["skylake-client", "haswell@2.4GHz"])}
    assert rows["haswell@2.4GHz", "frequency_hz"]["value"] == 2_400_000_000
    assert rows["haswell@2.4GHz", "frequency_hz"]["sure"] == "given"
    assert rows["skylake-client", "frequency_hz"]["sure"] == "assumed"
    assert rows["skylake-client", "psc"]["value"] == "l4 2 l3 4 l2 32"
    assert rows["haswell@2.4GHz", "invlpg"]["value"] == 237
    assert rows["skylake-client", "invlpg"]["tuned_on"] == ["T4"]
    assert rows["skylake-client", "stlb"]["value"] == "entries 1536 ways 12"
    assert rows["null model", "crossing"]["value"] == 262
    assert all(row["source"] for row in rows.values())
