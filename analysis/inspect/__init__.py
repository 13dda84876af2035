"""What an inspection of page tables found: texts, pictures, files.  ``sim.experiments.inspect`` makes it."""

from analysis.inspect.picture import plot_reach, plot_tables
from analysis.inspect.regions import REGIONS
from analysis.inspect.study import KIND, NmiTrace, Study, nmi_lines, study_text, to_json, write_study
from analysis.inspect.tree import tree_text

__all__ = [
    "KIND",
    "REGIONS",
    "NmiTrace",
    "Study",
    "nmi_lines",
    "plot_reach",
    "plot_tables",
    "study_text",
    "to_json",
    "tree_text",
    "write_study",
]
