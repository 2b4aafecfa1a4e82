"""The exercises of chapter 2, bias and variance: right answers, test cases, known mistakes."""

import torch
from torch import Generator, Tensor

from l2g.exercises import Exercise, Inputs, double, draw_dtype, draw_int


def bias_and_variance(predictions: Tensor, truth: Tensor) -> Tensor:
    """Predictions (R, N) of R runs and the truth (N,) to bias² and variance, (2, N)."""
    mean = predictions.mean(dim=0)
    return torch.stack([(truth - mean).square(), (predictions - mean).square().mean(dim=0)])


def corrected_bias2(predictions: Tensor, truth: Tensor) -> Tensor:
    """Bias² (N,) without the part that is only due to the finite number of runs."""
    return _bias2(predictions, truth) - predictions.var(dim=0) / len(predictions)


def split_variance(predictions: Tensor) -> Tensor:
    """Predictions (D, S, N) of S seeds on each of D training sets to the two variances, (2, N)."""
    data = predictions.mean(dim=1).var(dim=0, correction=0)
    seeds = predictions.var(dim=1, correction=0).mean(dim=0)
    return torch.stack([data, seeds])


def descent_limit(features: Tensor, targets: Tensor, start: Tensor) -> Tensor:
    """Where gradient descent on |y − Φw|² ends, (P,): the solution closest to the start.

    Features (n, P) with P ≥ n and independent rows, targets (n,), start (P,).
    """
    return start + _smallest(features, targets - features @ start)


def _bias2(predictions: Tensor, truth: Tensor) -> Tensor:
    return (truth - predictions.mean(dim=0)).square()


def _var(x: Tensor, dim: int, correction: int = 0) -> Tensor:
    return x.var(dim=dim, correction=correction)


def _smallest(features: Tensor, targets: Tensor) -> Tensor:
    return features.T @ torch.linalg.solve(features @ features.T, targets)


def _null_part(features: Tensor, start: Tensor) -> Tensor:
    return start - _smallest(features, features @ start)


def _rows(first: Tensor, second: Tensor) -> Tensor:
    return torch.stack([first, second])


def _draw_normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _draw_tensor(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Now and then large, now and then in single precision."""
    scale = (1.0, 3.0, 2000.0)[draw_int(0, 2, generator)]
    dtype = draw_dtype(generator)
    return (scale * _draw_normal(shape, generator)).to(dtype)


def _draw_runs(generator: Generator) -> Inputs:
    """Predictions (R, N) and truth (N,): 2–8 runs, 2–5 points, the truth some way off."""
    runs, points = draw_int(2, 8, generator), draw_int(2, 5, generator)
    both = _draw_tensor((runs + 1, points), generator)
    return both[1:], 1.5 * both[0]


def _draw_grid(generator: Generator) -> Inputs:
    """Predictions (D, S, N): 2–5 training sets, as many seeds, 2–5 points."""
    size = draw_int(2, 5, generator)
    return (_draw_tensor((size, size, draw_int(2, 5, generator)), generator),)


def _draw_regression(generator: Generator) -> Inputs:
    """1–3 examples, at least three times as many features; descent itself arrives quickly.

    Singular values from 0.7 to 1.4; targets and start are large now and then, in float32, too.
    """
    n = draw_int(1, 3, generator)
    p = 3 * n + draw_int(0, 4, generator)
    scale = (1.0, 1.0, 3.0, 2000.0)[draw_int(0, 3, generator)]
    dtype = draw_dtype(generator)
    left, right = (torch.linalg.qr(_draw_normal((m, n), generator)).Q for m in (n, p))
    singular = 0.7 + 0.7 * torch.rand(n, generator=generator, dtype=torch.float64)
    features = left * singular @ right.T
    targets, start = scale * _draw_normal((n,), generator), scale * _draw_normal((p,), generator)
    return features.to(dtype), targets.to(dtype), start.to(dtype)


_EDGES = (
    (double([1, 2], [3, 2]), double([0, 2])[0]),
    (double([0, 0], [0, 0], [3, 6]), double([1, 1])[0]),
    (double([5, -1], [5, 1]), double([4, 0])[0]),
)


BIAS_AND_VARIANCE = Exercise(
    name="bias_and_variance",
    reference=bias_and_variance,
    draw=_draw_runs,
    edges=_EDGES,
    mistakes={
        "the rows are exchanged: bias² comes first": lambda p, t: bias_and_variance(p, t).flip(0),
        "the first row is the bias; its square is asked for": lambda p, t: _rows(
            p.mean(0) - t, _var(p, 0)
        ),
        "the bias comes with the other sign, and it should be squared": lambda p, t: _rows(
            t - p.mean(0), _var(p, 0)
        ),
        "your first row is the mean of the squared misses, which holds the variance already: "
        "average the predictions first, then square": lambda p, t: _rows(
            (p - t).square().mean(0), _var(p, 0)
        ),
        "the variance is measured around the truth: whose average must it be "
        "measured around?": lambda p, t: _rows(_bias2(p, t), (p - t).square().mean(0)),
        "divided by R − 1: a fine estimate, but then the two parts no longer add up to the "
        "mean squared miss": lambda p, t: _rows(_bias2(p, t), _var(p, 0, correction=1)),
        "the second row is a standard deviation": lambda p, t: _rows(
            _bias2(p, t), _var(p, 0).sqrt()
        ),
        "the variance is divided by R once more: that is the variance of the mean of R "
        "runs": lambda p, t: _rows(_bias2(p, t), _var(p, 0) / len(p)),
        "the second row is a sum over the runs, not a mean": lambda p, t: _rows(
            _bias2(p, t), _var(p, 0) * len(p)
        ),
        "the second row is the mean of the squared predictions: subtract their mean before "
        "you square": lambda p, t: _rows(_bias2(p, t), p.square().mean(0)),
        "the second row holds absolute deviations: square them": lambda p, t: _rows(
            _bias2(p, t), (p - p.mean(0)).abs().mean(0)
        ),
        "one mean for all test points: each column needs a mean of its own": lambda p, t: _rows(
            (t - p.mean()).square(), (p - p.mean()).square().mean(0)
        ),
        "only the first run enters the bias: a single model has none": lambda p, t: _rows(
            (t - p[0]).square(), _var(p, 0)
        ),
    },
)


CORRECTED_BIAS2 = Exercise(
    name="corrected_bias2",
    reference=corrected_bias2,
    draw=_draw_runs,
    edges=_EDGES,
    mistakes={
        "this is the uncorrected bias²: what does the scatter of the mean of R runs "
        "add to it?": _bias2,
        "you took off the whole variance: how much does the mean of R runs still "
        "vary?": lambda p, t: _bias2(p, t) - _var(p, 0, correction=1),
        "the correction has the wrong sign: chance makes the plug-in value too large, "
        "not too small": lambda p, t: _bias2(p, t) + _var(p, 0, correction=1) / len(p),
        "almost: the variance over R runs is itself too small by a factor (R − 1)/R, so its "
        "unbiased version is needed": lambda p, t: _bias2(p, t) - _var(p, 0) / len(p),
        "corrected twice: use the unbiased variance, or divide by R − 1, but "
        "not both": lambda p, t: _bias2(p, t) - _var(p, 0, correction=1) / (len(p) - 1),
        "cut off at 0: single points may well be negative, and cutting them off puts a bias "
        "back in": lambda p, t: corrected_bias2(p, t).clamp(min=0),
        "divided by the number of test points: over what did you average the "
        "predictions?": lambda p, t: _bias2(p, t) - _var(p, 0, correction=1) / p.shape[1],
        "a standard error is subtracted from a square: its square is needed": lambda p, t: (
            _bias2(p, t) - (_var(p, 0, correction=1) / len(p)).sqrt()
        ),
        "you corrected the mean of the squared misses: the bias² is the square of "
        "the mean miss": lambda p, t: (t - p).square().mean(0) - _var(p, 0, correction=1) / len(p),
    },
)


SPLIT_VARIANCE = Exercise(
    name="split_variance",
    reference=split_variance,
    draw=_draw_grid,
    edges=(
        (double([1, 1], [3, 5])[:, :, None],),
        (double([0, 2], [0, 2])[:, :, None],),
        (double([0, 0], [2, 2])[:, :, None],),
    ),
    mistakes={
        "the rows are exchanged: the training sets come first": lambda p: split_variance(p).flip(0),
        "dimension 0 counts the training sets, dimension 1 the seeds: yours takes them the other "
        "way round": lambda p: split_variance(p.transpose(0, 1)),
        "your first row is the variance of all the runs: average over the seeds first": lambda p: (
            _rows(_var(p.flatten(0, 1), 0), _var(p, 1).mean(0))
        ),
        "the variance over training sets at one seed after another holds seed noise as well: "
        "first average over the seeds, then take the variance": lambda p: _rows(
            _var(p, 0).mean(0), _var(p, 1).mean(0)
        ),
        "the seeds' row averages over the training sets too early: first the variance within "
        "each training set, then the mean": lambda p: _rows(_var(p.mean(1), 0), _var(p.mean(0), 0)),
        "the seeds' row knows only the first training set": lambda p: _rows(
            _var(p.mean(1), 0), _var(p[0], 0)
        ),
        "the training sets' row knows only the first seed": lambda p: _rows(
            _var(p[:, 0], 0), _var(p, 1).mean(0)
        ),
        "divided by one less than the number of runs: the two parts then no longer "
        "add up to the variance of all of them": lambda p: _rows(
            _var(p.mean(1), 0, correction=1), _var(p, 1, correction=1).mean(0)
        ),
        "you took a share of the seeds out of the first row: a better estimate, but here the two "
        "parts should add up to the variance of all of them": lambda p: _rows(
            _var(p.mean(1), 0) - _var(p, 1).mean(0) / p.shape[1], _var(p, 1).mean(0)
        ),
        "these are standard deviations": lambda p: split_variance(p).sqrt(),
        "the variances within the training sets are added up, not averaged": lambda p: _rows(
            _var(p.mean(1), 0), _var(p, 1).sum(0)
        ),
    },
)


DESCENT_LIMIT = Exercise(
    name="descent_limit",
    reference=descent_limit,
    draw=_draw_regression,
    accuracy=1e-3,  # for those who let it run
    edges=(
        (double([1, 0]), double(2), double(0, 3)),
        (double([1, 1]), double(2), double(1, -1)),
        (double([0.6, 0.8, 0]), double(5), double(0, 0, 1)),
        (double([1, 0]), double(1000), double(1, 1)),
        (
            double([1.5, 0, 0], [0, 0, 1]).float(),
            double(3, 3).float(),
            double(0, 5, 0).float(),
        ),
    ),
    mistakes={
        "right for a start at zero: what does descent do with the part of the start that no row "
        "of the features can change?": lambda x, y, w: _smallest(x, y),
        "the start already explains a part of the targets: correct only what is "
        "left": lambda x, y, w: w + _smallest(x, y),
        "the residual has the wrong sign: this moves away from the targets": lambda x, y, w: (
            w - _smallest(x, y - x @ w)
        ),
        "the wrong half of the start is kept: descent replaces its part in the span of the rows, "
        "and keeps the rest": lambda x, y, w: _smallest(x, y) + _smallest(x, x @ w),
        "this is the part of the start that descent keeps; the part that explains the targets is "
        "missing": lambda x, y, w: _null_part(x, w),
        "this is the correction alone: add it to the start": lambda x, y, w: _smallest(
            x, y - x @ w
        ),
        "one step of descent with rate 1: what does it converge to?": lambda x, y, w: (
            w + x.T @ (y - x @ w)
        ),
        "a matrix is missing: Φᵀ alone overshoots when the rows are not of length 1, "
        "(ΦΦᵀ)⁻¹ makes Φw equal y": lambda x, y, w: _null_part(x, w) + x.T @ y,
        "a step with the mean gradient: it has not arrived yet": lambda x, y, w: (
            w + x.T @ (y - x @ w) / len(y)
        ),
        "the start itself: it does not fit the targets yet": lambda x, y, w: w.clone(),
    },
)

EXERCISES = (BIAS_AND_VARIANCE, CORRECTED_BIAS2, SPLIT_VARIANCE, DESCENT_LIMIT)
