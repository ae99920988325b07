"""Every Plotly figure: pure functions from tables and arrays to ``go.Figure``."""

from bloodcell.figures.confusion import confusion
from bloodcell.figures.counts import class_counts
from bloodcell.figures.evaluation import metric_intervals, reliability_diagram
from bloodcell.figures.prediction import probabilities_bar
from bloodcell.figures.theme import ACCENT, CLASS_COLOURS, CONFIG, RUN_COLOURS, SHORT_TITLES, style
from bloodcell.figures.training import learning_curves, learning_rate_curve

__all__ = [
    "ACCENT",
    "CLASS_COLOURS",
    "CONFIG",
    "RUN_COLOURS",
    "SHORT_TITLES",
    "class_counts",
    "confusion",
    "learning_curves",
    "learning_rate_curve",
    "metric_intervals",
    "probabilities_bar",
    "reliability_diagram",
    "style",
]
