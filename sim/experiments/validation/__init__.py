"""Published curves against predicted ones: what ``svs-sim validate`` does, as functions."""

from sim.experiments.validation.curves import Curve, Fit, Point, list_curves, load_curve, select_curves
from sim.experiments.validation.outcome import MARKER, OWNED, Outcome, to_csv, to_json, validate, write_validation
from sim.experiments.validation.predict import Prediction, predict

__all__ = [
    "MARKER",
    "OWNED",
    "Curve",
    "Fit",
    "Outcome",
    "Point",
    "Prediction",
    "list_curves",
    "load_curve",
    "predict",
    "select_curves",
    "to_csv",
    "to_json",
    "validate",
    "write_validation",
]
