"""The bias–variance decomposition: what many models, each trained on its own draw, share."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from l2g.numbers import whole_number


class BiasVariance(NamedTuple):
    """The parts of the expected squared error at each test point, all of shape (N,).

    ``error`` is ``bias2 + variance + noise`` up to rounding. ``predictions`` (R, N) is what the
    parts were computed from, one row for each run.
    """

    bias2: Tensor
    variance: Tensor
    noise: Tensor
    error: Tensor
    predictions: Tensor


def bias_variance(
    train: Callable[[Tensor, Tensor, Tensor], Tensor],
    draw: Callable[[Tensor, int, Generator], Tensor],
    x: Tensor,
    f: Callable[[Tensor], Tensor],
    *,
    x_train: Tensor,
    runs: int = 500,
    seed: int = 0,
) -> BiasVariance:
    """Train a procedure on many training sets and split its squared test error into its parts.

    With p̄ the mean over runs of the predictions p: bias² = (f − p̄)², the variance is the mean of
    (p − p̄)² over the runs (divided by R), the noise the mean of ε². Each run is tested on fresh
    targets f + ε and on their mirror images f − ε. On average that changes nothing, and on these
    very draws it makes error = bias² + variance + noise an identity (Geman, Bienenstock and
    Doursat 1992, and chapter 2).

    Since p̄ is itself a mean of R predictions, ``bias2`` is too large by about ``variance`` / R.

    Args:
        train: (x_train, y_train, x) → predictions (R, N) at the test inputs x, of R models, each
            trained on its own row of y_train (R, n).
        draw: (inputs, runs, generator) → noisy targets: one row of f + ε for each run.
        x: test inputs (N, ...).
        f: the truth, x → (N,).
        x_train: training inputs, handed to ``draw`` and ``train`` as they are: (n, ...) if the
            design is fixed, (R, n, ...) if each run has its own.
        runs: number of training sets R, at least 2.
        seed: of the draws of training and test targets.

    Raises:
        TypeError: ``runs`` is no whole number.
        ValueError: ``runs`` below 2, or a function returns another shape than it should, NaN or
            infinite values.
    """
    runs = whole_number("runs", runs, least=2)  # a variance needs two
    generator = torch.Generator().manual_seed(seed)
    truth = _checked("f", f(x), (len(x),))
    y_train = draw(x_train, runs, generator)
    predictions = _checked("train", train(x_train, y_train, x), (runs, len(x)))
    noise = _checked("draw", draw(x, runs, generator), (runs, len(x))) - truth

    mean = predictions.mean(dim=0)
    miss = truth - predictions
    both_tests = torch.stack([(miss + noise).square(), (miss - noise).square()])
    return BiasVariance(
        bias2=(truth - mean).square(),
        variance=(predictions - mean).square().mean(dim=0),
        noise=noise.square().mean(dim=0),
        error=both_tests.mean(dim=(0, 1)),
        predictions=predictions,
    )


def _checked(name: str, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """In double precision, so that the identity is not lost in rounding."""
    if tuple(values.shape) != shape:
        raise ValueError(f"{name} must return shape {shape}, got {tuple(values.shape)}")
    if not values.isfinite().all():
        raise ValueError(
            f"{name} returned {int((~values.isfinite()).sum())} NaN or infinite values"
        )
    return values.detach().double()
