"""Page tables as text."""

from __future__ import annotations

import networkx as nx


def canonical(va: int) -> str:
    """Write a virtual address as the CPU wants it, bit 47 copied upwards."""
    return f"{va | 0xFFFF << 48 if va >> 47 & 1 else va:#018x}"


def tree_text(graph: nx.DiGraph[str]) -> str:
    """Draw a graph of :func:`table_graph` as a text tree, a line a table or a range of pages."""
    shown: nx.DiGraph[str] = nx.DiGraph()
    for node in graph.nodes:
        shown.add_node(node, label=_label(graph, node))
    # The recursive entry is noted in the label of its page; as an edge it would hang the tree from itself.
    shown.add_edges_from((a, b) for a, b in graph.edges if a != b)
    return "\n".join(nx.generate_network_text(shown, sources=[graph.graph["root"]]))


def _label(graph: nx.DiGraph[str], node: str) -> str:
    """One line."""
    data = graph.nodes[node]
    edges = [graph.edges[edge] for edge in graph.in_edges(node) if edge[0] != node]
    where = ""
    if edges:
        edge = edges[0]
        index = f"{edge['first']}" if edge["first"] == edge["last"] else f"{edge['first']}-{edge['last']}"
        where = f"[{index}] {canonical(edge['va'])} "
    if data["kind"] == "table":
        loop = " (recursive slot in use)" if graph.has_edge(node, node) else ""
        rights = f"  {edges[0]['flags']}" if edges else ""
        return f"{where}L{data['level']} table {data['pa']:#x} {data['name']}{rights}{loop}"
    pages = data["pages"]
    size = f"{pages} page{'s' if pages > 1 else ''}" if pages < 512 else f"{pages // 256} MiB"
    what = f"{data['region']}{': ' + data['name'] if data['name'] else ''}"
    return f"{where}{size} at {data['pa']:#x}, {what}  {edges[0]['flags']}"
