"""Metrics: numbers that say how good predictions are, without a gradient (chapter 8).

Each takes what a model returns and the targets, ``metric(outputs, targets)``, and sees a whole
split at once, so that it can be used in ``fit(metrics=...)``. All but ``accuracy`` are computed in
double precision.
"""

from l2g.metrics.counts import (
    Measure,
    accuracy,
    confusion_matrix,
    f1,
    most_confused,
    precision,
    recall,
)
from l2g.metrics.curves import (
    PrecisionRecallCurve,
    RocCurve,
    auc,
    average_precision,
    precision_recall_curve,
    roc_curve,
)
from l2g.metrics.errors import brier, ece, mae, mse, r2
from l2g.metrics.rankings import mean_average_precision, mrr, ndcg

__all__ = [
    "Measure",
    "PrecisionRecallCurve",
    "RocCurve",
    "accuracy",
    "auc",
    "average_precision",
    "brier",
    "confusion_matrix",
    "ece",
    "f1",
    "mae",
    "mean_average_precision",
    "most_confused",
    "mrr",
    "mse",
    "ndcg",
    "precision",
    "precision_recall_curve",
    "r2",
    "recall",
    "roc_curve",
]
