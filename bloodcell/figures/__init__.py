"""Every Plotly figure: pure functions from tables and arrays to ``go.Figure``."""

from bloodcell.figures.adaptation import shot_curve
from bloodcell.figures.confusion import confusion, confusion_difference
from bloodcell.figures.dataset import class_counts
from bloodcell.figures.evaluation import (
    members_figure,
    metric_intervals,
    precision_recall_figure,
    reliability_diagram,
    review_figure,
    roc_figure,
)
from bloodcell.figures.prediction import differential, field_of_view, probabilities_bar
from bloodcell.figures.robustness import corruption_curves, external_accuracy
from bloodcell.figures.smear import smear_photograph
from bloodcell.figures.sweep import parallel_coordinates, sweep_history, sweep_importance
from bloodcell.figures.theme import ACCENT, CLASS_COLOURS, CONFIG, RUN_COLOURS, SHORT_TITLES, style
from bloodcell.figures.training import learning_curves, learning_rate_curve, recall_by_epoch

__all__ = [
    "ACCENT",
    "CLASS_COLOURS",
    "CONFIG",
    "RUN_COLOURS",
    "SHORT_TITLES",
    "class_counts",
    "confusion",
    "confusion_difference",
    "corruption_curves",
    "differential",
    "external_accuracy",
    "field_of_view",
    "learning_curves",
    "learning_rate_curve",
    "members_figure",
    "metric_intervals",
    "parallel_coordinates",
    "precision_recall_figure",
    "probabilities_bar",
    "recall_by_epoch",
    "reliability_diagram",
    "review_figure",
    "roc_figure",
    "shot_curve",
    "smear_photograph",
    "style",
    "sweep_history",
    "sweep_importance",
]
