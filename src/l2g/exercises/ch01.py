"""The exercises of chapter 1, generalization: right answers, test cases, known mistakes."""

import torch
from torch import Generator, Tensor

from l2g.exercises import Exercise, Inputs, draw_dtype, draw_int


def gap_and_error(train_losses: Tensor, new_losses: Tensor) -> Tensor:
    """The estimated gap and its standard error, (2,), from losses (N,) seen and (M,) new."""
    return _pair(new_losses.mean() - train_losses.mean(), _error(new_losses))


def pick_epoch(val_loss: Tensor, test_accuracy: Tensor) -> Tensor:
    """Test accuracy (R,) at the first epoch of lowest validation loss; both are (R, T)."""
    return test_accuracy.gather(1, _first_lowest(val_loss))[:, 0]


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


PICK_EPOCH = Exercise(
    name="pick_epoch",
    reference=pick_epoch,
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
        "off by one: this is the epoch after the best": lambda v, t: _at(
            v, t, (_first_lowest(v) + 1).clamp(max=v.shape[1] - 1)
        ),
        "the first local minimum; the loss may fall lower later": lambda v, t: _at(
            v, t, _first_rise(v)
        ),
        "a mean over the epochs: only one epoch is reported": lambda v, t: t.mean(1),
        "the runs are averaged away: the result has one entry for each run": lambda v, t: (
            pick_epoch(v, t).mean().expand(len(v)).clone()
        ),
    },
)


def _first_rise(val_loss: Tensor) -> Tensor:
    """The first epoch (R, 1) whose successor has a higher loss; the last if there is none."""
    rises = val_loss.diff(dim=1) > 0
    return (rises.cumsum(1) == 0).sum(1, keepdim=True)


EXERCISES = (GAP_AND_ERROR, PICK_EPOCH)
