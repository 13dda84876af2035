"""Page tables at a moment: the graph is what the hardware would walk, and what user mode reaches is what it says."""

from __future__ import annotations

import json
from pathlib import Path

import networkx as nx
import pytest

from analysis.inspect import REGIONS, tree_text
from analysis.inspect.regions import DIRECT, HEAP, OWN, PTE_SPACE, REMOTE, RSP0, TEXT_USER, USER, UTLS
from scenarios.open import open_scenario
from scenarios.scenario import Scenario
from sim.cli import main
from sim.errors import InputError
from sim.experiments.inspect import Moment, df_reach, inspect_scenario, region_of, send_nmi, stop_at, table_graph
from sim.experiments.inspect.graph import leaf_of, leaves
from sim.hardware.paging import walk
from sim.hardware.steps import Access
from sim.kernel.designs import PROFILES

AT = 3_500_000
SVS = [profile for profile in PROFILES if profile.startswith("svs")]


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """Four threads that map and unmap, on two CPUs."""
    return open_scenario("mmap-storm", cpus=2)


@pytest.fixture(scope="module")
def moments(scenario: Scenario) -> dict[str, Moment]:
    """The same moment under every profile."""
    return {profile: stop_at(scenario, AT, profile=profile) for profile in PROFILES}


def user_pages(moment: Moment, cpu: int) -> dict[str, int]:
    """Pages of each region that user mode reaches on a CPU."""
    frame = df_reach([moment])
    return dict(frame[frame["cpu"] == cpu][["region", "user_pages"]].values.tolist())


@pytest.mark.parametrize("profile", PROFILES)
def test_every_page_of_a_graph_is_what_the_hardware_walks_to(moments: dict[str, Moment], profile: str) -> None:
    moment = moments[profile]
    for ci in moment.kernel.cpus:
        for root in (moment.user_root(ci), moment.kernel_root(ci)):
            graph = table_graph(moment, ci.ci_index, root)
            pages = sum(data["pages"] for _, data in graph.nodes(data=True) if data["kind"] == "pages")
            found = list(leaves(moment, root))
            assert pages == sum(leaf.size for leaf in found) // 4096
            for leaf in found:
                seen = walk(moment.mem, moment.kernel.geometry, root, leaf.va, Access.READ, False, set_ad=False)
                assert seen.fault is None
                assert leaf_of(moment, root, leaf.va)[2] == seen.pa
            tree = nx.DiGraph((a, b) for a, b in graph.edges if a != b)
            assert nx.is_arborescence(tree)


@pytest.mark.parametrize("profile", PROFILES)
def test_user_space_is_the_same_in_both_views(moments: dict[str, Moment], profile: str) -> None:
    moment = moments[profile]
    for ci in moment.kernel.cpus:
        inside, outside = (
            {(leaf.va, leaf.entry) for leaf in leaves(moment, root)
             if region_of(moment.kernel.layout, ci.ci_index, leaf.va) == USER}
            for root in (moment.kernel_root(ci), moment.user_root(ci))
        )  # fmt: skip
        assert inside == outside
        assert inside


def test_without_isolation_everything_is_reachable(moments: dict[str, Moment]) -> None:
    frame = df_reach([moments["none"]])
    assert (frame["kernel_pages"] == frame["user_pages"]).all()
    assert user_pages(moments["none"], 0)[DIRECT] == 8 * 512


@pytest.mark.parametrize("profile", SVS)
def test_svs_leaves_what_entry_and_exit_need(moments: dict[str, Moment], profile: str) -> None:
    for cpu in (0, 1):
        reached = user_pages(moments[profile], cpu)
        assert {region: pages for region, pages in reached.items() if pages} == {
            TEXT_USER: 2, "idt and ldt": 2, OWN: 7 if profile == "svs-netbsd10" else 6, RSP0: 1, UTLS: 1,
        }, "since 2020 each CPU has an LDT page of its own"  # fmt: skip


def test_pti_also_leaves_the_entry_areas_of_other_cpus(moments: dict[str, Moment]) -> None:
    reached = user_pages(moments["pti"], 0)
    assert reached[REMOTE] == 7
    assert reached[UTLS] == reached[DIRECT] == reached[HEAP] == reached[PTE_SPACE] == 0


def test_the_rsp0_page_is_the_top_of_the_running_lwps_stack(moments: dict[str, Moment]) -> None:
    moment = moments["svs-netbsd9"]
    for ci in moment.kernel.cpus:
        va = moment.kernel.layout.entry_page(ci.ci_index, "rsp0") + 4096
        assert leaf_of(moment, moment.user_root(ci), va)[2] == ci.ci_curlwp.kstack_pa[-1]
        assert leaf_of(moment, moment.kernel_root(ci), va)[1] == 0


def test_an_nmi_leaves_a_stack_address_that_its_own_cpu_can_read(scenario: Scenario) -> None:
    for profile, readable in (("none", (0, 1)), ("svs-netbsd8", (1,)), ("svs-netbsd10", (1,)), ("pti", (0, 1))):
        moment = stop_at(scenario, AT, profile=profile)
        before = moment.machine.recorder.counters.get("NMIs", 0)
        lwp = moment.kernel.cpus[1].ci_curlwp
        trace = send_nmi(moment, 1)
        assert moment.machine.recorder.counters["NMIs"] == before + 1
        assert trace.readable_on == readable
        ((_, value, meaning),) = trace.words
        assert value == lwp.pcb_rsp0
        assert meaning == f"an address on the kernel stack of {lwp.l_name}"


@pytest.mark.parametrize("profile", ["svs-2018-02", "svs-netbsd8"])
def test_an_nmi_in_the_gap_of_an_early_revision_brings_the_machine_down(profile: str) -> None:
    """In kernel mode with user tables loaded these revisions find no handler; from svs-netbsd9 on they do."""
    lone = open_scenario("null-syscall")
    deaths = {}
    for name in (profile, "svs-netbsd9"):
        cycle = next(at for at in range(AT, AT + 3000, 20) if _in_the_gap(stop_at(lone, at, profile=name)))
        moment = stop_at(lone, cycle, profile=name)
        deaths[name] = send_nmi(moment, 0).fatal
        assert moment.machine.env.cycle < cycle + 4000
    assert "not mapped in the loaded tables" in deaths[profile]
    assert deaths["svs-netbsd9"] == ""
    study = inspect_scenario(lone, cycle, profile="svs-netbsd9", compare=False)
    assert study.nmi["svs-netbsd9"].words[0][2] == "an address on the kernel stack of caller-0"


def _in_the_gap(moment: Moment) -> bool:
    ci = moment.kernel.cpus[0]
    return not ci.cpu.user and ci.cpu.cr3_pa == moment.user_root(ci)


def test_stopping_changes_nothing_and_repeats(scenario: Scenario, moments: dict[str, Moment]) -> None:
    again = stop_at(scenario, AT, profile="svs-netbsd9")
    for ci in again.kernel.cpus:
        other = moments["svs-netbsd9"].kernel.cpus[ci.ci_index]
        trees = [tree_text(table_graph(m, ci.ci_index, m.user_root(c)))
                 for m, c in ((again, ci), (moments["svs-netbsd9"], other))]  # fmt: skip
        assert trees[0] == trees[1]
    assert "ci_svs_updir" in trees[0]


def test_a_cpu_without_a_process_has_no_user_tables_under_pti(scenario: Scenario) -> None:
    study = inspect_scenario(scenario, 1, profile="pti", compare=False)
    assert set(study.views[0]) == {"kernel"}
    assert study.reach["user_pages"].sum() == 0


def test_moments_and_cpus_that_are_not_there_are_refused(scenario: Scenario) -> None:
    short = open_scenario("null-syscall", overrides={"group.0.iterations": 1})
    with pytest.raises(InputError, match=r"null-syscall under none ends .* before the moment asked for \(1000 ms\)"):
        stop_at(short, short.costs.frequency_hz, profile="none")
    with pytest.raises(InputError, match="there is no CPU 2; the scenario has 2"):
        inspect_scenario(scenario, AT, cpus=[2])
    with pytest.raises(InputError, match="svs-netbsd9"):
        stop_at(scenario, AT, profile="svs-netbds9")


def test_the_command_writes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["inspect", "mmap-storm", "--cpus", "2", "--at", "1ms", "--profile", "svs-netbsd10"]
    assert main([*words, "--out", str(tmp_path / "i"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads((tmp_path / "i" / "inspect.json").read_text(encoding="utf-8"))
    assert list(shown["reachable_pages"]) == sorted(PROFILES)
    assert set(shown["reachable_pages"]["svs-netbsd10"]) == set(REGIONS)
    assert shown["at_cycles"] == AT
    graph = nx.node_link_graph(shown["views"]["1"]["user"], edges="edges")
    assert graph.graph["root"] in graph
    assert sorted(path.name for path in (tmp_path / "i").iterdir()) == [
        "inspect.json", "reach.parquet", "reach.png", "reach.svg", "tables-cpu0.png", "tables-cpu0.svg",
        "tables-cpu1.png", "tables-cpu1.svg", "tables.txt",
    ]  # fmt: skip
    # A narrower second look takes the place of the first.
    assert main([*words, "--no-compare", "--cpu", "1", "--out", str(tmp_path / "i")]) == 0
    text = capsys.readouterr().out
    assert "CPU 1 in user mode (svs-netbsd10)" in text
    assert "CPU 0 in user mode" not in text
    assert not (tmp_path / "i" / "tables-cpu0.png").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [(["--at", "soon"], "'soon' is no time"), (["--at", "0"], "after the start"), (["--cpu", "9"], "there is no CPU 9"),
     (["--at", "900s"], "before the moment asked for"), (["--profile", "svs"], "unknown profile 'svs'")],
)  # fmt: skip
def test_bad_words_leave_nothing_behind(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "null-syscall", *words, "--out", str(tmp_path / "i")]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
