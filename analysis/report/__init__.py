"""A result folder as one HTML page that needs nothing else: pictures, styles and numbers are inside."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.charts import open_result
from analysis.files import write_whole
from analysis.overview import joined
from analysis.report import of_check, of_run, of_sweep
from analysis.report.blocks import Report, Section
from analysis.report.validation import load_validation, validation_section
from analysis.results import read_summary
from sim.errors import InputError

if TYPE_CHECKING:
    from analysis.charts import OpenedResult

__all__ = ["Report", "Section", "make_report", "report_html", "write_report"]

NAME = "report.html"
MAKERS = {"run": of_run.sections, "sweep": of_sweep.sections, "check": of_check.sections}
LAST = ("repeat", "assumptions")


def make_report(folder: Path | str, *, validation: Path | None = None) -> Report:
    """Gather the report of a folder of ``run``, ``sweep`` or ``check``.

    *validation* is a folder of ``svs-sim validate --out``; see :func:`analysis.report.validation.load_validation` for
    what is taken without it.  Raises InputError.
    """
    opened = open_result(folder)
    found = load_validation(opened.path, validation)
    try:
        sections = MAKERS[opened.kind](opened)
    except KeyError as error:
        raise InputError(f"'{opened.path / 'summary.json'}' has no key {error}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"'{opened.path / 'summary.json'}' is damaged: {error}") from error
    place = next(number for number, section in enumerate(sections) if section.name in LAST)
    sections.insert(place, validation_section(found, tables=validation is not None))
    return Report(_title(opened), opened.kind, sections)


def _title(opened: OpenedResult) -> str:
    summary = opened.summary
    if opened.kind == "run":
        return f"{summary['profile']} against {summary['baseline']}: {summary['scenario']}"
    return f"sweep {summary['sweep']}" if opened.kind == "sweep" else "check of the synchronisation"


def report_html(report: Report) -> str:
    """Set a report."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("analysis.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=lambda value: joined(value) if isinstance(value, str) else value,
    )  # fmt: skip
    style = (resources.files("analysis.report") / "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(report=report, style=style)


def write_report(folder: Path | str, *, out: Path | None = None, validation: Path | None = None) -> Path:
    """Write the report of *folder* to *out* (default: ``report.html`` in it), whole or not at all; return its path."""
    read_summary(Path(folder))  # says best what is wrong with a folder
    path = Path(folder) / NAME if out is None else out
    if path.is_dir():
        path = path / NAME
    if not path.parent.is_dir():
        raise InputError(f"there is no folder '{path.parent}' to write '{path.name}' into")
    if path.exists() and not path.is_file():
        raise InputError(f"'{path}' is no regular file; it would be replaced")
    text = report_html(make_report(folder, validation=validation))
    write_whole(path, text.encode("utf-8", "backslashreplace"))
    return path
