"""Page tables as networkx graphs: tables, the ranges of pages that they map, and the entries between."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import networkx as nx

from sim.experiments.inspect.regions import region_of
from sim.hardware.paging import FRAME, NX, PAGE_SHIFT, PS, A, D, G, P, U, W

if TYPE_CHECKING:
    from sim.experiments.inspect.moment import Moment

FLAGS = ((W, "W"), (U, "U"), (A, "A"), (D, "D"), (PS, "PS"), (G, "G"), (NX, "NX"))


class Leaf(NamedTuple):
    """An entry that maps a page: VA and size in bytes, the entry."""

    va: int
    size: int
    entry: int


def flags_text(entry: int) -> str:
    """Name the bits of a present entry: ``W U A D PS G NX``."""
    return " ".join(name for bit, name in FLAGS if entry & bit) or "read-only"


def leaves(moment: Moment, root: int) -> Iterator[Leaf]:
    """Every page that the tables under *root* map, by VA; the recursive slot is left out."""
    yield from _leaves(moment, root, moment.kernel.geometry.levels, 0)


def _leaves(moment: Moment, table: int, level: int, base: int) -> Iterator[Leaf]:
    """Those under one table; *level* 4 is the top."""
    span = _span(moment, level)
    for index, entry in _present(moment, table, level):
        va = base + index * span
        if level == 1 or entry & PS:
            yield Leaf(va, span, entry)
        else:
            yield from _leaves(moment, entry & FRAME, level - 1, va)


def _present(moment: Moment, table: int, level: int) -> Iterator[tuple[int, int]]:
    """Present entries of a table, without the recursive one of an L4 page."""
    geometry = moment.kernel.geometry
    for index, entry in enumerate(moment.mem.table(table).v):
        if entry & P and not (level == geometry.levels and index == geometry.pte_slot):
            yield index, entry


def _span(moment: Moment, level: int) -> int:
    """Bytes that an entry of a level-*level* table covers."""
    return 1 << PAGE_SHIFT + moment.kernel.geometry.bits * (level - 1)


def tables_below(moment: Moment, root: int) -> set[int]:
    """Physical addresses of all tables that a walk from *root* can visit, *root* included."""
    found, todo = {root}, [(root, moment.kernel.geometry.levels)]
    while todo:
        table, level = todo.pop()
        if level == 1:
            continue
        for _, entry in _present(moment, table, level):
            if not entry & PS and entry & FRAME not in found:
                found.add(entry & FRAME)
                todo.append((entry & FRAME, level - 1))
    return found


def leaf_of(moment: Moment, root: int, va: int) -> tuple[int, int, int]:
    """Walk to *va* without touching anything: (level, entry, physical address of the page); entry 0 if not mapped."""
    geometry = moment.kernel.geometry
    table = root
    for level in range(geometry.levels, 0, -1):
        entry: int = moment.mem.table(table).v[geometry.index(va, level)] if table else 0
        if not entry & P:
            return level, 0, 0
        if level == 1 or entry & PS:
            return level, entry, (entry & FRAME) + (va & _span(moment, level) - 1 & ~0xFFF)
        table = entry & FRAME
    raise AssertionError("a walk ends at level 1")


def table_graph(moment: Moment, cpu: int, root: int) -> nx.DiGraph[str]:
    """Return the tables under *root*, as CPU *cpu* uses them, as a graph.

    Nodes are tables (``kind`` "table", ``level``, ``pa``, ``name``) and ranges of neighbouring pages with the same
    rights (``kind`` "pages", ``level`` of their table less one, ``pa`` of the first, ``name``, ``pages`` of 4 KiB,
    ``region``).  Edges have ``first`` and ``last`` index in the table, ``va`` of the first entry, ``flags``, and
    ``recursive`` for the L4 entry that leads back to its own page.  All addresses are numbers.  ``graph["root"]`` is
    the node of *root*.
    """
    graph: nx.DiGraph[str] = nx.DiGraph(root=_node(root), cpu=cpu)
    _add_table(graph, moment, root, moment.kernel.geometry.levels)
    _fill(graph, moment, cpu, root, moment.kernel.geometry.levels, 0)
    return graph


def _node(table: int) -> str:
    return f"table {table:#x}"


def _add_table(graph: nx.DiGraph[str], moment: Moment, table: int, level: int) -> None:
    graph.add_node(_node(table), kind="table", level=level, pa=table, name=moment.mem.name(table))


def _fill(graph: nx.DiGraph[str], moment: Moment, cpu: int, table: int, level: int, base: int) -> None:
    """Add what one table leads to, entry by entry, pages run by run."""
    geometry, span = moment.kernel.geometry, _span(moment, level)
    layout = moment.kernel.layout
    own = moment.mem.table(table).v[geometry.pte_slot] if level == geometry.levels else 0
    if own & P:
        graph.add_edge(_node(table), _node(table), first=geometry.pte_slot, last=geometry.pte_slot,
                       va=base + geometry.pte_slot * span, flags=flags_text(own), recursive=True)  # fmt: skip

    def kind(item: tuple[int, tuple[int, int]]) -> tuple[object, ...]:
        """Entries of one run: neighbours, pages alike in rights and region; each table alone."""
        place, (index, entry) = item
        if level > 1 and not entry & PS:
            return (index,)
        # A and D differ from page to page and say nothing of rights.
        rights = entry & (W | U | PS | G | NX)
        return (index - place, rights, region_of(layout, cpu, base + index * span), _owner(moment, entry, level))

    for _, run in groupby(enumerate(_present(moment, table, level)), key=kind):
        entries = [entry for _, entry in run]
        (first, entry), (last, _) = entries[0], entries[-1]
        va = base + first * span
        edge = {"first": first, "last": last, "va": va, "recursive": False}
        if level > 1 and not entry & PS:
            child = entry & FRAME
            _add_table(graph, moment, child, level - 1)
            graph.add_edge(_node(table), _node(child), flags=flags_text(entry), **edge)
            _fill(graph, moment, cpu, child, level - 1, va)
            continue
        # The bits that all pages of the run have.
        common = entry
        for _, other in entries:
            common &= other
        node = f"pages {va:#x} in {table:#x}"
        graph.add_node(node, kind="pages", level=level - 1, pa=entry & FRAME, name=_owner(moment, entry, level),
                       pages=len(entries) * span >> PAGE_SHIFT, region=region_of(layout, cpu, va))  # fmt: skip
        graph.add_edge(_node(table), node, flags=flags_text(common), **edge)


def _owner(moment: Moment, entry: int, level: int) -> str:
    """What a page was allocated as; nothing for large pages and parts of them, which have no owner of their own.

    A small page that only the kernel may execute is such a part: the entry code, mapped apart for user mode.
    """
    name = moment.mem.name(entry & FRAME)
    return "" if level > 1 or name in ("free", "large") or not entry & (U | NX) else name
