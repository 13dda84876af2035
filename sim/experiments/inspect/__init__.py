"""The page tables of a scenario at a moment: as graphs, and what user mode can reach in them."""

from sim.experiments.inspect.graph import table_graph
from sim.experiments.inspect.moment import Moment, stop_at
from sim.experiments.inspect.nmi import send_nmi
from sim.experiments.inspect.reach import df_reach
from sim.experiments.inspect.regions import region_of
from sim.experiments.inspect.study import inspect_scenario

__all__ = ["Moment", "df_reach", "inspect_scenario", "region_of", "send_nmi", "stop_at", "table_graph"]
