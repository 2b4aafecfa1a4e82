"""The optimizers of chapters 09 and 10: gradient descent, and the two that have momentum."""

from types import SimpleNamespace
from typing import ClassVar

from torch import Tensor

from l2g.optim.base import Number, Optimizer, Params, State, kept


class SGD(Optimizer):
    """Gradient descent, w ← w − ηg; stochastic if g comes from a batch.

    Source: Robbins and Monro (1951), "A stochastic approximation method".
    """

    fixed: ClassVar = {"momentum": 0, "dampening": 0, "nesterov": False}

    def __init__(self, params: Params, lr: Number = 1e-3, weight_decay: Number = 0.0) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay)

    def update(self, w: Tensor, g: Tensor, state: State, hyper: SimpleNamespace) -> None:
        w -= hyper.lr * g


class Momentum(Optimizer):
    """The heavy ball, in one of two conventions; μ is ``momentum``.

    ``convention="torch"``: v ← μv + g, then w ← w − ηv. The rate of now acts on the whole past.
    ``convention="textbook"``: v ← μv − ηg, then w ← w + v. Each gradient keeps the rate of its
    own time. While η is constant, both walk the same path.

    Source: Polyak (1964); Sutskever et al. (2013), equations 1 and 2.
    """

    fixed: ClassVar = {"dampening": 0, "nesterov": False}

    def __init__(
        self,
        params: Params,
        lr: Number = 1e-3,
        momentum: Number = 0.9,
        weight_decay: Number = 0.0,
        convention: str = "torch",
    ) -> None:
        hyper = {"momentum": momentum, "weight_decay": weight_decay, "convention": convention}
        super().__init__(params, lr=lr, **hyper)

    def update(self, w: Tensor, g: Tensor, state: State, hyper: SimpleNamespace) -> None:
        v = kept(state, "momentum_buffer", w)
        if hyper.convention == "torch":
            v.mul_(hyper.momentum).add_(g)
            w -= hyper.lr * v
        else:
            v.mul_(hyper.momentum).sub_(hyper.lr * g)
            w += v


class Nesterov(Optimizer):
    """Nesterov's accelerated gradient: v ← μv + g, then w ← w − η(g + μv).

    Where the textbook has a point θ and takes the gradient at θ − ημv, this one keeps the
    look-ahead point itself, w = θ − ημv, as PyTorch does.

    Source: Nesterov (1983); Sutskever et al. (2013), equations 3 and 4.
    """

    fixed: ClassVar = {"dampening": 0, "nesterov": True}

    def __init__(
        self, params: Params, lr: Number = 1e-3, momentum: Number = 0.9, weight_decay: Number = 0.0
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)

    def update(self, w: Tensor, g: Tensor, state: State, hyper: SimpleNamespace) -> None:
        v = kept(state, "momentum_buffer", w)
        v.mul_(hyper.momentum).add_(g)
        w -= hyper.lr * (g + hyper.momentum * v)
