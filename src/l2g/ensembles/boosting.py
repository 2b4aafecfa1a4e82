"""Boosting: learners that are trained one after another, each on what the sum so far gets wrong."""

import math

import torch
from numpy.typing import ArrayLike
from torch import Generator, Tensor

from l2g.ensembles.learners import (
    Learner,
    MakeLearner,
    inputs,
    is_signs,
    predictions,
    rows,
    seeds,
    trained,
)
from l2g.metrics import Measure
from l2g.numbers import above_zero, whole_number


class AdaBoost:
    """A weighted sum of weak learners for targets −1 and +1 (Freund and Schapire 1997).

    In each round, with weights w of sum 1: a learner h is trained; ε is the sum of w where h is
    wrong; α = ½ ln((1−ε)/ε); w is multiplied by exp(−α y h), and divided by its sum. The ensemble
    is the sign of F = Σ α h.

    A learner that is no better than a coin, ε ≥ ½, ends the training: the next would be the same.
    With ``resample`` it is only dropped. A learner without a mistake would get α = ∞; it ends the
    training as well and decides alone, with α = 1.

    After ``fit``, with T learners kept: ``learners``, ``alphas`` (T,), ``errors`` ε (T,) and
    ``weights`` (T + 1, n), those that each learner was trained with and those after the last.

    Args:
        make_learner: seed → a new learner for targets −1 and +1.
        rounds: number of rounds.
        resample: train on n rows drawn with probabilities w, in place of weights. It serves
            learners that take no weights, and makes α and ε depend on luck.
        generator: draws seeds and rows; ``None`` draws from the global state.

    Raises:
        TypeError, ValueError: ``rounds`` is no whole number of at least 1.
    """

    learners: list[Learner]
    alphas: Tensor
    errors: Tensor
    weights: Tensor

    def __init__(
        self,
        make_learner: MakeLearner,
        rounds: int = 100,
        *,
        resample: bool = False,
        generator: Generator | None = None,
    ) -> None:
        self.make_learner = make_learner
        self.rounds = whole_number("rounds", rounds, least=1)
        self.resample = resample
        self.generator = generator

    def fit(self, X: ArrayLike, y: ArrayLike) -> "AdaBoost":
        """Train on inputs (n, d) and targets −1 or +1, (n,).

        Raises:
            ValueError: shapes that do not match, NaN, other targets, or a first learner that is no
                better than a coin.
        """
        x, y = rows(X, y)
        if not is_signs(y):
            raise ValueError("y must hold −1 and +1 only")
        self.learners = []
        alphas, errors, w = [], [], torch.full((len(y),), 1 / len(y), dtype=torch.float64)
        weights = [w]
        for seed in seeds(self.generator, self.rounds):
            h = self._weak(seed, x, y, w)
            answers = predictions(h, x)
            error = float(w[answers != y].sum())
            if (answers == y).all():
                self.learners, alphas, errors = [h], [1.0], [0.0]
                weights = [w, w]
                break
            if error >= 0.5 - 1e-12:
                if self.resample:
                    continue
                break
            alpha = 0.5 * math.log((1 - error) / error)
            w = w * torch.exp(-alpha * y.double() * answers)
            w = w / w.sum()
            self.learners.append(h)
            alphas, errors, weights = [*alphas, alpha], [*errors, error], [*weights, w]
        if not self.learners:
            raise ValueError("the learner is no better than a coin on these data: nothing to boost")
        self.alphas, self.errors = torch.tensor([alphas, errors], dtype=torch.float64)
        self.weights = torch.stack(weights)
        return self

    def _weak(self, seed: int, x: Tensor, y: Tensor, w: Tensor) -> Learner:
        learner = self.make_learner(seed)
        if not self.resample:
            return trained(learner, x, y, sample_weight=w)
        drawn = torch.multinomial(w, len(w), replacement=True, generator=self.generator)
        return trained(learner, x[drawn], y[drawn])

    def predictions(self, X: ArrayLike) -> Tensor:
        """What each weak learner answers to inputs (N, d): −1 or +1, shape (T, N)."""
        x = inputs(X)
        return torch.stack([predictions(learner, x) for learner in self.learners])

    def scores(self, X: ArrayLike) -> Tensor:
        """F after each round, at inputs (N, d): shape (T, N)."""
        return (self.alphas[:, None] * self.predictions(X)).cumsum(dim=0)

    def margins(self, X: ArrayLike, y: ArrayLike) -> Tensor:
        """y F / Σα after each round, from −1 to 1: shape (T, N). Above 0 the answer is right."""
        return torch.as_tensor(y) * self.scores(X) / self.alphas.cumsum(dim=0)[:, None]

    def predict(self, X: ArrayLike) -> Tensor:
        """The sign of the last F, as +1 or −1, (N,); +1 where F is 0."""
        return torch.where(self.scores(X)[-1] >= 0, 1, -1)


def half_squared_error(scores: Tensor, targets: Tensor) -> Tensor:
    """Σ ½ (F − y)² over the examples: its negative gradient in F is the residual y − F."""
    return (scores - targets).square().sum() / 2


class GradientBoosting:
    """Gradient descent on the predictions, one learner a step (Friedman 2001).

    F starts as a constant. Each round trains a learner h on −∂L/∂F, the direction in which each
    training prediction should move, and takes the step F ← F + ηh. With the default loss −∂L/∂F is
    the residual y − F.

    After ``fit``: ``learners`` and ``start``.

    Args:
        make_learner: seed → a new learner of real numbers, such as a small regression tree.
        rounds: number of rounds T.
        rate: η, the shrinkage.
        loss: (F, targets) → one number, the *sum* over examples, differentiable in F.
        start: F before the first round; ``None`` takes the mean of the targets.
        generator: draws seeds; ``None`` draws from the global state.

    Raises:
        TypeError, ValueError: ``rounds`` is no whole number of at least 1, or ``rate`` not above 0.
    """

    learners: list[Learner]
    start: float

    def __init__(
        self,
        make_learner: MakeLearner,
        rounds: int = 100,
        *,
        rate: float = 0.1,
        loss: Measure = half_squared_error,
        start: float | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.make_learner = make_learner
        self.rounds = whole_number("rounds", rounds, least=1)
        self.rate = above_zero("rate", rate)
        self.loss, self.given_start = loss, start
        self.generator = generator

    def fit(self, X: ArrayLike, y: ArrayLike) -> "GradientBoosting":
        """Train on inputs (n, d) and real targets (n,).

        Raises:
            ValueError: shapes that do not match, NaN.
        """
        x, y = rows(X, y)
        y = y.double()
        self.start = float(y.mean()) if self.given_start is None else self.given_start
        F = torch.full((len(y),), self.start, dtype=torch.float64)
        self.learners = []
        for seed in seeds(self.generator, self.rounds):
            at = F.clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.loss(at, y), at)
            h = trained(self.make_learner(seed), x, -slope)
            F = F + self.rate * predictions(h, x)
            self.learners.append(h)
        return self

    def scores(self, X: ArrayLike) -> Tensor:
        """F before the first and after each round, at inputs (N, d): shape (T + 1, N)."""
        x = inputs(X)
        steps = torch.stack([predictions(learner, x) for learner in self.learners])
        zero = torch.zeros(1, len(x), dtype=torch.float64)
        return self.start + torch.cat([zero, self.rate * steps.cumsum(dim=0)])

    def predict(self, X: ArrayLike) -> Tensor:
        """The last F at inputs (N, d): shape (N,)."""
        return self.scores(X)[-1]
