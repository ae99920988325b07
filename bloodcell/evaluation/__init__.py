"""Measure a classifier: metrics with intervals, comparison, calibration."""

from bloodcell.evaluation.calibration import (
    apply_temperature,
    fit_conformal,
    fit_temperature,
    prediction_sets,
)
from bloodcell.evaluation.intervals import PairedDifference, paired_difference, wilson
from bloodcell.evaluation.metrics import Judgement, confusion_matrix, judge, reliability

__all__ = [
    "Judgement",
    "PairedDifference",
    "apply_temperature",
    "confusion_matrix",
    "fit_conformal",
    "fit_temperature",
    "judge",
    "paired_difference",
    "prediction_sets",
    "reliability",
    "wilson",
]
