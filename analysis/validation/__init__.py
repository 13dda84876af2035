"""Published curves against predicted ones: what ``svs-sim validate`` does, as functions."""

from analysis.validation.chart import df_validation, plot_validation
from analysis.validation.curves import Curve, Fit, Point, list_curves, load_curve, select_curves
from analysis.validation.outcome import MARKER, OWNED, Outcome, number_text, to_csv, to_json, validate, write_validation
from analysis.validation.predict import Prediction, predict

__all__ = [
    "MARKER",
    "OWNED",
    "Curve",
    "Fit",
    "Outcome",
    "Point",
    "Prediction",
    "df_validation",
    "list_curves",
    "load_curve",
    "number_text",
    "plot_validation",
    "predict",
    "select_curves",
    "to_csv",
    "to_json",
    "validate",
    "write_validation",
]
