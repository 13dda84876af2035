"""Passages: straight runs of steps that the fast engine records once and carries out as one when nothing differs."""
