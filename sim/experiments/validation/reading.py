"""Published curves as TOML; ``docs/validation.rst`` describes the keys."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import NamedTuple

from scenarios.catalogue import list_scenarios
from sim.errors import InputError, closest
from sim.experiments.validation.curves import COSTS, ITERATIONS, OFFSET, Conditions, Curve, Fit, Point
from sim.experiments.validation.quantities import QUANTITIES
from sim.experiments.validation.scope import Scope
from sim.inputs.shown import name_of, shown
from sim.inputs.table import Table, is_number
from sim.inputs.toml import read_toml
from sim.timed.cost_options import beside
from sim.timed.costs import DEFAULT, NAMES, is_shipped, load_costs
from sim.timed.paired import check_profile


def list_curves() -> dict[str, Path]:
    """Return the shipped curves by name."""
    root = Path(str(resources.files("scenarios"))) / "validation"
    return {path.stem: path for path in sorted(root.glob("*.toml"))}


def select_curves(names: list[str]) -> list[Curve]:
    """Return the shipped curves, or only those named; a name may be the path of a TOML file.  Raises InputError."""
    shipped = list_curves()
    paths = []
    for name in names or list(shipped):
        if name in shipped and not Path(name).is_file():
            paths.append(shipped[name])
        elif Path(name).is_file():
            paths.append(Path(name))
        else:
            raise InputError(f"there is no file '{name}' and no shipped curve of that name{closest(name, shipped)}")
    curves = [load_curve(path) for path in dict.fromkeys(paths)]
    taken = [curve.name for curve in curves]
    for name in taken:
        if taken.count(name) > 1:
            raise InputError(f"two curves are named '{name}'; a curve is named after its file")
    return curves


def load_curve(path: Path) -> Curve:
    """Read and validate one curve.  Raises InputError."""
    top = read_toml(path)
    run = top.table("run")
    shared = _conditions(run, None)
    scope = _scope(run)
    run.finish()
    reference = top.signed("reference", 0.0)
    figure = top.label("figure", "")
    quantity = top.text("quantity", choices=tuple(QUANTITIES))
    defaults = Defaults(shared, reference, figure, quantity, scope)
    points = tuple(_point(table, defaults) for table in top.tables("point"))
    if not points:
        raise InputError(f"{path}: no [[point]]; a curve needs at least one")
    places = {point.x: place for place, point in enumerate(points)}
    if len(places) != len(points):
        raise InputError(f"{path}: point: two points have the same x")
    curve = Curve(
        name=name_of(path), title=top.prose("title"), figure=figure, source=top.prose("source"),
        sure=top.prose("sure", ""), x_label=top.label("x"), quantity=quantity,
        logarithmic=top.flag("logarithmic", False), scenario=_scenario(top, path), scope=scope,
        vary=_vary(top), fits=tuple(fit for table in top.tables("fit") for fit in _fits(table, places, points)),
        points=points,
        explained=" ".join(top.prose("explained", "").split()), path=path,
    )  # fmt: skip
    top.finish()
    _check_numbers(curve, top)
    _check_keys(curve, top)
    _check_baselines(curve, top)
    return curve


class Defaults(NamedTuple):
    """What a point has that does not say otherwise."""

    conditions: Conditions
    reference: float
    figure: str
    quantity: str
    scope: Scope


def _scope(run: Table) -> Scope:
    """Whose time counts."""
    scope = Scope(run.whole("cpu", least=0) if run.has("cpu") else None, run.label("group", ""), run.label("call", ""))
    for key in ("group", "call"):
        if run.has(key) and scope.cpu is not None:
            raise run.fail(key, "only one of 'cpu' and this can say whose time counts")
    return scope


def _quantity(table: Table, defaults: Defaults) -> str:
    """A point's quantity: one that the scope can have, in the unit of the curve's."""
    name = table.text("quantity", defaults.quantity, choices=tuple(QUANTITIES))
    unit, shared = QUANTITIES[name].unit, QUANTITIES[defaults.quantity].unit
    if unit != shared:
        raise table.fail("quantity", f"'{name}' is in {unit}, the curve in {shared}")
    if (defaults.scope.group or defaults.scope.call) and not QUANTITIES[name].parts:
        raise table.fail("quantity", f"'{name}' is of the whole run, not of a group or a call")
    return name


def _scenario(top: Table, path: Path) -> Path:
    """The workload's file, from the curve's own folder, or a shipped scenario."""
    name = top.text("scenario")
    own = path.parent / name
    if own.is_file():
        return own
    shipped = {entry.name: entry.path for entry in list_scenarios()}
    if name in shipped:
        return shipped[name]
    raise top.fail("scenario", f"there is no file '{own}' and no shipped scenario '{name}'{closest(name, shipped)}")


def _conditions(table: Table, shared: Conditions | None) -> Conditions:
    """Designs and machine of ``[run]``, or of a point that departs from it."""
    costs = _costs(table) if table.has("costs") else shared.costs if shared else DEFAULT
    own = table.table("set", {}).values
    both = {**(shared.overrides if shared else {}), **own}
    iterations = table.whole("iterations") if table.has("iterations") else shared.iterations if shared else None
    if ITERATIONS in both and iterations is not None:
        raise table.fail("set", f"'{ITERATIONS}' is set by 'iterations', by which quantities are divided as well")
    return Conditions(
        profile=check_profile(table.text("profile", shared.profile) if shared else table.text("profile")),
        baseline=check_profile(table.text("baseline", shared.baseline if shared else "none")),
        pcid=table.flag("pcid") if table.has("pcid") else shared.pcid if shared else None,
        costs=costs,
        iterations=iterations,
        overrides=both,
    )


def _costs(table: Table) -> str:
    """A shipped cost table's name, or the path of one; a file beside the curve comes first.  Raises InputError."""
    name = table.text("costs")
    costs = name if is_shipped(name) else beside(Path(table.place).parent, name)
    load_costs(costs)
    return costs


def _point(table: Table, defaults: Defaults) -> Point:
    """One ``[[point]]``."""
    x = table.get("x")
    if not (isinstance(x, str) or is_number(x)):
        raise table.fail("x", f"{shown(x)} must be a number or a name in quotes")
    point = Point(
        x=x, published=table.signed("published"), quantity=_quantity(table, defaults),
        conditions=_conditions(table, defaults.conditions),
        figure=table.label("figure", defaults.figure), calibrated=table.flag("calibrated", False),
        reference=table.signed("reference", defaults.reference),
        baseline_ns=table.number("baseline_ns") if table.has("baseline_ns") else None, why=table.prose("why", ""),
    )  # fmt: skip
    table.finish()
    if point.published == point.reference:
        raise table.fail("published", f"{point.published} equals the reference, so no relative error exists")
    return point


def _fits(table: Table, places: dict[float | int | str, int], points: tuple[Point, ...]) -> list[Fit]:
    """One ``[[fit]]``; with ``each = true`` a fit for each point that has a ``baseline_ns`` of its own."""
    if not table.flag("each", False):
        return [_fit(table, places)]
    key, why = table.text("key"), table.prose("why")
    _check_fit_key(table, key)
    if key == OFFSET:
        raise table.fail("key", "an offset is taken from a point's published value, not from baselines")
    given = [place for place in sorted(_places(table, places)) if points[place].baseline_ns is not None]
    table.finish()
    if not given:
        raise table.fail("each", "no point has a baseline_ns")
    return [Fit(key, False, place, points[place].baseline_ns, frozenset([place]), why) for place in given]


def _fit(table: Table, places: dict[float | int | str, int]) -> Fit:
    """A ``[[fit]]`` taken from one point."""
    at = table.get("at")
    if isinstance(at, list | dict) or at not in places:
        raise table.fail("at", f"{shown(at)} is the x of no point; points are at {', '.join(map(str, places))}")
    fit = Fit(
        key=table.text("key"), per_x=table.flag("per_x", False), at=places[at],
        baseline_ns=table.number("baseline_ns") if table.has("baseline_ns") else None,
        points=_places(table, places), why=table.prose("why"),
    )  # fmt: skip
    table.finish()
    if fit.at not in fit.points:
        raise table.fail("points", f"the list must hold {shown(at)}, the point that gives the value")
    if fit.key == OFFSET and (fit.per_x or fit.baseline_ns is not None):
        raise table.fail("key", "an offset is one constant, taken from a point's published value")
    _check_fit_key(table, fit.key)
    return fit


def _check_fit_key(table: Table, key: str) -> None:
    """A cost must be one that tables have; keys of the scenario are checked when it is read."""
    cost = key.removeprefix(COSTS)
    if key.startswith(COSTS) and cost not in NAMES:
        raise table.fail("key", f"cost tables have no '{cost}'{closest(cost, NAMES)}")


def _places(table: Table, places: dict[float | int | str, int]) -> frozenset[int]:
    """To which points a fit applies: those listed, or all."""
    listed = table.entries("points", list(places), "the x of points")
    for x in listed:
        if isinstance(x, list | dict) or x not in places:
            raise table.fail("points", f"{shown(x)} is the x of no point; points are at {', '.join(map(str, places))}")
    return frozenset(places[x] for x in listed)


def _vary(top: Table) -> dict[str, str]:
    """``[vary]``: scenario keys that follow x."""
    table = top.table("vary", {})
    return {key: table.text(key) for key in table.values}


def _check_numbers(curve: Curve, top: Table) -> None:
    """What multiplies by x needs numbers."""
    if not (curve.logarithmic or any(fit.per_x for fit in curve.fits)):
        return
    for point in curve.points:
        if isinstance(point.x, str) or point.x <= 0:
            raise top.fail("point", f"x = {shown(point.x)} must be a positive number in this curve")


def _check_keys(curve: Curve, top: Table) -> None:
    """What a fit gives to a point, nothing else may set there."""
    for fit in curve.fits:
        for place in sorted(fit.points):
            point = curve.points[place]
            if fit.key in point.conditions.overrides or fit.key in curve.vary:
                raise top.fail("fit", f"'{fit.key}' is set at x = {shown(point.x)} already; list the fit's 'points'")


def _check_baselines(curve: Curve, top: Table) -> None:
    """A published baseline that nothing follows would be silently ignored."""
    used = {fit.at for fit in curve.fits if fit.baseline_ns is not None}
    for place, point in enumerate(curve.points):
        if point.baseline_ns is not None and place not in used:
            raise top.fail("point", f"x = {shown(point.x)} has a baseline_ns, and no [[fit]] with each = true takes it")
