"""Which process gets which point: none does again what another one of its points has done, unless nothing is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sim.experiments.sweep import load_sweep
from sim.experiments.sweep.execute import _jobs
from sim.experiments.sweep.waiting import AT_HAND, About, Numbered, Waiting, about

RECORDED = """
scenarios = ["dd-512", "redis"]
profiles = ["svs-netbsd8", "svs-netbsd9", "pti"]
costs = ["haswell", "skylake-client"]
cpus = [1, 2, 4]
"""


def jobs(tmp_path: Path, text: str) -> list[Numbered]:
    """The points of a sweep, as they are handed out."""
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    sweep = load_sweep(path)
    return list(_jobs(sweep, list(range(len(sweep.points))), dict.fromkeys(sweep.files, "hash")))


def by_turns(work: list[Numbered], processes: int) -> Iterator[tuple[int, Numbered]]:
    """What each of some equally quick processes gets."""
    waiting = Waiting(work)
    while True:
        for process in range(processes):
            one = waiting.next_for(process)
            if one is None:
                return
            yield process, one


def made(work: list[Numbered], processes: int) -> Counter[str]:
    """How many recordings are read, turned into cycles, and baselines run, over all processes."""
    known: set[tuple[int, int, object]] = set()
    for process, (_, job) in by_turns(work, processes):
        known |= {(process, place, what) for place, what in enumerate(about(job))}
    return Counter(About._fields[place] for _, place, _ in known)


def test_a_process_alone_has_the_order_of_the_grid_and_makes_everything_once(tmp_path: Path) -> None:
    work = jobs(tmp_path, RECORDED)
    assert [one for _, one in by_turns(work, 1)] == work
    assert made(work, 1) == {"recording": 2, "machine": 4, "baseline": 12}


def test_processes_share_out_recordings_machines_and_baselines(tmp_path: Path) -> None:
    work = jobs(tmp_path, RECORDED)
    assert sorted(one[0] for _, one in by_turns(work, 2)) == list(range(len(work)))
    assert made(work, 2) == {"recording": 2, "machine": 4, "baseline": 12}
    assert made(work, 4) == {"recording": 4, "machine": 4, "baseline": 12}
    one_recording = jobs(tmp_path, RECORDED.replace('"dd-512", ', ""))
    assert made(one_recording, 2) == {"recording": 2, "machine": 2, "baseline": 6}


def test_nobody_waits_while_there_are_points(tmp_path: Path) -> None:
    """Even if they have the baseline of points that others are at."""
    work = jobs(tmp_path, RECORDED.replace("[1, 2, 4]", "4").replace('["dd-512", "redis"]', '"redis"'))
    assert Counter(process for process, _ in by_turns(work, 3)) == {0: 2, 1: 2, 2: 2}


def test_few_points_are_at_hand(tmp_path: Path) -> None:
    """However many there are; all of them are handed out."""
    text = RECORDED.replace("[1, 2, 4]", f"[{', '.join(map(str, range(1, 257)))}]")
    work = jobs(tmp_path, text)
    assert len(work) == 3072 > AT_HAND
    drawn = iter(work)
    waiting = Waiting(drawn)
    assert waiting.next_for(0) == work[0]
    assert len(list(drawn)) == len(work) - AT_HAND
    assert sorted(one[0] for _, one in by_turns(work, 3)) == list(range(len(work)))
