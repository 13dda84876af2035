"""Published curves against predicted ones: what ``svs-sim validate`` does, as functions."""

from sim.experiments.validation.accounting import (
    CONSTANT_COLUMNS,
    by_kind,
    constants,
    constants_once,
    kind_of,
    skill,
)
from sim.experiments.validation.curves import Curve, Fit, Point
from sim.experiments.validation.jobs import validate
from sim.experiments.validation.outcome import KIND, Outcome, to_csv, to_json, write_validation
from sim.experiments.validation.parts import PARTS, effects
from sim.experiments.validation.predict import Prediction, predict
from sim.experiments.validation.reading import list_curves, load_curve, select_curves

__all__ = [
    "CONSTANT_COLUMNS",
    "KIND",
    "PARTS",
    "Curve",
    "Fit",
    "Outcome",
    "Point",
    "Prediction",
    "by_kind",
    "constants",
    "constants_once",
    "effects",
    "kind_of",
    "list_curves",
    "load_curve",
    "predict",
    "select_curves",
    "skill",
    "to_csv",
    "to_json",
    "validate",
    "write_validation",
]
