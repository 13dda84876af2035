"""The page tables of a scenario at a moment: as graphs, text and pictures, and what user mode can reach in them."""

from analysis.inspect.graph import table_graph, tree_text
from analysis.inspect.moment import Moment, NmiTrace, send_nmi, stop_at
from analysis.inspect.picture import plot_reach, plot_tables
from analysis.inspect.regions import REGIONS, df_reach, region_of
from analysis.inspect.study import Study, inspect_scenario, nmi_lines, study_text, to_json, write_study

__all__ = [
    "REGIONS",
    "Moment",
    "NmiTrace",
    "Study",
    "df_reach",
    "inspect_scenario",
    "nmi_lines",
    "plot_reach",
    "plot_tables",
    "region_of",
    "send_nmi",
    "stop_at",
    "study_text",
    "table_graph",
    "to_json",
    "tree_text",
    "write_study",
]
