"""What the commands run: one paired run, sweeps, predictions of published curves, inspections of a moment."""
