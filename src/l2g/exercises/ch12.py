"""The exercises of chapter 12, schedules: right answers, test cases, known mistakes."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from l2g.exercises import Exercise, Inputs, double, draw_dtype, draw_int


def one_cycle(t: Tensor, total: int, peak: float, warm: float) -> Tensor:
    """PyTorch's one-cycle rate at the steps t (n,) of 0 … total − 1; ``warm`` is its pct_start."""
    return _cycle(t, total, peak, warm)


def warmup_cosine(t: Tensor, total: int, peak: float, warm: int) -> Tensor:
    """A straight line to the peak in ``warm`` steps, the first of them peak / warm, then a cosine.

    At the step ``warm`` the rate is the peak, at ``total`` it would be 0. Steps t (n,).
    """
    return peak * torch.where(t < warm, (t + 1) / warm, _half((t - warm) / (total - warm)))


def discriminative_step(weights: Tensor, gradients: Tensor, lo: float, hi: float) -> Tensor:
    """One step of gradient descent; row k of (G, N) is a group, its rate between lo and hi."""
    return weights - _geometric(len(weights), lo, hi).to(weights)[:, None] * gradients


def _half(done: Tensor) -> Tensor:
    """Half a cosine, from 1 to 0."""
    return (1 + torch.cos(math.pi * done)) / 2


def _line(done: Tensor) -> Tensor:
    return 1 - done


def _quarter(done: Tensor) -> Tensor:
    return torch.cos(math.pi * done / 2)


def _cycle(
    t: Tensor,
    total: int,
    peak: float,
    warm: float,
    shape: Callable[[Tensor], Tensor] = _half,
    late: int = 1,
    first: float = 1 / 25,
    last: float = 4e-6,
) -> Tensor:
    """Up from ``first`` · peak until the step ``warm`` · total − ``late``, then to ``last``."""
    top = warm * total - late
    up = first + (1 - first) * (1 - shape(t / top))
    down = last + (1 - last) * shape((t - top) / (total - 1 - top))
    return peak * torch.where(t <= top, up, down)


def _upside_down(t: Tensor, total: int, peak: float, warm: float) -> Tensor:
    top = warm * total - 1
    up = _half(t / top)
    down = 1 - _half((t - top) / (total - 1 - top))
    return peak * (1 / 25 + (1 - 1 / 25) * torch.where(t <= top, up, down))


def _one_clock(t: Tensor, total: int, peak: float, warm: float) -> Tensor:
    top = warm * total - 1
    down = 4e-6 + (1 - 4e-6) * _half(t / (total - 1))
    return torch.where(t <= top, one_cycle(t, total, peak, warm), peak * down)


def _geometric(groups: int, lo: float, hi: float) -> Tensor:
    """The rates (G,) of the groups, first to last; a single group gets ``hi``."""
    if groups == 1:
        return torch.tensor([hi], dtype=torch.float64)
    return lo * (hi / lo) ** (torch.arange(groups, dtype=torch.float64) / (groups - 1))


def _with_rates(weights: Tensor, gradients: Tensor, rates: Tensor) -> Tensor:
    return weights - rates.to(weights)[:, None] * gradients


def _steps(groups: int) -> Tensor:
    return torch.arange(groups, dtype=torch.float64)


def _draw_times(generator: Generator) -> tuple[Tensor, int, float]:
    """Both ends and 0–6 steps between; a length of 20–3,000 steps; a peak of 0.1 to 3."""
    total = draw_int(20, (60, 3000)[draw_int(0, 1, generator)], generator)
    between = torch.randint(0, total, (draw_int(0, 6, generator),), generator=generator)
    t = torch.cat([torch.tensor([0, total - 1]), between])
    return t.to(draw_dtype(generator)), total, draw_int(1, 30, generator) / 10


def _draw_cycle(generator: Generator) -> Inputs:
    return *_draw_times(generator), draw_int(2, 8, generator) / 10


def _draw_warmup(generator: Generator) -> Inputs:
    t, total, peak = _draw_times(generator)
    warm = draw_int(2, total // 2, generator)
    return torch.cat([t, torch.tensor([warm - 1, warm]).to(t)]), total, peak, warm


def _draw_groups(generator: Generator) -> Inputs:
    """2–5 groups of 2–4 numbers, now and then large; rates that span a factor of 3 to 300."""
    shape = draw_int(2, 5, generator), draw_int(2, 4, generator)
    scale = (1.0, 3.0, 2000.0)[draw_int(0, 2, generator)]
    dtype = draw_dtype(generator)
    both = scale * torch.randn((2, *shape), generator=generator, dtype=torch.float64)
    hi = draw_int(1, 9, generator) / 10
    weights, gradients = both.to(dtype)
    return weights, gradients, hi / (3, 30, 300)[draw_int(0, 2, generator)], hi


ONE_CYCLE = Exercise(
    name="one_cycle",
    reference=one_cycle,
    draw=_draw_cycle,
    edges=(
        (double([0, 2])[0], 10, 1.0, 0.3),
        (double([0, 1, 2, 3, 6, 9])[0], 10, 1.0, 0.3),
        (double([0, 999, 1999])[0], 2000, 0.1, 0.5),
    ),
    mistakes={
        "straight lines: both ways are half cosines": lambda t, n, peak, warm: _cycle(
            t, n, peak, warm, shape=_line
        ),
        "a quarter of a cosine, with a kink at one end: (1 + cos πs)/2 is level at "
        "both": lambda t, n, peak, warm: _cycle(t, n, peak, warm, shape=_quarter),
        "the summit comes one step late: steps count from 0, so it is at warm · total − "
        "1": lambda t, n, peak, warm: _cycle(t, n, peak, warm, late=0),
        "the end is the *start* divided by 10,000; yours is the peak divided by "
        "10,000": lambda t, n, peak, warm: _cycle(t, n, peak, warm, last=1e-4),
        "you end where you began: the last steps should be far smaller than the "
        "first": lambda t, n, peak, warm: _cycle(t, n, peak, warm, last=1 / 25),
        "you begin at 0: the start is the peak divided by 25": lambda t, n, peak, warm: _cycle(
            t, n, peak, warm, first=0.0
        ),
        "you begin at the peak divided by 10: the factor is 25": lambda t, n, peak, warm: _cycle(
            t, n, peak, warm, first=0.1
        ),
        "the rise takes the share 1 − warm: the two parts are exchanged": lambda t, n, peak, warm: (
            _cycle(t, n, peak, 1 - warm)
        ),
        "down first, then up: that is the way of the momentum": _upside_down,
        "the way down runs on the clock of the whole run: it must start at 1 when the rise "
        "ends": _one_clock,
        "the rates are right for a peak of 1: multiply": lambda t, n, peak, warm: one_cycle(
            t, n, 1.0, warm
        ),
        "yours rises, but stays at the summit": lambda t, n, peak, warm: torch.where(
            t <= warm * n - 1, one_cycle(t, n, peak, warm), torch.full_like(t, peak)
        ),
    },
)

WARMUP_COSINE = Exercise(
    name="warmup_cosine",
    reference=warmup_cosine,
    draw=_draw_warmup,
    edges=(
        (double([0, 2])[0], 6, 1.0, 2),
        (double([0, 1, 2, 3, 4, 5, 6, 7])[0], 8, 1.0, 4),
        (double([0, 99, 100, 1050, 1999])[0], 2000, 0.3, 100),
    ),
    mistakes={
        "your first step has a rate of 0, and is wasted: the ramp counts from "
        "1": lambda t, n, peak, warm: (
            peak * torch.where(t < warm, t / warm, _half((t - warm) / (n - warm)))
        ),
        "the cosine has been running since step 0, and the rate jumps at the handover: start "
        "its clock at warm": lambda t, n, peak, warm: (
            peak * torch.where(t < warm, (t + 1) / warm, _half(t / n))
        ),
        "the cosine is stretched over total steps, but has only total − warm: it never gets to "
        "0": lambda t, n, peak, warm: (
            peak * torch.where(t < warm, (t + 1) / warm, _half((t - warm) / n))
        ),
        "the rate becomes negative: (1 + cos)/2, not cos": lambda t, n, peak, warm: (
            peak
            * (torch.where(t < warm, (t + 1) / warm, torch.cos(math.pi * (t - warm) / (n - warm))))
        ),
        "a whole turn: the rate comes back up at the end": lambda t, n, peak, warm: (
            peak * (torch.where(t < warm, (t + 1) / warm, _half(2 * (t - warm) / (n - warm))))
        ),
        "the two are multiplied: one hands over to the other": lambda t, n, peak, warm: (
            peak * (((t + 1) / warm).clamp(max=1) * _half(t / n))
        ),
        "the lower of the two is taken: one hands over to the other": lambda t, n, peak, warm: (
            peak * torch.minimum((t + 1) / warm, _half(t / n))
        ),
        "after the ramp the rate falls in a straight line": lambda t, n, peak, warm: (
            peak * (torch.where(t < warm, (t + 1) / warm, 1 - (t - warm) / (n - warm)))
        ),
        "after the ramp the rate stays level": lambda t, n, peak, warm: (
            peak * (((t + 1) / warm).clamp(max=1))
        ),
        "the ramp is a cosine as well: a straight line is asked for": lambda t, n, peak, warm: (
            peak * torch.where(t < warm, 1 - _half((t + 1) / warm), _half((t - warm) / (n - warm)))
        ),
        "there is no ramp: the first steps have the whole peak": lambda t, n, peak, warm: (
            peak * (_half((t - warm).clamp(min=0) / (n - warm)))
        ),
        "the rates are right for a peak of 1: multiply": lambda t, n, peak, warm: warmup_cosine(
            t, n, 1.0, warm
        ),
    },
)

DISCRIMINATIVE_STEP = Exercise(
    name="discriminative_step",
    reference=discriminative_step,
    draw=_draw_groups,
    edges=(
        (torch.zeros(3, 2).double(), torch.ones(3, 2).double(), 0.01, 1.0),
        (double([1, 2], [3, 4]), double([1, 1], [1, 1]), 0.1, 1.0),
        (double([1, 2]), double([1, 1]), 0.1, 1.0),
    ),
    mistakes={
        "the rates are equally spaced: here each is the last one times the same "
        "factor": lambda w, g, lo, hi: _with_rates(
            w, g, torch.linspace(lo, hi, len(w)).double() if len(w) > 1 else _geometric(1, lo, hi)
        ),
        "the first group has the large rate: it is the earliest layers that should move "
        "least": lambda w, g, lo, hi: _with_rates(w, g, _geometric(len(w), lo, hi).flip(0)),
        "there are G rates and G − 1 factors between them: your last group never reaches "
        "hi": lambda w, g, lo, hi: _with_rates(w, g, lo * (hi / lo) ** (_steps(len(w)) / len(w))),
        "your first group has moved one place too far: it should have lo": lambda w, g, lo, hi: (
            _with_rates(w, g, lo * (hi / lo) ** ((_steps(len(w)) + 1) / len(w)))
        ),
        "one factor for each group: hi/lo is the factor between the first and the last, not "
        "between neighbours": lambda w, g, lo, hi: _with_rates(
            w, g, lo * (hi / lo) ** _steps(len(w))
        ),
        "every group has the rate lo": lambda w, g, lo, hi: w - lo * g,
        "every group has the rate hi": lambda w, g, lo, hi: w - hi * g,
        "all but the last have a tenth of hi: that is fastai's `slice(hi)`, with one "
        "end": lambda w, g, lo, hi: _with_rates(
            w, g, torch.tensor([hi / 10] * (len(w) - 1) + [hi], dtype=torch.float64)
        ),
        "you spread the rates along the numbers of a group, not along the "
        "groups": lambda w, g, lo, hi: w - _geometric(w.shape[1], lo, hi).to(w) * g,
        "you walk uphill": lambda w, g, lo, hi: 2 * w - discriminative_step(w, g, lo, hi),
        "these are the moves: add them to the weights": lambda w, g, lo, hi: discriminative_step(
            torch.zeros_like(w), g, lo, hi
        ),
    },
)

EXERCISES = (ONE_CYCLE, WARMUP_COSINE, DISCRIMINATIVE_STEP)
