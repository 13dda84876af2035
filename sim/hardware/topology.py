"""Which CPUs are near which: a networkx graph of threads, clusters and sockets."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx


@dataclass(frozen=True, slots=True)
class TopologyShape:
    """How CPUs are numbered into cores, clusters and sockets (counts)."""

    threads_per_core: int = 1
    cores_per_cluster: int = 4
    clusters_per_socket: int = 4


class Topology:
    """Distances between *cpus* CPUs, numbered core by core.

    ``graph`` has a node for each CPU, core, cluster and socket and an edge for each containment; sockets are joined
    pairwise.  The distance of two CPUs is the smallest thing that holds both.
    """

    def __init__(self, cpus: int, shape: TopologyShape | None = None) -> None:
        shape = shape or TopologyShape()
        self.cpus = cpus
        self.shape = shape
        self.graph: nx.Graph[tuple[str, int]] = nx.Graph()
        per_cluster = shape.threads_per_core * shape.cores_per_cluster
        per_socket = per_cluster * shape.clusters_per_socket
        sockets = set()
        for cpu in range(cpus):
            chain = [
                ("cpu", cpu),
                ("core", cpu // shape.threads_per_core),
                ("cluster", cpu // per_cluster),
                ("socket", cpu // per_socket),
            ]
            nx.add_path(self.graph, chain)
            sockets.add(chain[-1])
        ordered = sorted(sockets)
        self.graph.add_edges_from((a, b) for i, a in enumerate(ordered) for b in ordered[i + 1 :])
        self._matrix = self._distances()

    def _distances(self) -> list[list[str]]:
        """Name the distance of each pair from the length of the shortest path."""
        names = {0: "same_core", 2: "same_core", 4: "cluster", 6: "socket", 7: "remote"}
        matrix = []
        for a in range(self.cpus):
            lengths = nx.single_source_shortest_path_length(self.graph, ("cpu", a))
            matrix.append([names[lengths["cpu", b]] for b in range(self.cpus)])
        return matrix

    def distance(self, a: int, b: int) -> str:
        """``same_core``, ``cluster``, ``socket`` or ``remote``."""
        return self._matrix[a][b]
