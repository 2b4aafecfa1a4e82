"""The exercises of chapter 1, generalization: right answers, test cases, known mistakes."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from l2g.exercises import Exercise, Inputs, double, draw_dtype, draw_int, without, without_loop


def gap_and_error(train_losses: Tensor, new_losses: Tensor) -> Tensor:
    """The estimated gap and its standard error, (2,), from losses (N,) seen and (M,) new."""
    return _pair(new_losses.mean() - train_losses.mean(), _error(new_losses))


def reported_accuracy(val_loss: Tensor, test_accuracy: Tensor) -> Tensor:
    """Test accuracy (R,) at the first epoch of lowest validation loss; both are (R, T)."""
    return test_accuracy.gather(1, _first_lowest(val_loss))[:, 0]


def weights_after(features: Tensor, targets: Tensor, rate: float, steps: int) -> Tensor:
    """Weights (P,) after steps of gradient descent on ½|Φw − y|² from zero; Φ (N, P), y (N,)."""
    return _through_svd(features, targets, lambda s: 1 - (1 - rate * s**2) ** steps)


def _through_svd(features: Tensor, targets: Tensor, learned: Callable[[Tensor], Tensor]) -> Tensor:
    """The smallest least-squares solution (P,), each direction scaled by the share learned."""
    left, s, right = torch.linalg.svd(features, full_matrices=False)
    inverse = torch.where(s > 1e-6 * s.max(), 1 / s, 0.0)
    return right.T @ (learned(s) * inverse * (left.T @ targets))


def _pair(gap: Tensor, error: Tensor) -> Tensor:
    return torch.stack([gap, error])


def _error(losses: Tensor) -> Tensor:
    return losses.std() / len(losses) ** 0.5


def _first_lowest(val_loss: Tensor) -> Tensor:
    return val_loss.argmin(dim=1, keepdim=True)


def _row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _draw_normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _draw_losses(generator: Generator) -> Inputs:
    """Losses of 2–9 examples seen and 2–9 new ones; now and then large, or in float32."""
    scale = (1.0, 1.0, 3.0, 5000.0)[draw_int(0, 3, generator)]
    dtype = draw_dtype(generator)
    seen = scale * _draw_normal((draw_int(2, 9, generator),), generator).abs()
    new = scale * (_draw_normal((draw_int(2, 9, generator),), generator).abs() + 0.5)
    return seen.to(dtype), new.to(dtype)


def _draw_curves(generator: Generator) -> Inputs:
    """(R, T) with 1–4 runs, 2–7 epochs; losses in tenths, so that ties occur."""
    shape = draw_int(1, 4, generator), draw_int(2, 7, generator)
    scale = (1.0, 1.0, 1.0, 2000.0)[draw_int(0, 3, generator)]
    dtype = draw_dtype(generator)
    val_loss = scale * _draw_normal(shape, generator).abs().mul(10).round().div(10)
    test_accuracy = torch.rand(shape, generator=generator, dtype=torch.float64)
    return val_loss.to(dtype), test_accuracy.to(dtype)


def _draw_descent(generator: Generator) -> Inputs:
    """1–5 examples, at times one twice, 1–7 features, 1–40 steps; no rate blows up."""
    features = _draw_normal((draw_int(1, 5, generator), draw_int(1, 7, generator)), generator)
    if draw_int(0, 2, generator) == 0:
        features = torch.cat([features, features[:1]])
    targets = _draw_normal((len(features),), generator)
    share = (0.1, 0.5, 1.0, 1.7)[draw_int(0, 3, generator)]
    rate = share / torch.linalg.matrix_norm(features, 2).item() ** 2
    dtype = draw_dtype(generator)
    return features.to(dtype), targets.to(dtype), rate, draw_int(1, 40, generator)


GAP_AND_ERROR = Exercise(
    name="gap_and_error",
    reference=gap_and_error,
    draw=_draw_losses,
    edges=(
        (_row(0, 0), _row(1, 1)),
        (_row(1, 2), _row(1, 3)),
        (_row(0, 0, 0), _row(1, 2, 3, 4)),
        (_row(2, 2), _row(1, 0, 2)),
        (_row(1000, 3000), _row(5000, 1000, 3000)),
        (_row(0, 1).float(), _row(0.5, 1.5, 4).float()),
    ),
    mistakes={
        "the sign is turned: the gap is positive when new examples cost more": lambda s, n: _pair(
            s.mean() - n.mean(), _error(n)
        ),
        "a gap may be negative, by the luck of the new sample: keep its sign": lambda s, n: _pair(
            (n.mean() - s.mean()).abs(), _error(n)
        ),
        "the spread of single losses does not shrink with M, the error of their mean "
        "does": lambda s, n: _pair(n.mean() - s.mean(), n.std()),
        "this is a variance, in squared units: one root is missing": lambda s, n: _pair(
            n.mean() - s.mean(), n.var() / len(n)
        ),
        "the spread of a mean shrinks with the *root* of M": lambda s, n: _pair(
            n.mean() - s.mean(), n.std() / len(n)
        ),
        "the two results are swapped: first the gap, then its error": lambda s, n: gap_and_error(
            s, n
        ).flip(0),
        "divide by M − 1 in the variance: the mean was estimated from the same "
        "losses": lambda s, n: _pair(n.mean() - s.mean(), n.std(correction=0) / len(n) ** 0.5),
        "two errors are combined, but the empirical risk of this model is known exactly: the mean "
        "over its own training set is no estimate": lambda s, n: _pair(
            n.mean() - s.mean(), (s.var() / len(s) + n.var() / len(n)).sqrt()
        ),
        "the error comes from the training losses: which of the two means is an "
        "estimate?": lambda s, n: _pair(n.mean() - s.mean(), _error(s)),
        "the root of N, the size of the training set: how many losses went into the estimate of "
        "the risk?": lambda s, n: _pair(n.mean() - s.mean(), n.std() / len(s) ** 0.5),
        "this is half of a 95 % interval; asked for is one standard error": lambda s, n: _pair(
            n.mean() - s.mean(), 1.96 * _error(n)
        ),
        "the first entry is the risk; what must be taken off to get the gap?": lambda s, n: _pair(
            n.mean(), _error(n)
        ),
        "the first entry is a ratio; the gap is a difference, in the unit of the "
        "loss": lambda s, n: _pair(n.mean() / s.mean(), _error(n)),
        "sums depend on how many examples there are: compare means": lambda s, n: _pair(
            n.sum() - s.sum(), _error(n)
        ),
        "risks are means: a median ignores the few examples that cost most": lambda s, n: _pair(
            n.median() - s.median(), _error(n)
        ),
    },
)


def _at(val_loss: Tensor, test_accuracy: Tensor, epoch: Tensor) -> Tensor:
    """Test accuracy of every run at the epoch (R, 1) or (1, 1)."""
    return test_accuracy.gather(1, epoch.expand(len(val_loss), 1))[:, 0]


REPORTED_ACCURACY = Exercise(
    name="reported_accuracy",
    reference=reported_accuracy,
    draw=_draw_curves,
    edges=(
        (_row(1, 2)[None], _row(0.5, 0.9)[None]),
        (_row(3, 1, 2)[None], _row(0.5, 0.7, 0.9)[None]),
        (_row(2, 1, 1)[None], _row(0.1, 0.6, 0.7)[None]),
        (torch.stack([_row(1, 2, 3), _row(3, 2, 1)]), torch.stack([_row(1, 0, 0.5)] * 2)),
        (_row(5000, 1000)[None].float(), _row(0.2, 0.4)[None].float()),
    ),
    mistakes={
        "the best test accuracy of all epochs: the epoch was chosen on the test set": lambda v, t: (
            t.amax(1)
        ),
        "the last epoch: then what is the validation loss for?": lambda v, t: t[:, -1],
        "this is the epoch of the *highest* validation loss: lower is better": lambda v, t: _at(
            v, t, v.argmax(1, keepdim=True)
        ),
        "one epoch for all runs, that of the lowest mean loss: each run stops at its "
        "own": lambda v, t: _at(v, t, _first_lowest(v.mean(0, keepdim=True))),
        "one epoch for all runs, that of the lowest loss anywhere: over which dimension is the "
        "minimum?": lambda v, t: _at(v, t, _first_lowest(v.amin(0, keepdim=True))),
        "this is the lowest validation loss itself; it says *which* epoch, the test accuracy of "
        "that epoch is asked for": lambda v, t: v.amin(1),
        "in case of a tie the last of the lowest is taken; the first is asked for": lambda v, t: (
            _at(v, t, v.shape[1] - 1 - _first_lowest(v.flip(1)))
        ),
        "this is the number of the epoch; asked for is the test accuracy that was measured "
        "there": lambda v, t: v.argmin(1),
        "off by one: this is the epoch after the best": lambda v, t: _at(
            v, t, (_first_lowest(v) + 1).clamp(max=v.shape[1] - 1)
        ),
        "the first local minimum; the loss may fall lower later": lambda v, t: _at(
            v, t, _first_rise(v)
        ),
        "a mean over the epochs: only one epoch is reported": lambda v, t: t.mean(1),
        "the runs are averaged away: the result has one entry for each run": lambda v, t: (
            reported_accuracy(v, t).mean().expand(len(v)).clone()
        ),
    },
)


def _first_rise(val_loss: Tensor) -> Tensor:
    """The first epoch (R, 1) whose successor has a higher loss; the last if there is none."""
    rises = val_loss.diff(dim=1) > 0
    return (rises.cumsum(1) == 0).sum(1, keepdim=True)


WEIGHTS_AFTER = Exercise(
    name="weights_after",
    reference=weights_after,
    draw=_draw_descent,
    rules=(without_loop, without("matrix_power", instead="use the singular value decomposition")),
    accuracy=1e-6,  # for those who add a small number to s before they divide
    edges=(
        (double([2]), double(3), 0.1, 1),
        (double([2]), double(3), 0.1, 2),
        (double([1, 0], [0, 2]), double(1, 1), 0.2, 3),
        (double([1, 1, 0]), double(2), 0.25, 10),
        (double([1, 0], [0, 0]), double(2, 5), 0.5, 2),
        (double([1, 0], [0, 1], [1, 1]).float(), double(1, 2, 4).float(), 0.3, 5),
        (double([3, 0], [0, 1]), double(1, 1), 0.1, 0),
    ),
    mistakes={
        "this is where descent ends; after finitely many steps each direction has learned only a "
        "share 1 − (1 − ηs²)ᵗ": lambda x, y, r, t: _through_svd(x, y, torch.ones_like),
        "this is the share that is *left*: after 0 steps nothing is learned": lambda x, y, r, t: (
            _through_svd(x, y, lambda s: (1 - r * s**2) ** t)
        ),
        "the share learned in one step is ηs²: the singular value enters the gradient twice, once "
        "in Φᵀ and once in Φw": lambda x, y, r, t: _through_svd(
            x, y, lambda s: 1 - (1 - r * s) ** t
        ),
        "each direction must be divided by its s: a weight a shows as s·a in the "
        "output": lambda x, y, r, t: _through_svd(x, y, lambda s: s * (1 - (1 - r * s**2) ** t)),
        "multiplied by s where it is divided by s": lambda x, y, r, t: _through_svd(
            x, y, lambda s: s**2 * (1 - (1 - r * s**2) ** t)
        ),
        "off by one: this is after one step more": lambda x, y, r, t: weights_after(x, y, r, t + 1),
        "off by one: this is after one step less": lambda x, y, r, t: weights_after(
            x, y, r, max(t - 1, 0)
        ),
        "a factor of 2 in the gradient: the loss has a ½ in front, so its gradient is "
        "Φᵀ(Φw − y)": lambda x, y, r, t: weights_after(x, y, 2 * r, t),
        "this is descent on the *mean* of the squares: the loss of the exercise is a "
        "sum": lambda x, y, r, t: weights_after(x, y, r / len(x), t),
        "the shares add up: t steps learn not t times what one step learns, since each works on "
        "what the last one left": lambda x, y, r, t: _through_svd(x, y, lambda s: t * r * s**2),
        "this is ridge with λ = 1/(ηt), a relative of early stopping, not the "
        "same": lambda x, y, r, t: _through_svd(x, y, lambda s: s**2 * r * t / (s**2 * r * t + 1)),
        "NaN where a singular value is 0: in such a direction the gradient is 0, so the weights "
        "stay 0": lambda x, y, r, t: _divided_by_zero(x, y, r, t),
        "the sign is turned: descent moves towards the targets": lambda x, y, r, t: (
            -weights_after(x, y, r, t)
        ),
    },
)


def _divided_by_zero(features: Tensor, targets: Tensor, rate: float, steps: int) -> Tensor:
    left, s, right = torch.linalg.svd(features, full_matrices=False)
    return right.T @ ((1 - (1 - rate * s**2) ** steps) / s * (left.T @ targets))


EXERCISES = (GAP_AND_ERROR, REPORTED_ACCURACY, WEIGHTS_AFTER)
