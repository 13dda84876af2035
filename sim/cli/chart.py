"""``svs-sim chart``: draw pictures of a result folder."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli._output import console, print_json
from sim.cli._parser import add_command
from sim.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.charts import Chart
    from sim.cli._parser import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(
        subparsers, "chart", run, help="draw charts of a result",
        description="Draws charts, PNG and SVG, from the folder of a run, a sweep or a check: all that its data allow, "
        "or those asked for.",
    )  # fmt: skip
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?", help="folder of a result")
    parser.add_argument("--kind", action="append", metavar="K", help="kind of chart (may be given again); see --list")
    parser.add_argument("--x", metavar="KEY", help="draw the overhead against this parameter of the sweep")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: DIR/charts)")
    parser.add_argument("--list", action="store_true", help="list the kinds; with DIR, those that its data allow")


def run(args: argparse.Namespace) -> int:
    """Carry out the command."""
    from analysis.charts import CHARTS, available, draw, open_result

    opened = None if args.folder is None else open_result(args.folder)
    if args.list:
        return _list(args, CHARTS if opened is None else available(opened))
    if opened is None:
        raise InputError("chart needs DIR, the folder of a result; see 'svs-sim chart --help'")
    figures: dict[str, Figure] = {}
    if args.x:
        from analysis.charts.overhead import df_overhead, plot_overhead

        points = opened.frame("points")
        x = args.x if args.x in points.columns else f"set.{args.x}"
        figures[f"overhead-{args.x}"] = plot_overhead(df_overhead(points, x), x, opened.caption)
    kinds = args.kind or ([] if args.x else [chart.name for chart in available(opened)])
    for kind in kinds:
        figures[kind] = draw(opened, kind)
    written = _write(figures, args.out or args.folder / "charts")
    if args.json:
        print_json({"charts": [str(path) for path in written]})
    elif not args.quiet:
        for path in written:
            print(path)
    return 0


def _write(figures: dict[str, Figure], out: Path) -> list[Path]:
    """Write all pictures once all are drawn; either all of them are there in the end, or none is new."""
    from analysis.files import partial_folder
    from analysis.pictures import FORMATS, figure_bytes

    pictures = {f"{name}.{form}": figure_bytes(figure, form) for name, figure in figures.items() for form in FORMATS}
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with partial_folder(out, "charts") as stage:
            for name, data in pictures.items():
                (stage / name).write_bytes(data)
            for name in pictures:
                (stage / name).replace(out / name)
    except OSError as error:
        if made:
            shutil.rmtree(out, ignore_errors=True)
        raise InputError(f"cannot write to '{out}': {error.strerror}") from None
    return [out / name for name in pictures]


def _list(args: argparse.Namespace, charts: Sequence[Chart]) -> int:
    """Print the kinds."""
    rows = [(c.name, c.says, sorted(c.needs)) for c in charts]
    if args.json:
        print_json({"charts": [{"kind": n, "says": s, "from": f} for n, s, f in rows]})
        return 0
    out = console()
    for name, says, folders in rows:
        out.print(f"{name:20} {says} (from {', '.join(folders)})", soft_wrap=True)
    return 0
