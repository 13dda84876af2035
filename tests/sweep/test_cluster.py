"""Sweeps on a Dask cluster: scheduler and workers started as people start them, from another folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.errors import InputError
from sim.experiments.sweep import load_sweep, run_sweep

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parent.parent.parent
GRID = """
seed = 3
scenarios = ["mine.toml"]
profiles = ["svs-netbsd8", "svs-netbsd9"]
cpus = [1, 2]
[set]
"group.0.iterations" = [20, 30, -1]
"""
MINE = """
[[group]]
name = "g"
iterations = 5
burst = "1 us"
"""


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """A sweep of a scenario that lies beside it; a third of the points fails."""
    (tmp_path / "mine.toml").write_text(MINE)
    path = tmp_path / "small.toml"
    path.write_text(GRID)
    return path


class Cluster:
    """A scheduler and its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        host, port = self.address.removeprefix("tcp://").split(":")
        self.start("scheduler", "Scheduler at", ROOT, "--host", host, "--port", port)

    def start(self, what: str, ready: str, path: Path, *words: str) -> subprocess.Popen[str]:
        """Start ``dask WHAT`` with *path* on Python's path; returns once it has said *ready*."""
        env = {**os.environ, "PYTHONPATH": str(path)}
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", what, *words, "--no-dashboard"],
            cwd=self.folder, env=env, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        assert process.stderr is not None
        assert any(ready in line for line in process.stderr)
        return process

    def work(self, path: Path = ROOT) -> subprocess.Popen[str]:
        """Start a worker."""
        return self.start("worker", "Registered to", path, self.address, "--nthreads", "1", "--no-nanny")

    def stop(self) -> None:
        """End all processes."""
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler without workers."""
    made = Cluster(tmp_path_factory.mktemp("elsewhere"))
    yield made
    made.stop()


def test_two_workers_give_the_same_bytes_failures_included(grid: Path, tmp_path: Path, cluster: Cluster) -> None:
    cluster.work()
    cluster.work()
    there = run_sweep(load_sweep(grid), tmp_path / "there", cluster=cluster.address)
    here = run_sweep(load_sweep(grid), tmp_path / "here")
    assert (there.computed, len(there.failures)) == (here.computed, len(here.failures)) == (8, 4)
    for name in ("points.parquet", "summary.json"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_a_cluster_without_workers_or_without_svs_sim_is_told(grid: Path, tmp_path: Path, cluster: Cluster) -> None:
    with pytest.raises(InputError, match="has no workers"):
        run_sweep(load_sweep(grid), tmp_path / "out", cluster=cluster.address)
    lacking = tmp_path / "lacking"
    (lacking / "sim").mkdir(parents=True)
    (lacking / "sim" / "__init__.py").write_text('raise ImportError("none here")')
    cluster.work(lacking)
    with pytest.raises(InputError, match="has no svs-sim.*none here"):
        run_sweep(load_sweep(grid), tmp_path / "out", cluster=cluster.address)
    assert not (tmp_path / "out").exists()


def test_another_version_on_a_worker_is_told(
    grid: Path, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.work()
    monkeypatch.setattr("sim.experiments.sweep.cluster.version", _version)
    with pytest.raises(InputError, match="has another version"):
        run_sweep(load_sweep(grid), tmp_path / "out", cluster=cluster.address)


def _version() -> str:
    """Of this process, different in each."""
    return str(os.getpid())


def test_a_cluster_that_goes_away_ends_the_sweep_with_an_error(grid: Path, tmp_path: Path, cluster: Cluster) -> None:
    worker = cluster.work()
    grid.write_text(GRID.replace("[20, 30, -1]", "[20, 30, 100000000]"))

    def end_it(done: int, _: int) -> None:
        if done == 4:
            worker.kill()
            cluster.processes[0].kill()

    with pytest.raises(InputError, match="went away.*finished points are kept"):
        run_sweep(load_sweep(grid), tmp_path / "out", cluster=cluster.address, progress=end_it)
    assert len(list((tmp_path / "out" / ".cache").glob("*.json"))) == 4
    assert not (tmp_path / "out" / "summary.json").exists()


def test_a_port_that_says_nothing_is_told(grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.experiments.sweep.cluster.ANSWER", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InputError, match="no Dask scheduler answers there"):
            run_sweep(load_sweep(grid), tmp_path / "out", cluster=address)
