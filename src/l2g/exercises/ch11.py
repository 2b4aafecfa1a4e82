"""The exercises of chapter 11, adaptive methods: right answers, test cases, known mistakes."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from l2g.exercises import Exercise, Inputs, double, draw_int

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def corrected_average(x: Tensor, beta: float) -> Tensor:
    """Values (T, n) to their exponential moving average, corrected for its start at 0, (T, n)."""
    return _average(x, beta) / _weight(x, beta)


def adam_step(w: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int) -> Tensor:
    """One step of Adam at a rate of 0.001: the new w, m and v, each (n,), as rows of (3, n)."""
    return _adam(w, g, m, v, t)


def adamw(w: Tensor, gradients: Tensor, weight_decay: float) -> Tensor:
    """Weights (n,) after a step of AdamW, at a rate of 0.01, for each row of gradients (T, n)."""
    return _adamw(w, gradients, weight_decay)


# Right answers with one part to exchange: a mistake exchanges it.


def _count(x: Tensor) -> Tensor:
    return torch.arange(1, len(x) + 1)[:, None]


def _weight(x: Tensor, beta: float, ahead: int = 0) -> Tensor:
    """1 − βᵗ, computed in double precision: it is a difference of nearly equal numbers."""
    return (1 - beta ** (_count(x).double() + ahead)).to(x.dtype)


def _average(x: Tensor, beta: float, new: float | None = None) -> Tensor:
    """a ← βa + (1−β)x from a = 0; ``new`` stands in the place of 1−β."""
    a, rows = torch.zeros_like(x[0]), []
    for value in x:
        a = beta * a + (1 - beta if new is None else new) * value
        rows.append(a)
    return torch.stack(rows)


Part = Callable[[Tensor, Tensor], Tensor]
Correction = Callable[[int], float]


def _first(m: Tensor, g: Tensor) -> Tensor:
    return BETA1 * m + (1 - BETA1) * g


def _second(v: Tensor, g: Tensor) -> Tensor:
    return BETA2 * v + (1 - BETA2) * g * g


def _quotient(m: Tensor, v: Tensor) -> Tensor:
    return m / (v.sqrt() + EPS)


def _by1(t: int) -> float:
    return 1 - BETA1**t


def _by2(t: int) -> float:
    return 1 - BETA2**t


def _one(t: int) -> float:
    return 1.0


def _adam(
    w: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    t: int,
    *,
    lr: float = 0.001,
    first: Part = _first,
    second: Part = _second,
    by1: Correction = _by1,
    by2: Correction = _by2,
    quotient: Part = _quotient,
) -> Tensor:
    m, v = first(m, g), second(v, g)
    return torch.stack([w - lr * quotient(m / by1(t), v / by2(t)), m, v])


def _keeps_corrected(w: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int) -> Tensor:
    w, m, v = _adam(w, g, m, v, t)
    return torch.stack([w, m / _by1(t), v / _by2(t)])


def _adamw(
    w: Tensor,
    gradients: Tensor,
    weight_decay: float,
    *,
    rate: float = 0.01,
    coupled: float = 0.0,
    after: bool = False,
    quotient: Part = _quotient,
    corrected: bool = True,
) -> Tensor:
    keep = 1 - rate * weight_decay
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        g = g + coupled * weight_decay * w
        w = w if after else keep * w
        by1, by2 = (_by1, _by2) if corrected else (_one, _one)
        w, m, v = _adam(w, g, m, v, t, lr=0.01, by1=by1, by2=by2, quotient=quotient)
        w = keep * w if after else w
    return w


def _decays_inside_the_quotient(w: Tensor, gradients: Tensor, weight_decay: float) -> Tensor:
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        _, m, v = _adam(w, g, m, v, t)
        w = w - 0.01 * _quotient(m / _by1(t) + weight_decay * w, v / _by2(t))
    return w


def _draw_tensor(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Now and then large, now and then tiny, now and then in single precision."""
    scale = (1.0, 1.0, 3.0, 2000.0, 1e-5)[draw_int(0, 4, generator)]
    dtype = (torch.float64, torch.float64, torch.float32)[draw_int(0, 2, generator)]
    return (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).to(dtype)


def _draw_values(generator: Generator) -> Inputs:
    """Values (T, n), 2–6 of them in 1–4 columns, and β."""
    shape = draw_int(2, 6, generator), draw_int(1, 4, generator)
    return _draw_tensor(shape, generator), (0.5, 0.9, 0.95, 0.3)[draw_int(0, 3, generator)]


def _draw_step(generator: Generator) -> Inputs:
    """w, g, m, v, each (n,), and the number of the step."""
    w, g, m, v = _draw_tensor((4, draw_int(1, 4, generator)), generator)
    t = draw_int(1, 10, generator)
    return (w, g, 0.3 * m, v.square(), t) if t > 1 else (w, g, 0 * m, 0 * v, t)


def _draw_path(generator: Generator) -> Inputs:
    """w (n,), gradients (T, n) and λ."""
    rows = _draw_tensor((draw_int(3, 6, generator), draw_int(1, 4, generator)), generator)
    return rows[0], rows[1:], (0.01, 0.1, 1.0, 5.0)[draw_int(0, 3, generator)]


# How they go wrong


def _from_first(x: Tensor, beta: float) -> Tensor:
    rows = [x[0]]
    for value in x[1:]:
        rows.append(beta * rows[-1] + (1 - beta) * value)
    return torch.stack(rows)


def _feeds_back(x: Tensor, beta: float) -> Tensor:
    a, rows = torch.zeros_like(x[0]), []
    for t, value in enumerate(x, start=1):
        a = (beta * a + (1 - beta) * value) / (1 - beta**t)
        rows.append(a)
    return torch.stack(rows)


CORRECTED_AVERAGE = Exercise(
    name="corrected_average",
    reference=corrected_average,
    draw=_draw_values,
    edges=(
        (double([1, 1], [1, 1]), 0.9),
        (double([2], [0], [0]), 0.5),
        (double([1000, -1000], [0, 5]), 0.95),
        (double([1, 2], [3, 4]), 0.0),
    ),
    mistakes={
        "this is the average as it comes: after t values its weights sum to 1 − βᵗ only": _average,
        "you multiply by 1 − βᵗ: the raw average is too small, so which way must the correction "
        "go?": lambda x, beta: _average(x, beta) * _weight(x, beta),
        "division by 0 in the first row: t counts from 1": lambda x, beta: (
            _average(x, beta) / _weight(x, beta, ahead=-1)
        ),
        "it starts at the first value, which then keeps too much weight: start at 0": _from_first,
        "β and 1 − β are exchanged: β belongs to the old average": lambda x, beta: (
            _average(x, 1 - beta, beta) / _weight(x, beta)
        ),
        "the corrected value goes back into the recursion: keep the raw average and correct a "
        "copy": _feeds_back,
        "all values count the same in your result: the newest should count most": lambda x, beta: (
            x.cumsum(dim=0) / _count(x)
        ),
        "(1 − β)ᵗ is not 1 − βᵗ: what is the sum of the geometric series?": lambda x, beta: (
            _average(x, beta) / (1 - beta) ** _count(x)
        ),
        "the new value enters with weight 1, as in a momentum buffer; an average needs "
        "1 − β": lambda x, beta: _average(x, beta, 1.0) / _weight(x, beta),
        "only the last average comes back: all T are asked for, one in each row": lambda x, beta: (
            corrected_average(x, beta)[-1]
        ),
    },
)


ADAM_STEP = Exercise(
    name="adam_step",
    reference=adam_step,
    draw=_draw_step,
    edges=(
        (double(1, -1), double(2, -0.5), double(0, 0), double(0, 0), 1),
        (double(0), double(1e-8), double(0), double(0), 1),
        (double(0, 5), double(1e-6, 1), double(1e-7, 0), double(1e-12, 1), 2),
        (double(1000, 1), double(0, 3), double(0.5, -1), double(0.25, 4), 7),
    ),
    mistakes={
        "ε stands inside the root: √(v + ε) is 10⁻⁴ where v is 0, while √v + ε is 10⁻⁸": (
            lambda *x: _adam(*x, quotient=lambda m, v: m / (v + EPS).sqrt())
        ),
        "the averages start at 0 and nothing corrects that: divide each by 1 − βᵗ": (
            lambda *x: _adam(*x, by1=_one, by2=_one)
        ),
        "m is corrected, v is not": lambda *x: _adam(*x, by2=_one),
        "v is corrected, m is not": lambda *x: _adam(*x, by1=_one),
        "both averages are corrected with β₁: each has its own": lambda *x: _adam(*x, by2=_by1),
        "the correction has the exponent t + 1: t is the number of this step already": (
            lambda *x: _adam(*x, by1=lambda t: _by1(t + 1), by2=lambda t: _by2(t + 1))
        ),
        "the square of an average is not the average of squares: square g, not the sum": (
            lambda *x: _adam(*x, second=lambda v, g: (BETA2 * v + (1 - BETA2) * g).square())
        ),
        "β₁ and β₂ are exchanged": lambda *x: _adam(
            *x,
            first=lambda m, g: BETA2 * m + (1 - BETA2) * g,
            second=lambda v, g: BETA1 * v + (1 - BETA1) * g * g,
            by1=_by2,
            by2=_by1,
        ),
        "the step goes uphill": lambda *x: _adam(*x, lr=-0.001),
        "the new gradient enters m with weight 1: an average needs 1 − β₁": lambda *x: _adam(
            *x, first=lambda m, g: BETA1 * m + g
        ),
        "the corrected averages are returned: the next step would correct them again, so return "
        "the raw ones": _keeps_corrected,
    },
)


ADAMW = Exercise(
    name="adamw",
    reference=adamw,
    draw=_draw_path,
    edges=(
        (double(1, -2), double([1, 1], [1, -1]), 0.1),
        (double(3), double([100], [100], [-50]), 1.0),
        (double(1000, 1), double([1e-6, 1e-8], [0, 1e-7]), 0.5),
        (double(0, 5), double([0, 0], [0, 0]), 2.0),
    ),
    mistakes={
        "λw has gone into the gradient: this is Adam with L2, where the decay is divided by "
        "√v. What would happen to a weight with gradients of size 100?": lambda *x: _adamw(
            *x, rate=0.0, coupled=1.0
        ),
        "λw stands in the numerator beside m, so it is divided by √v as well": (
            _decays_inside_the_quotient
        ),
        "both: the weights shrink, and λw is in the gradient": lambda *x: _adamw(*x, coupled=1.0),
        "w shrinks by 1 − λ: the learning rate belongs to the decay, too": lambda *x: _adamw(
            *x, rate=1.0
        ),
        "the weights shrink after Adam's step: in PyTorch they shrink before, so that the step "
        "itself is not decayed": lambda *x: _adamw(*x, after=True),
        "the weights grow: look at the sign of the decay": lambda *x: _adamw(*x, rate=-0.01),
        "there is no decay in it": lambda *x: _adamw(*x, rate=0.0),
        "the decay acts once, not at every step": lambda w, gradients, strength: _adamw(
            w * (1 - 0.01 * strength), gradients, 0.0
        ),
        "the bias of the averages is not corrected": lambda *x: _adamw(*x, corrected=False),
        "ε is inside the root; it belongs beside it": lambda *x: _adamw(
            *x, quotient=lambda m, v: m / (v + EPS).sqrt()
        ),
    },
)

EXERCISES = (CORRECTED_AVERAGE, ADAM_STEP, ADAMW)
