"""A cost table from measurements on this machine: a C probe, what the machine is, and fits through the model."""

from sim.experiments.calibrate.machine import Machine, look_at_machine
from sim.experiments.calibrate.probe import Samples, measure
from sim.experiments.calibrate.table import Calibration, calibrate

__all__ = ["Calibration", "Machine", "Samples", "calibrate", "look_at_machine", "measure"]
