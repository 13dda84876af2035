"""Which CPUs are near which: threads, cores, clusters and sockets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TopologyShape:
    """How CPUs are numbered into cores, clusters and sockets (counts)."""

    threads_per_core: int = 1
    cores_per_cluster: int = 4
    clusters_per_socket: int = 4


class Topology:
    """Distances between *cpus* CPUs, numbered core by core.

    Every core lies in a cluster, every cluster in a socket, and all sockets are equally far from one another.
    """

    def __init__(self, cpus: int, shape: TopologyShape | None = None) -> None:
        self.cpus = cpus
        self.shape = shape or TopologyShape()
        core = self.shape.threads_per_core
        cluster = core * self.shape.cores_per_cluster
        self._holders = (
            (core, "same_core"), (cluster, "cluster"), (cluster * self.shape.clusters_per_socket, "socket")
        )  # fmt: skip

    def distance(self, a: int, b: int) -> str:
        """The smallest thing that holds both CPUs: ``same_core``, ``cluster``, ``socket``, or else ``remote``."""
        return next((name for cpus, name in self._holders if a // cpus == b // cpus), "remote")
