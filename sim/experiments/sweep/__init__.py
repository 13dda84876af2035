"""Sweeps: a grid of paired runs, cached point by point, run here or on a cluster."""

from sim.experiments.sweep.execute import Failure, SweepOutcome, run_sweep
from sim.experiments.sweep.grid import Point, Sweep, load_sweep

__all__ = ["Failure", "Point", "Sweep", "SweepOutcome", "load_sweep", "run_sweep"]
