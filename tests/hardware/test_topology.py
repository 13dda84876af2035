"""Distances of CPUs."""

from __future__ import annotations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from sim.hardware.topology import Topology, TopologyShape


def machine(cpus: int, shape: TopologyShape) -> nx.Graph[tuple[str, int]]:
    """A node for each CPU, core, cluster and socket, an edge for each that lies in another, and between all sockets."""
    graph: nx.Graph[tuple[str, int]] = nx.Graph()
    for cpu in range(cpus):
        core = cpu // shape.threads_per_core
        cluster = core // shape.cores_per_cluster
        socket = cluster // shape.clusters_per_socket
        nx.add_path(graph, [("cpu", cpu), ("core", core), ("cluster", cluster), ("socket", socket)])
        graph.add_edges_from((("socket", socket), ("socket", other)) for other in range(socket))
    return graph


def test_distances_name_what_holds_both() -> None:
    topology = Topology(32, TopologyShape(threads_per_core=2, cores_per_cluster=4, clusters_per_socket=2))
    assert topology.distance(0, 1) == "same_core"
    assert topology.distance(0, 2) == "cluster"
    assert topology.distance(0, 8) == "socket"
    assert topology.distance(0, 16) == "remote"


@given(st.integers(1, 40), st.integers(1, 2), st.integers(1, 4), st.integers(1, 3))
def test_a_distance_is_the_way_through_what_holds_both(cpus: int, threads: int, cores: int, clusters: int) -> None:
    shape = TopologyShape(threads, cores, clusters)
    topology, graph = Topology(cpus, shape), machine(cpus, shape)
    names = {0: "same_core", 2: "same_core", 4: "cluster", 6: "socket", 7: "remote"}
    for a in range(cpus):
        lengths = nx.single_source_shortest_path_length(graph, ("cpu", a))
        assert [topology.distance(a, b) for b in range(cpus)] == [names[lengths["cpu", b]] for b in range(cpus)]
