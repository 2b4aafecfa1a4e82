"""Bagging: learners that were trained apart, each on its own bootstrap draw, and then vote."""

import torch
from numpy.typing import ArrayLike
from torch import Generator, Tensor

from l2g.ensembles.learners import (
    Learner,
    MakeLearner,
    inputs,
    predictions,
    rows,
    seeds,
    trained,
)
from l2g.numbers import whole_number
from l2g.resampling import bootstrap_indices


class Bagging:
    """Bootstrap aggregating (Breiman 1996): every member learns from n of n rows, with replacement.

    Whole-number targets are classes 0 … K−1, and members vote; floating-point targets are averaged.
    With trees that look at a random subset of the features at each split, such as
    ``DecisionTreeClassifier(max_features="sqrt", random_state=seed)``, it is a random forest
    (Breiman 2001), except that scikit-learn's averages probabilities in place of votes.

    After ``fit``: ``learners``; ``draws`` (B, n), the rows that each was given; and ``out_of_bag``
    (n,), what those members answer to a training row that did not see it: −1 (classes) or NaN
    where every member has.

    Args:
        make_learner: seed → a new learner.
        members: number B of learners.
        generator: draws rows and seeds; ``None`` draws from the global state.

    Raises:
        TypeError, ValueError: ``members`` is no whole number of at least 1.
    """

    learners: list[Learner]
    draws: Tensor
    out_of_bag: Tensor

    def __init__(
        self, make_learner: MakeLearner, members: int = 100, *, generator: Generator | None = None
    ) -> None:
        self.make_learner = make_learner
        self.members = whole_number("members", members, least=1)
        self.generator = generator

    def fit(self, X: ArrayLike, y: ArrayLike, draws: Tensor | None = None) -> "Bagging":
        """Train on inputs (n, d) and targets (n,); ``draws`` (B, n) replaces the random draws.

        Raises:
            ValueError: shapes that do not match, NaN, or negative classes.
        """
        x, y = rows(X, y)
        n, self.classes, self.dtype = len(x), not y.is_floating_point(), y.dtype
        if self.classes and y.min() < 0:
            raise ValueError(f"y must hold classes 0 … K−1, got {int(y.min())}")
        if draws is None:
            draws = bootstrap_indices(n, self.members, generator=self.generator)
        if draws.ndim != 2 or len(draws) != self.members:
            shape = tuple(draws.shape)
            raise ValueError(f"draws must have shape ({self.members}, n), got {shape}")
        self.draws, self.learners = draws, []
        answers = torch.full((self.members, n), -1 if self.classes else torch.nan, dtype=y.dtype)
        for b, seed in enumerate(seeds(self.generator, self.members)):
            learner = trained(self.make_learner(seed), x[draws[b]], y[draws[b]])
            out = torch.ones(n, dtype=torch.bool)
            out[draws[b]] = False  # the rows that this member has not seen
            if out.any():
                answers[b, out] = predictions(learner, x[out]).to(y.dtype)
            self.learners.append(learner)
        self.out_of_bag = self.joined(answers)
        return self

    def predictions(self, X: ArrayLike) -> Tensor:
        """What each member answers to inputs (N, d): shape (B, N)."""
        x = inputs(X)
        return torch.stack([predictions(h, x).to(self.dtype) for h in self.learners])

    def joined(self, answers: Tensor) -> Tensor:
        """One answer from those of several members, (B, N) → (N,): the vote, or the mean."""
        return majority(answers) if self.classes else answers.nanmean(dim=0)

    def predict(self, X: ArrayLike) -> Tensor:
        """What all members together answer to inputs (N, d): shape (N,)."""
        return self.joined(self.predictions(X))


def majority(votes: Tensor) -> Tensor:
    """The class that most members vote for, in each column of votes (B, N): shape (N,).

    Of several with equally many votes the lowest. A vote of −1 abstains; −1 if all do.

    Raises:
        TypeError: votes are no whole numbers.
        ValueError: another shape.
    """
    if votes.is_floating_point():
        raise TypeError(f"votes must be whole numbers, got {votes.dtype}")
    if votes.ndim != 2 or len(votes) == 0:
        raise ValueError(
            f"votes must have shape (B, N) with B at least 1, got {tuple(votes.shape)}"
        )
    counts = torch.stack([(votes == k).sum(dim=0) for k in range(int(votes.max()) + 1)] or [])
    return torch.where((votes < 0).all(dim=0), -1, counts.argmax(dim=0))
