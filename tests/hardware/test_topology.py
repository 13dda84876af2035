"""Distances of CPUs."""

from __future__ import annotations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from sim.hardware.topology import Topology, TopologyShape


def test_distances_name_what_holds_both():
    topology = Topology(32, TopologyShape(threads_per_core=2, cores_per_cluster=4, clusters_per_socket=2))
    assert topology.distance(0, 1) == "same_core"
    assert topology.distance(0, 2) == "cluster"
    assert topology.distance(0, 8) == "socket"
    assert topology.distance(0, 16) == "remote"
    assert nx.is_connected(topology.graph)


@given(st.integers(1, 40), st.integers(1, 2), st.integers(1, 4), st.integers(1, 3))
def test_distance_is_symmetric_and_follows_the_numbers(cpus, threads, cores, clusters):
    topology = Topology(cpus, TopologyShape(threads, cores, clusters))
    for a in range(cpus):
        for b in range(cpus):
            assert topology.distance(a, b) == topology.distance(b, a)
            per_cluster = threads * cores
            if a // threads == b // threads:
                expected = "same_core"
            elif a // per_cluster == b // per_cluster:
                expected = "cluster"
            elif a // (per_cluster * clusters) == b // (per_cluster * clusters):
                expected = "socket"
            else:
                expected = "remote"
            assert topology.distance(a, b) == expected
