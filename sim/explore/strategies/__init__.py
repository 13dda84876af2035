"""Strategies, one a file, behind the three methods of :class:`sim.explore.explorer.Strategy`."""
