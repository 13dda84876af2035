"""Pictures of page tables, and of what user mode can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.charts.style import new_figure
from analysis.inspect.regions import DATA, DIRECT, HEAP, OWN, PTE_SPACE, REGIONS, REMOTE, RSP0, TEXT, USER, UTLS
from analysis.inspect.tree import canonical
from analysis.pictures import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

COLOURS = {USER: SKY, HEAP: VERMILION, DIRECT: BLACK, DATA: ORANGE, TEXT: ORANGE, PTE_SPACE: PURPLE, RSP0: VERMILION,
           REMOTE: PURPLE, UTLS: BLUE, OWN: BLUE}  # fmt: skip
MOST = 12  # ranges drawn one by one below one table; more are summed up
ROW = 0.17  # inches a range


def plot_tables(graphs: dict[str, nx.DiGraph[str]], title: str, caption: str) -> Figure:
    """Draw graphs of :func:`sim.experiments.inspect.table_graph`, one below the other, each under its own heading.

    Columns are the levels of the tables, from L4 to the ranges of pages; a line is an entry.
    """
    from analysis.figure import ShownFigure

    rows = [max(len(_order(graph)), 6) + 4 for graph in graphs.values()]
    figure = ShownFigure(figsize=(10.5, 0.9 + ROW * sum(rows)), layout="constrained")
    figure.suptitle(title, fontsize=13, fontweight="bold")
    figure.supxlabel(caption, fontsize=8, color="#444444")
    panels = figure.subplots(len(graphs), 1, squeeze=False, height_ratios=rows)[:, 0]
    for axes, (heading, graph) in zip(panels, graphs.items(), strict=True):
        _draw(axes, graph)
        axes.set_title(heading, fontsize=10, loc="left")
    return figure


def _order(graph: nx.DiGraph[str]) -> list[tuple[list[str], str]]:
    """The leaves from the top: (path of tables, what is drawn at its end), more than ``MOST`` of a table summed up."""
    found: list[tuple[list[str], str]] = []

    def visit(node: str, path: list[str]) -> None:
        below = [child for child in graph.successors(node) if child != node]
        pages = [child for child in below if graph.nodes[child]["kind"] == "pages"]
        drawn = set(pages if len(pages) <= MOST else pages[: MOST - 1])
        for child in below:
            if graph.nodes[child]["kind"] == "table":
                visit(child, [*path, node])
            elif child in drawn:
                found.append(([*path, node], child))
        left = [child for child in pages if child not in drawn]
        if left:
            total = sum(graph.nodes[child]["pages"] for child in left)
            found.append(([*path, node], f"+ {len(left)} more ranges, {total} pages"))
        elif not below:
            found.append(([*path, node], ""))

    visit(graph.graph["root"], [])
    return found


def _draw(axes: Axes, graph: nx.DiGraph[str]) -> None:
    """One graph."""
    levels = graph.nodes[graph.graph["root"]]["level"]
    order = _order(graph)
    heights: dict[str, list[int]] = {}
    for row, (path, _) in enumerate(order):
        for node in path:
            heights.setdefault(node, []).append(row)
    place = {node: (float(levels - graph.nodes[node]["level"]), (rows[0] + rows[-1]) / 2)
             for node, rows in heights.items()}  # fmt: skip
    for node, (x, y) in place.items():
        data = graph.nodes[node]
        for parent in graph.predecessors(node):
            if parent != node:
                axes.plot([place[parent][0] + 0.12, x], [place[parent][1], y], color=GREY, lw=0.7, zorder=1)
        loop = " ↻" if graph.has_edge(node, node) else ""
        axes.text(x, y, f"L{data['level']} {data['pa']:#x}{loop}", fontsize=6.5, va="center", zorder=3,
                  bbox={"boxstyle": "round,pad=0.25", "fc": "white", "ec": BLACK, "lw": 0.7})  # fmt: skip
    for row, (path, node) in enumerate(order):
        if not node:
            continue
        x, y = place[path[-1]]
        summed = node not in graph
        colour = GREY if summed else COLOURS.get(graph.nodes[node]["region"], GREEN)
        axes.plot([x + 0.12, levels], [y, row], color=colour, lw=0.8, zorder=1, ls="--" if summed else "-")
        axes.plot(levels, row, marker="s", ms=4, color=colour, zorder=3)
        axes.text(levels + 0.06, row, node if summed else _words(graph, path[-1], node), fontsize=6.2,
                  va="center")  # fmt: skip
    axes.set_xlim(-0.1, levels + 2.6)
    axes.set_ylim(len(order) - 0.3, -0.7)
    axes.set_xticks(range(levels + 1), [*(f"L{level} tables" for level in range(levels, 0, -1)), "pages"], fontsize=8)
    axes.xaxis.set_ticks_position("top")
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _words(graph: nx.DiGraph[str], table: str, node: str) -> str:
    """The label of a range of pages."""
    data, edge = graph.nodes[node], graph.edges[table, node]
    name = f": {data['name']}" if data["name"] else ""
    return f"{canonical(edge['va'])}  {data['pages']} p.  {edge['flags']}  {data['region']}{name}"


def plot_reach(frame: pd.DataFrame, caption: str) -> Figure:
    """Draw :func:`sim.experiments.inspect.df_reach`: a field a region and profile, the largest of all CPUs.

    The more pages can be reached, the darker is the field.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    table = frame.groupby(["region", "profile"], sort=False)["user_pages"].max()
    profiles = list(dict.fromkeys(frame["profile"]))
    figure, axes = new_figure(
        "What of the kernel user mode can reach", caption, (max(8.0, 2.6 + 1.25 * len(profiles)), 5.4)
    )
    norm, colours = LogNorm(1, max(10, int(table.max()))), colormaps["YlOrRd"]
    for y, region in enumerate(REGIONS):
        for x, profile in enumerate(profiles):
            outside = int(table.loc[(region, profile)])
            axes.add_patch(_field(x, y, colours(float(norm(outside))) if outside else "#DDE7EE"))
            axes.text(x, y, f"{outside:,}" if outside else "none", ha="center", va="center", fontsize=9, color=BLACK,
                      bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none"} if outside else None)  # fmt: skip
    figure.colorbar(ScalarMappable(norm, colours), ax=axes, label="pages that can leak (number, logarithmic)", pad=0.01)
    axes.set_xlim(-0.5, len(profiles) - 0.5)
    axes.set_ylim(len(REGIONS) - 0.5, -0.5)
    axes.set_xticks(range(len(profiles)), profiles)
    axes.set_yticks(range(len(REGIONS)), REGIONS)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("pages of 4 KiB present in the tables of user mode (number, most of any CPU)", fontsize=9)
    axes.set_xlabel("profile")
    axes.set_ylabel("region of the kernel")
    return figure


def _field(x: int, y: int, colour: str | tuple[float, ...]) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=colour)
