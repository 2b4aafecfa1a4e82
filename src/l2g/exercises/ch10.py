"""The exercises of chapter 10, momentum: right answers, test cases, known mistakes."""

import torch
from torch import Generator, Tensor

from l2g.exercises import Exercise, Inputs, double, draw_int


def momentum_steps(gradients: Tensor, lr: Tensor, momentum: float) -> Tensor:
    """Gradients (T, N) and the rates (T,) of the steps to positions (T, N) after each, from 0."""
    return _walk(gradients, lr, momentum)


def nesterov_step(theta: Tensor, u: Tensor, hessian: Tensor, lr: float, momentum: float) -> Tensor:
    """One step of the textbook's form where ∇L(θ) = Hθ; the new θ and u as rows, (2, N)."""
    new_u = momentum * u - lr * hessian @ (theta + momentum * u)
    return torch.stack([theta + new_u, new_u])


def optimal_momentum(eigenvalues: Tensor) -> Tensor:
    """The heavy ball's best (η, μ), shape (2,), for a quadratic with these eigenvalues (N,)."""
    high, low = _roots(eigenvalues)
    return _pair(4 / (high + low) ** 2, ((high - low) / (high + low)) ** 2)


def _walk(
    gradients: Tensor,
    lr: Tensor,
    momentum: float,
    share: float = 1.0,
    first: float | None = None,
    nesterov: bool = False,
) -> Tensor:
    """The path of v ← μv + share · g, w ← w − ηv; ``first`` is the share of the first gradient."""
    v, w, path = torch.zeros_like(gradients[0]), torch.zeros_like(gradients[0]), []
    for t, (g, rate) in enumerate(zip(gradients, lr, strict=True)):
        v = momentum * v + (first if t == 0 and first is not None else share) * g
        w = w - rate * (g + momentum * v if nesterov else v)
        path.append(w)
    return torch.stack(path)


def _late(x: Tensor) -> Tensor:
    """The rows one place later, zeros in front."""
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


def _steps(path: Tensor) -> Tensor:
    return path - _late(path)


def _memory(gradients: Tensor, momentum: float) -> Tensor:
    """All the v, (T, N)."""
    return -_steps(_walk(gradients, torch.ones_like(gradients[:, 0]), momentum))


def _roots(eigenvalues: Tensor) -> tuple[Tensor, Tensor]:
    return eigenvalues.max().sqrt(), eigenvalues.min().sqrt()


def _pair(lr: Tensor, momentum: Tensor) -> Tensor:
    return torch.stack([lr, momentum])


def _draw_tensor(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Now and then large, now and then in single precision."""
    scale = (1.0, 3.0, 2000.0)[draw_int(0, 2, generator)]
    dtype = (torch.float64, torch.float64, torch.float32)[draw_int(0, 2, generator)]
    return (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).to(dtype)


def _draw_steps(generator: Generator) -> Inputs:
    """3–6 gradients of 2–4 numbers; rates that change; μ from 0.3 to 0.9."""
    gradients = _draw_tensor((draw_int(3, 6, generator), draw_int(2, 4, generator)), generator)
    lr = 0.05 + torch.rand(len(gradients), generator=generator, dtype=torch.float64)
    return gradients, lr.to(gradients.dtype), draw_int(3, 9, generator) / 10


def _draw_state(generator: Generator) -> Inputs:
    """θ and u of 2–4 numbers, a symmetric Hessian, η from 0.1 to 0.4, μ from 0.3 to 0.9."""
    n = draw_int(2, 4, generator)
    theta, u = _draw_tensor((2, n), generator)
    factor = torch.randn(n, n, generator=generator, dtype=torch.float64).to(theta.dtype)
    rates = draw_int(1, 4, generator) / 10, draw_int(3, 9, generator) / 10
    return theta, u, factor @ factor.T, *rates


def _draw_eigenvalues(generator: Generator) -> Inputs:
    """2–6 positive numbers from 0.03 to 3,000, in any order."""
    n = draw_int(2, 6, generator)
    exponents = 5 * torch.rand(n, generator=generator, dtype=torch.float64) - 1.5
    dtype = (torch.float64, torch.float64, torch.float32)[draw_int(0, 2, generator)]
    return ((10**exponents).to(dtype),)


MOMENTUM_STEPS = Exercise(
    name="momentum_steps",
    reference=momentum_steps,
    draw=_draw_steps,
    edges=(
        (double([1, 0], [1, 0], [1, 0]), double([1, 1, 1])[0], 0.5),
        (double([1, 2]), double([0.1])[0], 0.9),
        (double([1, 0], [0, 1], [0, 0], [0, 0]), double([1, 1, 0.1, 0.1])[0], 0.5),
    ),
    mistakes={
        "in yours, a gradient keeps the rate of its own time, as in the textbook's form: in "
        "PyTorch's, the rate of the present step multiplies the whole memory": lambda g, lr, mu: (
            _walk(lr[:, None] * g, torch.ones_like(lr), mu)
        ),
        "yours is an average, with 1 − μ in front of the gradient: the memory asked for is a "
        "sum": lambda g, lr, mu: _walk(g, lr, mu, share=1 - mu),
        "your first gradient enters whole and the others with 1 − μ: that is PyTorch's "
        "`dampening`, which is 0 by default": lambda g, lr, mu: _walk(
            g, lr, mu, share=1 - mu, first=1.0
        ),
        "only this gradient and the one before it count: the memory must remember itself, not "
        "the last gradient": lambda g, lr, mu: -(lr[:, None] * (g + mu * _late(g))).cumsum(0),
        "plain gradient descent: the memory plays no part": lambda g, lr, mu: (
            -(lr[:, None] * g).cumsum(0)
        ),
        "you walk uphill: which sign has the step?": lambda g, lr, mu: -_walk(g, lr, mu),
        "these are the steps; the positions are their running sum": lambda g, lr, mu: _steps(
            _walk(g, lr, mu)
        ),
        "these are the memories v; the weights are asked for": lambda g, lr, mu: _memory(g, mu),
        "the newest gradient counts once more than it should: this is Nesterov's "
        "step": lambda g, lr, mu: _walk(g, lr, mu, nesterov=True),
        "you step before you remember: the newest gradient must enter v first": lambda g, lr, mu: (
            -(lr[:, None] * _late(_memory(g, mu))).cumsum(0)
        ),
        "μ multiplies the new gradient as well: it has not aged yet": lambda g, lr, mu: _walk(
            g, lr, mu, share=mu
        ),
        "nothing is ever forgotten: where does μ come in?": lambda g, lr, mu: _walk(g, lr, 1.0),
        "the list begins with the start and misses the last position: note the position after "
        "each step": lambda g, lr, mu: _late(_walk(g, lr, mu)),
        "the rate of the first step is used for all": lambda g, lr, mu: _walk(
            g, lr[:1].expand_as(lr), mu
        ),
    },
)


def _after(theta: Tensor, new_u: Tensor) -> Tensor:
    return torch.stack([theta + new_u, new_u])


NESTEROV_STEP = Exercise(
    name="nesterov_step",
    reference=nesterov_step,
    draw=_draw_state,
    edges=(
        (double([1, 0])[0], double([0, 1])[0], double([1, 0], [0, 2]), 0.1, 0.5),
        (double([0, 0])[0], double([1, 2])[0], double([2, 1], [1, 3]), 0.2, 0.9),
    ),
    mistakes={
        "the slope is asked at θ itself: that is the heavy ball. Where will the velocity have "
        "carried you?": lambda w, u, h, lr, mu: _after(w, mu * u - lr * h @ w),
        "you look ahead by the whole u: friction lets only a share of it "
        "survive": lambda w, u, h, lr, mu: _after(w, mu * u - lr * h @ (w + u)),
        "you look ahead along the gradient: it is the velocity that you know before the slope "
        "is asked": lambda w, u, h, lr, mu: _after(w, mu * u - lr * h @ (w - lr * h @ w)),
        "you look back, to θ − μu: u points to where the move goes, unlike PyTorch's "
        "v": lambda w, u, h, lr, mu: _after(w, mu * u - lr * h @ (w - mu * u)),
        "you start from the point ahead: the slope is asked there, but the step starts from "
        "θ": lambda w, u, h, lr, mu: (
            nesterov_step(w, u, h, lr, mu) + torch.stack([mu * u, torch.zeros_like(u)])
        ),
        "the rows are exchanged: θ comes first": lambda w, u, h, lr, mu: nesterov_step(
            w, u, h, lr, mu
        ).flip(0),
        "you walk uphill: the gradient enters u with a minus": lambda w, u, h, lr, mu: _after(
            w, mu * u + lr * h @ (w + mu * u)
        ),
        "the slope is right, but the old velocity has been lost on the "
        "way": lambda w, u, h, lr, mu: _after(w, -lr * h @ (w + mu * u)),
        "the velocity meets no friction: μ belongs to its first term, "
        "too": lambda w, u, h, lr, mu: _after(w, u - lr * h @ (w + mu * u)),
        "the first row is PyTorch's point, one look ahead of the new θ": lambda w, u, h, lr, mu: (
            nesterov_step(w, u, h, lr, mu)
            + torch.stack([mu * nesterov_step(w, u, h, lr, mu)[1], torch.zeros_like(u)])
        ),
        "the rate multiplies the old velocity as well: in this form it is part of u "
        "already": lambda w, u, h, lr, mu: _after(w, lr * (mu * u - h @ (w + mu * u))),
        "the rate is missing": lambda w, u, h, lr, mu: _after(w, mu * u - h @ (w + mu * u)),
        "θ moves by the old velocity: let it move by the new one": lambda w, u, h, lr, mu: (
            torch.stack([w + u, mu * u - lr * h @ (w + mu * u)])
        ),
    },
)


def _square(x: Tensor) -> Tensor:
    return x * x


def _classic_nesterov(e: Tensor) -> Tensor:
    high, low = _roots(e)
    return _pair(1 / e.max(), (high - low) / (high + low))


def _quadratic_nesterov(e: Tensor) -> Tensor:
    root = (3 * e.max() / e.min() + 1).sqrt()
    return _pair(4 / (3 * e.max() + e.min()), (root - 2) / (root + 2))


def _best(e: Tensor) -> tuple[Tensor, Tensor]:
    lr, momentum = optimal_momentum(e)
    return lr, momentum


OPTIMAL_MOMENTUM = Exercise(
    name="optimal_momentum",
    reference=optimal_momentum,
    draw=_draw_eigenvalues,
    edges=(
        (double([1, 4])[0],),
        (double([9, 1])[0],),
        (double([1, 100, 10])[0],),
        (double([4, 9, 1, 9])[0],),
        (double([2, 2])[0],),
        (double([50, 2000, 1])[0],),
    ),
    mistakes={
        "your second number is √μ, the factor per step: square it": lambda e: _pair(
            _best(e)[0], _best(e)[1].sqrt()
        ),
        "the two are exchanged: the rate comes first": lambda e: optimal_momentum(e).flip(0),
        "your μ has κ where √κ belongs: with it, memory would gain nothing": lambda e: _pair(
            _best(e)[0], _square((e.max() - e.min()) / (e.max() + e.min()))
        ),
        "1/λ_max is a careful rate; at the best pair, the largest eigenvalue sits at the upper "
        "edge of the swinging band": lambda e: _pair(1 / e.max(), _best(e)[1]),
        "2/(λ_max + λ_min) is the best rate of gradient descent, without memory": lambda e: _pair(
            2 / (e.max() + e.min()), _best(e)[1]
        ),
        "the sum of the roots must be squared in the rate: a rate has the units of 1/λ": lambda e: (
            _pair(4 / torch.stack(_roots(e)).sum(), _best(e)[1])
        ),
        "4/(λ_max + λ_min): first take the roots, then add them, then square": lambda e: _pair(
            4 / (e.max() + e.min()), _best(e)[1]
        ),
        "this is the classic pair for Nesterov's method; the heavy ball stands a larger "
        "rate": _classic_nesterov,
        "this is the best pair for Nesterov's method on a quadratic, not for the heavy "
        "ball": _quadratic_nesterov,
        "you take the first and the last eigenvalue: they come in no particular order": lambda e: (
            optimal_momentum(torch.stack([e[0], e[-1]]))
        ),
        "2(1 + μ)/λ_max is the brink of divergence: at the best pair the largest eigenvalue "
        "just still swings": lambda e: _pair(2 * (1 + _best(e)[1]) / e.max(), _best(e)[1]),
        "1 − 2/√κ is good for large κ only; the exact fraction is asked for": lambda e: _pair(
            _best(e)[0], _square(1 - 2 * (e.min() / e.max()).sqrt())
        ),
    },
)

EXERCISES = (MOMENTUM_STEPS, NESTEROV_STEP, OPTIMAL_MOMENTUM)
