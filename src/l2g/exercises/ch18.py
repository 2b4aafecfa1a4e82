"""The exercises of chapter 18, batch normalization: right answers, test cases, known mistakes."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from l2g.exercises import Exercise, Inputs, double, draw_int

EPS = 1e-5


def batchnorm_grad(x: Tensor, g: Tensor, gamma: Tensor) -> Tensor:
    """Gradient (m, C) with respect to x of γ (x − μ)/√(σ² + ε) + β; g is that of the output."""
    x_hat, s = _standardized(x)
    h = gamma * g
    return (h - h.mean(0) - x_hat * (h * x_hat).mean(0)) / s


def running_var(x: Tensor, momentum: float) -> Tensor:
    """What the buffer holds, (C,), after the T batches of x (T, m, C), from a start at 1."""
    return _follow(x, momentum, lambda batch: batch.var(0))


def fold(W: Tensor, mean: Tensor, var: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Weights and, as a last column, bias, (C, D + 1), of W (C, D) and its normalization."""
    scale = gamma / (var + EPS).sqrt()
    return _joined(scale[:, None] * W, beta - scale * mean)


def _standardized(x: Tensor, eps: float = EPS, correction: int = 0) -> tuple[Tensor, Tensor]:
    s = (x.var(0, correction=correction) + eps).sqrt()
    return (x - x.mean(0)) / s, s


def _follow(
    x: Tensor, momentum: float, variance: Callable[[Tensor], Tensor], start: float | Tensor = 1.0
) -> Tensor:
    running = start * x.new_ones(x.shape[-1])
    for batch in x:
        running = (1 - momentum) * running + momentum * variance(batch)
    return running


def _joined(weights: Tensor, bias: Tensor) -> Tensor:
    return torch.cat([weights, bias[:, None]], dim=1)


def _drawer(generator: Generator) -> Callable[..., Tensor]:
    """Draws tensors of one dtype, now and then single precision; large ones now and then."""
    dtype = (torch.float64, torch.float64, torch.float32)[draw_int(0, 2, generator)]
    scale = (1.0, 1.0, 3.0, 3.0, 30.0, 2000.0)[draw_int(0, 5, generator)]

    def draw(*shape: int, scaled: bool = False) -> Tensor:
        values = torch.randn(shape, generator=generator, dtype=torch.float64)
        return (values * scale if scaled else values).to(dtype)

    return draw


def _draw_backward(generator: Generator) -> Inputs:
    draw = _drawer(generator)
    m, C = draw_int(3, 6, generator), draw_int(2, 4, generator)
    return draw(m, C, scaled=True), draw(m, C), draw(C)


def _draw_batches(generator: Generator) -> Inputs:
    draw = _drawer(generator)
    T, m, C = (draw_int(low, high, generator) for low, high in [(1, 5), (2, 6), (2, 4)])
    return draw(T, m, C, scaled=True), (0.1, 0.25, 0.4)[draw_int(0, 2, generator)]


def _draw_layer(generator: Generator) -> Inputs:
    draw = _drawer(generator)
    C, D = draw_int(1, 4, generator), draw_int(2, 4, generator)
    return draw(C, D, scaled=True), draw(C), draw(C).square(), draw(C), draw(C)


BATCHNORM_GRAD = Exercise(
    name="batchnorm_grad",
    reference=batchnorm_grad,
    draw=_draw_backward,
    edges=(
        (double([1], [3]), double([1], [0]), double(1)),
        (double([1], [2], [3]), double([1], [0], [0]), double(2)),
        (double([5, 1], [5, 2], [5, 4]), double([1, 0], [0, 1], [2, 0]), double(1, 1)),
        (double([0, 1000], [1, -2000], [0, 50]), double(*[[1, 1]] * 3), double(3, -1)),
    ),
    mistakes={
        "mean and spread are held constant here: x reaches them, too, so two terms are "
        "missing": lambda x, g, gamma: gamma * g / _standardized(x)[1],
        "the way through the spread is missing: subtract the share of the gradient along "
        "x̂": lambda x, g, gamma: gamma * (g - g.mean(0)) / _standardized(x)[1],
        "the way through the mean is missing: the gradients of a batch must sum to "
        "0": lambda x, g, gamma: (
            (gamma * (g - _standardized(x)[0] * (g * _standardized(x)[0]).mean(0)))
            / _standardized(x)[1]
        ),
        "γ is missing: y = γx̂ + β, so ∂L/∂x̂ is not g itself": lambda x, g, gamma: batchnorm_grad(
            x, g, torch.ones_like(gamma)
        ),
        "the share along x̂ has the wrong sign: in the end Σ x̂ ∂L/∂x is almost "
        "0": lambda x, g, gamma: (
            2 * gamma * (g - g.mean(0)) / _standardized(x)[1] - batchnorm_grad(x, g, gamma)
        ),
        "sums where means belong: each x has a share of 1/m in the mean of its "
        "batch": lambda x, g, gamma: (
            gamma
            * (g - g.sum(0) - _standardized(x)[0] * (g * _standardized(x)[0]).sum(0))
            / _standardized(x)[1]
        ),
        "not divided by the spread: inputs twice as wide have half the "
        "gradient": lambda x, g, gamma: batchnorm_grad(x, g, gamma) * _standardized(x)[1],
        "multiplied by the spread where it should be divided: dx̂/dx = 1/s": lambda x, g, gamma: (
            batchnorm_grad(x, g, gamma) * _standardized(x)[1].square()
        ),
        "the unbiased variance: batches are normalized by the biased one, divided by "
        "m": lambda x, g, gamma: _grad_with(x, g, gamma, *_standardized(x, correction=1)),
        "without ε a constant column gives 0/0": lambda x, g, gamma: _grad_with(
            x, g, gamma, *_standardized(x, eps=0.0)
        ),
        "ε belongs under the root, not beside it": lambda x, g, gamma: (
            _grad_with(
                x,
                g,
                gamma,
                (x - x.mean(0)) / (x.std(0, correction=0) + EPS),
                x.std(0, correction=0),
            )
            * x.std(0, correction=0)
            / (x.std(0, correction=0) + EPS)
        ),
        "x̂ is subtracted whole: how much of it is in the gradient?": lambda x, g, gamma: (
            (gamma * (g - g.mean(0)) - _standardized(x)[0]) / _standardized(x)[1]
        ),
    },
)


def _grad_with(x: Tensor, g: Tensor, gamma: Tensor, x_hat: Tensor, s: Tensor) -> Tensor:
    h = gamma * g
    return (h - h.mean(0) - x_hat * (h * x_hat).mean(0)) / s


RUNNING_VAR = Exercise(
    name="running_var",
    reference=running_var,
    draw=_draw_batches,
    edges=(
        (double([[1], [3]]), 0.1),
        (double([[1], [2], [3], [6]]), 0.1),
        (double([[1, 0], [3, 4]], [[5, 5], [5, 5]]), 0.5),
        (double([[1000, 0], [-1000, 1]]).float(), 0.25),
    ),
    mistakes={
        "the biased variance: batches are normalized by it, but what is stored is divided by "
        "m − 1": lambda x, momentum: _follow(x, momentum, lambda b: b.var(0, correction=0)),
        "momentum the other way round: in PyTorch it is the weight of the newest "
        "batch": lambda x, momentum: _follow(x, 1 - momentum, lambda b: b.var(0)),
        "it starts at 1, not at 0": lambda x, momentum: _follow(
            x, momentum, lambda b: b.var(0), start=0.0
        ),
        "each batch replaces the last one: where is the memory?": lambda x, momentum: x[-1].var(0),
        "all batches count alike, as with momentum=None: old ones must fade": lambda x, momentum: (
            x.var(1).mean(0)
        ),
        "the first batch replaces the start, which should fade instead": lambda x, momentum: (
            _follow(x[1:], momentum, lambda b: b.var(0), start=x[0].var(0))
        ),
        "one variance of all values of all batches: the means of the batches differ, and order "
        "counts": lambda x, momentum: x.flatten(0, 1).var(0),
        "standard deviations are averaged: the buffer holds a variance": lambda x, momentum: (
            _follow(x, momentum, lambda b: b.std(0))
        ),
        "corrected twice: var() of torch divides by m − 1 already": lambda x, momentum: _follow(
            x, momentum, lambda b: b.var(0) * len(b) / (len(b) - 1)
        ),
        "squares without the mean taken out: that is a second moment": lambda x, momentum: _follow(
            x, momentum, lambda b: b.square().mean(0)
        ),
        "old and new are added in full: their weights must sum to 1": lambda x, momentum: (
            1 + momentum * x.var(1).sum(0)
        ),
    },
)


FOLD_BATCHNORM = Exercise(
    name="fold_batchnorm",
    reference=fold,
    draw=_draw_layer,
    edges=(
        (double([1, 0]), double(1), double(4), double(2), double(0)),
        (double([1, 2], [3, 4]), double(0, 1), double(1, 4), double(1, 2), double(0, 1)),
        (double([1, 2], [3, 4]), double(1, 1), double(0, 1), double(1, 1), double(0, 0)),
        (double([1000, -3000]), double(10), double(100), double(1), double(5)),
    ),
    mistakes={
        "the running mean is left out of the bias: what does the new layer give for an input "
        "of 0?": lambda W, mean, var, gamma, beta: _joined(_scale(var, gamma) * W, beta),
        "the mean is subtracted unscaled: it, too, is divided by the spread and multiplied by "
        "γ": lambda W, mean, var, gamma, beta: _joined(_scale(var, gamma) * W, beta - mean),
        "the mean has the wrong sign: it is subtracted": lambda W, mean, var, gamma, beta: _joined(
            _scale(var, gamma) * W, beta + _scale(var, gamma)[:, 0] * mean
        ),
        "γ scales the weights but not the mean": lambda W, mean, var, gamma, beta: _joined(
            _scale(var, gamma) * W, beta - mean / (var + EPS).sqrt()
        ),
        "γ is missing: it acts after the division": lambda W, mean, var, gamma, beta: fold(
            W, mean, var, torch.ones_like(gamma), beta
        ),
        "divided by the variance: its root is the spread": lambda W, mean, var, gamma, beta: fold(
            W, mean, (var + EPS).square() - EPS, gamma, beta
        ),
        "without ε a unit of variance 0 is divided by 0": lambda W, mean, var, gamma, beta: fold(
            W, mean, var - EPS, gamma, beta
        ),
        "ε stands beside the root: it belongs under it": lambda W, mean, var, gamma, beta: fold(
            W, mean, (var.sqrt() + EPS).square() - EPS, gamma, beta
        ),
        "β is scaled, too: it is added after everything else": lambda W, mean, var, gamma, beta: (
            _joined(_scale(var, gamma) * W, _scale(var, gamma)[:, 0] * (beta - mean))
        ),
        "the bias is the last column, not the first": lambda W, mean, var, gamma, beta: fold(
            W, mean, var, gamma, beta
        ).roll(1, dims=1),
        "the weights stay as they were: scale each row": lambda W, mean, var, gamma, beta: _joined(
            W, beta - _scale(var, gamma)[:, 0] * mean
        ),
        "one mean for all units: each row has its own": lambda W, mean, var, gamma, beta: fold(
            W, mean.mean().expand_as(mean), var, gamma, beta
        ),
    },
)


def _scale(var: Tensor, gamma: Tensor) -> Tensor:
    return (gamma / (var + EPS).sqrt())[:, None]


EXERCISES = (BATCHNORM_GRAD, RUNNING_VAR, FOLD_BATCHNORM)
