"""Ensembles of trained models: what many share, each trained on its own draw, and how they join.

``Bagging``, ``AdaBoost`` and ``GradientBoosting`` (chapter 4) combine learners of any kind. A
learner is what scikit-learn calls an estimator: it has ``fit(X, y)`` and ``predict(X)``, and for
``AdaBoost`` without resampling ``fit(X, y, sample_weight=w)``. Each ensemble is given a function
that makes one from a seed, such as ``lambda seed: DecisionTreeClassifier(random_state=seed)``;
learners that draw nothing leave the seed alone.

In ``tests/test_ensembles.py`` all three meet scikit-learn's, stage by stage.
"""

from l2g.ensembles.bagging import Bagging, majority
from l2g.ensembles.boosting import AdaBoost, GradientBoosting, half_squared_error
from l2g.ensembles.decomposition import BiasVariance, bias_variance
from l2g.ensembles.learners import Learner, Stump

__all__ = [
    "AdaBoost",
    "Bagging",
    "BiasVariance",
    "GradientBoosting",
    "Learner",
    "Stump",
    "bias_variance",
    "half_squared_error",
    "majority",
]
