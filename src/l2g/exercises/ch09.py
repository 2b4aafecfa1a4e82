"""The exercises of chapter 9, gradient descent: right answers, test cases, known mistakes."""

import torch
from torch import Generator, Tensor

from l2g.exercises import Exercise, Inputs, double, draw_dtype, draw_int


def best_rate(A: Tensor) -> Tensor:
    """The best learning rate and its factor per step, (2,), for curvatures of A (P, P) > 0."""
    low, high = _ends(A)
    return _pair(2 / (low + high), (high - low) / (high + low))


def after_steps(A: Tensor, e: Tensor, lr: float, t: int) -> Tensor:
    """Distance (P,) from the minimum after t steps from e (P,); A (P, P) is symmetric."""
    curvatures, q = torch.linalg.eigh(A)
    return q @ ((1 - lr * curvatures) ** t * (q.T @ e))


def top_curvature(A: Tensor, v: Tensor, steps: int) -> Tensor:
    """Rayleigh quotient, a scalar, of v (P,) multiplied ``steps`` times by the symmetric A."""
    return _quotient(A, _power(A, v, steps))


def _ends(A: Tensor) -> tuple[Tensor, Tensor]:
    curvatures = torch.linalg.eigvalsh(A)
    return curvatures[0], curvatures[-1]


def _pair(rate: Tensor, factor: Tensor) -> Tensor:
    return torch.stack([rate, factor])


def _quotient(A: Tensor, v: Tensor) -> Tensor:
    return v @ A @ v / (v @ v)


def _power(A: Tensor, v: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        v = A @ v
        v = v / v.norm()
    return v


def _row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _draw_normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _draw_symmetric(generator: Generator, lowest: float) -> Tensor:
    """2–5 curvatures between ``lowest`` and 1, turned at random; now and then times 3 or 4000."""
    dim = draw_int(2, 5, generator)
    spread = torch.rand(dim, generator=generator, dtype=torch.float64)
    curvatures = lowest + (1 - lowest) * spread
    q = torch.linalg.qr(_draw_normal((dim, dim), generator)).Q
    scale = (1.0, 1.0, 3.0, 4000.0)[draw_int(0, 3, generator)]
    A = q @ (scale * curvatures).diag() @ q.T
    return (A + A.T) / 2


def _draw_positive(generator: Generator) -> Inputs:
    return (_draw_symmetric(generator, 0.05).to(draw_dtype(generator)),)


def _draw_descent(generator: Generator) -> Inputs:
    """A rate between 0.2 and 1.2 times the limit, 1–6 steps."""
    A, dtype = _draw_symmetric(generator, 0.05), draw_dtype(generator)
    share = 0.2 + torch.rand((), generator=generator).item()
    lr = share * 2 / torch.linalg.eigvalsh(A)[-1].item()
    e = _draw_normal((len(A),), generator)
    return A.to(dtype), e.to(dtype), lr, draw_int(1, 6, generator)


def _draw_power(generator: Generator) -> Inputs:
    """Curvatures of both signs; 1–5 steps, now and then 20."""
    A, dtype = _draw_symmetric(generator, -0.6), draw_dtype(generator)
    v = _draw_normal((len(A),), generator)
    return A.to(dtype), v.to(dtype), (*range(1, 6), 20)[draw_int(0, 5, generator)]


BEST_RATE = Exercise(
    name="best_rate",
    reference=best_rate,
    draw=_draw_positive,
    edges=(
        (double([1, 0], [0, 9]),),
        (double([9, 0], [0, 1]),),
        (double([2, 1], [1, 2]),),
        (double([1, 0, 0], [0, 4, 0], [0, 0, 9]),),
        (double([2000, 1000], [1000, 2000]).float(),),
    ),
    mistakes={
        "the rate is the limit of stability: there the steepest direction swings forever. Where "
        "are the steepest and the flattest equally slow?": lambda A: _pair(
            2 / _ends(A)[1], best_rate(A)[1]
        ),
        "1/λmax is safe and stops the steepest direction in one step, but the flattest one could "
        "use more": lambda A: _pair(1 / _ends(A)[1], 1 - _ends(A)[0] / _ends(A)[1]),
        "the rate is right; the factor is that of the rate 1/λmax. Insert η* into "
        "1 − ηλmin": lambda A: _pair(best_rate(A)[0], 1 - _ends(A)[0] / _ends(A)[1]),
        "the factor is squared: that is how the loss shrinks; asked for is the "
        "distance": lambda A: _pair(best_rate(A)[0], best_rate(A)[1] ** 2),
        "the factor is negative: κ is the largest curvature over the smallest": lambda A: _pair(
            best_rate(A)[0], -best_rate(A)[1]
        ),
        "the factor exceeds 1: nothing would converge. Which of κ − 1 and κ + 1 stands "
        "above?": lambda A: _pair(best_rate(A)[0], 1 / best_rate(A)[1]),
        "κ itself is returned; the factor per step is made from it": lambda A: _pair(
            best_rate(A)[0], _ends(A)[1] / _ends(A)[0]
        ),
        "with roots of κ this is the factor of momentum with its best settings (chapter "
        "10)": lambda A: _pair(
            best_rate(A)[0],
            (_ends(A)[1].sqrt() - _ends(A)[0].sqrt()) / (_ends(A)[1].sqrt() + _ends(A)[0].sqrt()),
        ),
        "the rate is half of what it should be: solve 1 − ηλmin = ηλmax − 1 again": lambda A: _pair(
            best_rate(A)[0] / 2, best_rate(A)[1]
        ),
        "a minus in the rate: collecting the terms with η gives η(λmin + λmax)": lambda A: _pair(
            2 / (_ends(A)[1] - _ends(A)[0]), best_rate(A)[1]
        ),
        "the two are in the wrong order: first the rate, then the factor": lambda A: best_rate(
            A
        ).flip(0),
        "the trace adds up all curvatures; only the smallest and the largest count": lambda A: (
            _pair(2 / A.trace(), best_rate(A)[1])
        ),
        "the diagonal holds the curvatures only if A is diagonal: what are they "
        "in general?": lambda A: best_rate(A.diag().diag()),
        "the largest and smallest entries are not curvatures: take the eigenvalues": lambda A: (
            _pair(2 / (A.max() + A.min()), (A.max() - A.min()) / (A.max() + A.min()))
        ),
    },
)


def _basis(A: Tensor) -> Tensor:
    return torch.linalg.eigh(A).eigenvectors


def _walk(A: Tensor, e: Tensor, factor: Tensor) -> Tensor:
    """Into the eigenbasis of A, times the factor of each direction, and back."""
    q = _basis(A)
    return q @ (factor * (q.T @ e))


def _factors(A: Tensor, lr: float) -> Tensor:
    return 1 - lr * torch.linalg.eigvalsh(A)


def _step_matrix(A: Tensor, lr: float) -> Tensor:
    return torch.eye(len(A), dtype=A.dtype) - lr * A


AFTER_STEPS = Exercise(
    name="after_steps",
    reference=after_steps,
    draw=_draw_descent,
    edges=(
        (double([1, 0], [0, 9]), _row(1, 1), 0.2, 1),
        (double([2, 1], [1, 2]), _row(1, 0), 0.5, 2),
        (double([2, 1], [1, 2]), _row(3, -1), 0.1, 0),
        (double([9, 0], [0, 1]), _row(1, 2), 2 / 9, 3),
        (double([2000, 1000], [1000, 2000]).float(), _row(1, 3).float(), 5e-4, 4),
    ),
    mistakes={
        "the way back is missing: this is the result in the eigenbasis": lambda A, e, lr, t: (
            _factors(A, lr) ** t * (_basis(A).T @ e)
        ),
        "the way in is missing: bring e into the eigenbasis before you scale "
        "it": lambda A, e, lr, t: _basis(A) @ (_factors(A, lr) ** t * e),
        "each coordinate is scaled where it stands: A mixes them, so its eigenbasis is "
        "needed": lambda A, e, lr, t: _factors(A, lr) ** t * e,
        "into and back are exchanged: the eigenvectors are the columns of q, so qᵀe are the "
        "coordinates": lambda A, e, lr, t: _basis(A).T @ (_factors(A, lr) ** t * (_basis(A) @ e)),
        "this is steady flow, exp(−ηλt): steps of finite length can "
        "overshoot": lambda A, e, lr, t: _walk(A, e, torch.exp(-lr * t * (1 - _factors(A, 1.0)))),
        "uphill: a step subtracts the gradient": lambda A, e, lr, t: _walk(
            A, e, _factors(A, -lr) ** t
        ),
        "t steps at once with the first gradient: each step has a gradient of its "
        "own": lambda A, e, lr, t: e - lr * t * A @ e,
        "one step too many": lambda A, e, lr, t: after_steps(A, e, lr, t + 1),
        "one step too few": lambda A, e, lr, t: after_steps(A, e, lr, abs(t - 1)),
        "a single step: what does the second one do?": lambda A, e, lr, t: after_steps(A, e, lr, 1),
        "the sign of 1 − ηλ is lost: beyond η = 1/λ a direction jumps from side to "
        "side": lambda A, e, lr, t: _walk(A, e, _factors(A, lr).abs() ** t),
        "every direction shrinks like the steepest one: each has its own "
        "factor": lambda A, e, lr, t: _factors(A, lr)[-1] ** t * e,
        "the diagonal of A holds the curvatures only if A is diagonal": lambda A, e, lr, t: (
            (1 - lr * A.diag()) ** t * e
        ),
        "** takes powers entry by entry: a power of a matrix is "
        "torch.linalg.matrix_power": lambda A, e, lr, t: _step_matrix(A, lr) ** t @ e,
        "this is the way that was made; asked for is what is left": lambda A, e, lr, t: (
            e - after_steps(A, e, lr, t)
        ),
    },
)


def _unscaled(A: Tensor, v: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        v = A @ v
    return v


def _largest_first(A: Tensor, v: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        v = A @ v
        v = v / v.abs().max()
    return v


TOP_CURVATURE = Exercise(
    name="top_curvature",
    reference=top_curvature,
    draw=_draw_power,
    edges=(
        (double([1, 0], [0, 3]), _row(1, 1), 1),
        (double([2, 1], [1, 2]), _row(1, 0), 2),
        (double([-3, 0], [0, 1]), _row(1, 2), 3),
        (double([5, 0], [0, 5]), _row(3, 4), 1),
        (double([3000, 1000], [1000, 3000]).float(), _row(1, 2).float(), 30),
    ),
    mistakes={
        "right, until the length overflows: divide by the norm in each step, not at the "
        "end": lambda A, v, k: _quotient(A, _unscaled(A, v, k)),
        "v is never made a unit vector: the result grows with every step": lambda A, v, k: (
            _unscaled(A, v, k) @ A @ _unscaled(A, v, k)
        ),
        "the largest entry of v is 1, its length is not: divide by the norm before vᵀAv is "
        "read": lambda A, v, k: _largest_first(A, v, k) @ A @ _largest_first(A, v, k),
        "the length of Av has no sign, and is too long as long as v still turns: read "
        "vᵀAv": lambda A, v, k: (A @ _power(A, v, k)).norm(),
        "one multiplication too few: v is multiplied `steps` times, then the quotient is "
        "read": lambda A, v, k: top_curvature(A, v, k - 1),
        "one multiplication too many": lambda A, v, k: top_curvature(A, v, k + 1),
        "this is the quotient of the vector you started from": lambda A, v, k: _quotient(A, v),
        "a single multiplication: repeat it `steps` times": lambda A, v, k: top_curvature(A, v, 1),
        "vᵀv is 1, whatever A is: A stands between them": lambda A, v, k: (
            _power(A, v, k) @ _power(A, v, k)
        ),
        "this is vᵀA²v, nearly the square of the eigenvalue": lambda A, v, k: (
            (A @ _power(A, v, k)) @ (A @ _power(A, v, k))
        ),
        "the largest eigenvalue itself: what does power iteration know after so few "
        "steps?": lambda A, v, k: torch.linalg.eigvalsh(A)[-1],
        "the eigenvalue of largest size itself: what does power iteration know after so few "
        "steps?": lambda A, v, k: max(torch.linalg.eigvalsh(A), key=abs),
        "A * v multiplies entry by entry; a matrix times a vector is A @ v": lambda A, v, k: (
            _entrywise(A, v, k)
        ),
        "the trace adds up all eigenvalues": lambda A, v, k: A.trace(),
        "the vector is returned in place of the number that it gives": lambda A, v, k: _power(
            A, v, k
        ),
    },
)


def _entrywise(A: Tensor, v: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        v = (A * v).sum(dim=0)
        v = v / v.norm()
    return _quotient(A, v)


EXERCISES = (BEST_RATE, AFTER_STEPS, TOP_CURVATURE)
