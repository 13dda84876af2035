"""Sphinx configuration, and directives that print what the code itself knows."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ |= {"COLUMNS": "79", "NO_COLOR": "1"}

from scenarios.assumptions import RULES  # noqa: E402
from sim.cli import _parser  # noqa: E402
from sim.explore.invariants import INVARIANTS  # noqa: E402
from sim.kernel.designs import PROFILES  # noqa: E402
from sim.timed.schema import FRAMES  # noqa: E402

project = "svs-sim"
author = copyright = "The svs-sim developers"
extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build", "examples"]
html_theme = "alabaster"
html_theme_options = {"page_width": "1040px", "description": "What NetBSD's SVS costs, and whether it holds"}
html_static_path = ["_static/custom.css"]
html_css_files = ["custom.css"]
man_pages = [("commands", "svs-sim", "what NetBSD's Separate Virtual Space costs, and whether it holds", author, 1)]
autodoc_member_order = "bysource"
nitpicky = False


class CommandHelp(Directive):
    """``.. command-help::`` prints the ``--help`` of every command, in the order of ``svs-sim --help``."""

    def run(self) -> list[nodes.Node]:
        """Build a section for each command."""
        top, parsers = _parser.build(_parser.commands())
        sections: list[nodes.Node] = []
        for name, parser in [("svs-sim", top), *parsers.items()]:
            title = name if parser is top else f"svs-sim {name}"
            section = nodes.section(ids=[nodes.make_id(title)], names=[title])
            section += nodes.title(text=title)
            section += nodes.literal_block(text=parser.format_help(), language="none")
            sections.append(section)
        return sections


class FrameColumns(Directive):
    """``.. frame-columns:: NAME`` prints what a row of a frame is, and its columns."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Build a sentence and a table."""
        schema = FRAMES[self.arguments[0]]
        rows = [(column.name, column.type, column.unit or "-", column.meaning) for column in schema.columns]
        table = _table((22, 8, 8, 62), ("column", "type", "unit", "meaning"), rows)
        return [nodes.paragraph(text=f"A row is {schema.row}."), table]


class RecordingRules(Directive):
    """``.. recording-rules::`` prints the rules that stand in for what a recording cannot tell."""

    def run(self) -> list[nodes.Node]:
        """Build a table."""
        return [_table((36, 64), ("counted as", "rule"), list(RULES.items()))]


class CostTable(Directive):
    """``.. cost-table:: NAME`` prints a shipped cost table."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Build a title and a table."""
        name = self.arguments[0]
        text = (Path(__file__).parent.parent / "sim" / "timed" / "costs_data" / f"{name}.toml").read_text("utf-8")
        data = tomllib.loads(text)
        rows = [
            (key, f"{figure['value']:,} {figure['unit']}", figure["source"], figure["sure"], figure.get("note", ""))
            for key, figure in data["costs"].items()
        ]
        for key, figure in data["tlb"].items():
            what = ", ".join(f"{n} {v}" for n, v in figure.items() if n not in ("source", "sure", "note"))
            rows.append((f"tlb.{key}", what, figure["source"], figure["sure"], figure.get("note", "")))
        title = nodes.paragraph(text=f"{name}, {data['frequency_hz'] / 1e9:g} GHz:")
        return [title, _table((20, 22, 9, 11, 38), ("figure", "value", "source", "sure", "note"), rows)]


class Invariants(Directive):
    """``.. invariants::`` prints the named invariants."""

    def run(self) -> list[nodes.Node]:
        """Build a table."""
        return [_table((18, 38, 34, 10), ("name", "says", "because", "sections"), list(INVARIANTS))]


class Profiles(Directive):
    """``.. profiles::`` prints the registry of designs."""

    def run(self) -> list[nodes.Node]:
        """Build a table."""
        return [_table((21, 79), ("profile", "design"), [(one.name, one.says) for one in PROFILES.values()])]


def _table(widths: tuple[int, ...], head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> nodes.table:
    """A table with a head."""
    table = nodes.table(classes=["frame"])
    group = nodes.tgroup(cols=len(widths))
    table += group
    for width in widths:
        group += nodes.colspec(colwidth=width)
    top, body = nodes.thead(), nodes.tbody()
    top += _row(*head)
    for row in rows:
        body += _row(*row)
    group += [top, body]
    return table


def _row(*cells: str) -> nodes.row:
    """A row of a table."""
    row = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        entry += nodes.paragraph(text=cell)
        row += entry
    return row


def setup(app: Any) -> None:
    """Register the directives."""
    app.add_directive("command-help", CommandHelp)
    app.add_directive("frame-columns", FrameColumns)
    app.add_directive("cost-table", CostTable)
    app.add_directive("invariants", Invariants)
    app.add_directive("profiles", Profiles)
    app.add_directive("recording-rules", RecordingRules)
