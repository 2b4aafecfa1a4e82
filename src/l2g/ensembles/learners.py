"""What an ensemble is made of: any learner, and the weakest that is of use, a stump."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from numpy.typing import ArrayLike
from torch import Generator, Tensor

SAME = 1e-12  # errors as near to each other as this count as equal: rounding decides nothing


class Learner(Protocol):
    """Anything with ``fit`` and ``predict``, such as an estimator of scikit-learn."""

    def fit(self, X: Any, y: Any) -> Any: ...

    def predict(self, X: Any) -> Any: ...


MakeLearner = Callable[[int], Learner]


class Stump:
    """A tree with one question: is feature j above a threshold? Answers +1 or −1 by the reply.

    Of all features, thresholds and both ways round it takes the one with the lowest weighted error.
    A threshold lies midway between two neighbouring values, or at −∞, which makes the answer the
    same everywhere. Of equally good stumps (errors within 1e-12) the first is taken:
    lowest feature, then lowest threshold, then +1 above it.

    After ``fit``: ``feature``, ``threshold`` and ``sign``, the answer above the threshold.
    """

    feature: int
    threshold: float
    sign: int

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> "Stump":
        """Learn from inputs (n, d), targets −1 or +1 (n,) and weights (n,), by default all 1/n.

        Raises:
            ValueError: shapes that do not match, NaN, other targets or negative weights.
        """
        x, target = rows(X, y)
        if not is_signs(target):
            raise ValueError("y must hold −1 and +1 only")
        w = torch.ones(len(x)) if sample_weight is None else torch.as_tensor(sample_weight)
        if w.shape != target.shape or not (w >= 0).all() or not w.sum() > 0:
            raise ValueError("sample_weight must hold n weights of at least 0, not all 0")
        push = (w.double() / w.double().sum()) * target
        values, order = x.sort(dim=0, stable=True)
        below = push[order].cumsum(dim=0).roll(1, dims=0)  # Σ w y of all points below the threshold
        below[0] = 0
        error_up = 0.5 - (push.sum() - 2 * below) / 2  # weighted error of "+1 above"
        gap = torch.ones_like(values, dtype=torch.bool)
        gap[1:] = values[1:] > values[:-1]  # a threshold parts different values only
        both = torch.stack([error_up, 1 - error_up], dim=2).masked_fill(~gap[:, :, None], 2.0)
        in_order = both.transpose(0, 1).flatten()  # feature, threshold, way round
        best = int((in_order <= in_order.min() + SAME).int().argmax())
        self.feature, rest = divmod(best, 2 * len(x))
        i, down = divmod(rest, 2)
        column = values[:, self.feature]
        middle = (column[i - 1] + column[i]) / 2
        self.threshold = float(middle if middle < column[i] else column[i - 1]) if i else -math.inf
        self.sign = -1 if down else 1
        return self

    def predict(self, X: ArrayLike) -> Tensor:
        """+1 or −1 for inputs (N, d): shape (N,)."""
        above = torch.as_tensor(X).double()[:, self.feature] > self.threshold
        return torch.where(above, self.sign, -self.sign)


def rows(X: ArrayLike, y: ArrayLike) -> tuple[Tensor, Tensor]:
    """Inputs (n, d) in double precision and targets (n,), checked.

    Raises:
        ValueError: other shapes, no row, NaN or infinite numbers.
    """
    x, target = torch.as_tensor(X).detach().cpu().double(), torch.as_tensor(y).detach().cpu()
    if x.ndim != 2 or target.shape != x.shape[:1] or len(x) == 0:
        shapes = f"{tuple(x.shape)} and {tuple(target.shape)}"
        raise ValueError(
            f"X and y must have shapes (n, d) and (n,) with n at least 1, got {shapes}"
        )
    if not x.isfinite().all() or not target.isfinite().all():
        raise ValueError("X and y must hold finite numbers, got NaN or infinite ones")
    return x, target


def is_signs(y: Tensor) -> bool:
    """Whether all targets are −1 or +1."""
    return bool(((y == 1) | (y == -1)).all())


def seeds(generator: Generator | None, count: int) -> Iterator[int]:
    """A seed for each learner, with a progress bar over what takes longer than two seconds."""
    from tqdm import tqdm

    drawn = torch.randint(2**31 - 1, (count,), generator=generator).tolist()
    return iter(tqdm(drawn, desc="fit", unit="learner", delay=2, leave=False))


def trained(learner: Learner, X: Tensor, y: Tensor, **weights: Tensor) -> Learner:
    """The learner, trained; it sees NumPy arrays, which every estimator takes."""
    learner.fit(X.numpy(), y.numpy(), **{name: w.numpy() for name, w in weights.items()})
    return learner


def predictions(learner: Learner, X: Tensor) -> Tensor:
    """What the learner answers to inputs (N, d), as a tensor (N,).

    Raises:
        ValueError: it answers in another shape.
    """
    found = torch.as_tensor(learner.predict(X.numpy()))
    if found.shape != X.shape[:1]:
        raise ValueError(f"predict must return shape ({len(X)},), got {tuple(found.shape)}")
    return found


def inputs(X: ArrayLike) -> Tensor:
    """Inputs (N, d) of a prediction, in double precision.

    Raises:
        ValueError: another shape.
    """
    x = torch.as_tensor(X).detach().cpu().double()
    if x.ndim != 2:
        raise ValueError(f"X must have shape (N, d), got {tuple(x.shape)}")
    return x
