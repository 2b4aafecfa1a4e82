"""The optimizers of chapter 11: every number of w has a rate of its own."""

from types import SimpleNamespace
from typing import ClassVar

import torch
from torch import Tensor

from l2g.optim.base import Number, Optimizer, Params, State, kept


class Adagrad(Optimizer):
    """G ← G + g², then w ← w − ηg / (√G + ε).

    Source: Duchi, Hazan and Singer (2011), "Adaptive subgradient methods".
    """

    fixed: ClassVar = {"lr_decay": 0}

    def __init__(
        self, params: Params, lr: Number = 1e-2, weight_decay: Number = 0.0, eps: Number = 1e-10
    ) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay, eps=eps)

    def update(self, w: Tensor, g: Tensor, state: State, hyper: SimpleNamespace) -> None:
        state["step"] = state.get("step", 0) + 1  # PyTorch keeps it, too
        G = kept(state, "sum", w)
        G += g * g
        w -= hyper.lr * g / (G.sqrt() + hyper.eps)


class Adadelta(Optimizer):
    """v ← ρv + (1−ρ)g²; Δ = √(u + ε)/√(v + ε) · g; u ← ρu + (1−ρ)Δ²; w ← w − ηΔ.

    Δ has the units of w, so that η = 1, the method of the paper, fits all problems; but η exists.

    Source: Zeiler (2012), "ADADELTA: an adaptive learning rate method", algorithm 1.
    """

    def __init__(
        self,
        params: Params,
        lr: Number = 1.0,
        rho: Number = 0.9,
        eps: Number = 1e-6,
        weight_decay: Number = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)

    def update(self, w: Tensor, g: Tensor, state: State, hyper: SimpleNamespace) -> None:
        state["step"] = state.get("step", 0) + 1  # PyTorch keeps it, too
        v, u = kept(state, "square_avg", w), kept(state, "acc_delta", w)
        v.lerp_(g * g, 1 - hyper.rho)  # lerp: v ← v + (1−ρ)(g² − v)
        delta = (u + hyper.eps).sqrt() / (v + hyper.eps).sqrt() * g
        u.lerp_(delta * delta, 1 - hyper.rho)
        w -= hyper.lr * delta


class RMSprop(Optimizer):
    """v ← αv + (1−α)g², then w ← w − ηg / (√v + ε).

    Source: Tieleman and Hinton (2012), lecture 6.5 of "Neural networks for machine learning".
    """

    fixed: ClassVar = {"momentum": 0, "centered": False}

    def __init__(
        self,
        params: Params,
        lr: Number = 1e-2,
        alpha: Number = 0.99,
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay)

    def update(self, w: Tensor, g: Tensor, state: State, hyper: SimpleNamespace) -> None:
        state["step"] = state.get("step", 0) + 1  # PyTorch keeps it, too
        v = kept(state, "square_avg", w)
        v.lerp_(g * g, 1 - hyper.alpha)
        w -= hyper.lr * g / (v.sqrt() + hyper.eps)


class Adam(Optimizer):
    """m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; then w ← w − η m̂ / (√v̂ + ε).

    m̂ = m/(1−β₁ᵗ) and v̂ = v/(1−β₂ᵗ) correct the bias of averages that start at 0. PyTorch has no
    ``bias_correction=False``; it is here to show what the correction is for.

    Source: Kingma and Ba (2015), "Adam: a method for stochastic optimization", algorithm 1.
    """

    fixed: ClassVar = {"amsgrad": False, "decoupled_weight_decay": False}

    def __init__(
        self,
        params: Params,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        bias_correction: bool = True,
    ) -> None:
        hyper = {"eps": eps, "weight_decay": weight_decay, "bias_correction": bias_correction}
        super().__init__(params, lr=lr, betas=betas, **hyper)

    def update(self, w: Tensor, g: Tensor, state: State, hyper: SimpleNamespace) -> None:
        beta1, beta2 = hyper.betas
        t = state["step"] = state.get("step", 0) + 1
        m, v = kept(state, "exp_avg", w), kept(state, "exp_avg_sq", w)
        m.lerp_(g, 1 - beta1)
        v.lerp_(g * g, 1 - beta2)
        v = self.divisor(v, state)
        if hyper.bias_correction:
            m, v = m / (1 - beta1**t), v / (1 - beta2**t)
        w -= hyper.lr * m / (v.sqrt() + hyper.eps)

    def divisor(self, v: Tensor, state: State) -> Tensor:
        return v


class AMSGrad(Adam):
    """Adam that divides by the largest v so far, so that its rates never grow back.

    Source: Reddi, Kale and Kumar (2018), algorithm 2; with bias correction, as PyTorch has it.
    """

    fixed = Adam.fixed | {"amsgrad": True}

    def divisor(self, v: Tensor, state: State) -> Tensor:
        largest = kept(state, "max_exp_avg_sq", v)
        return torch.maximum(largest, v, out=largest)


class AdamW(Adam):
    """Adam with decoupled decay: w ← w − ηλw, then Adam's step, whose averages know no λ.

    Source: Loshchilov and Hutter (2019), algorithm 2; the decay times the rate, as PyTorch has it.
    """

    fixed = Adam.fixed | {"decoupled_weight_decay": True}

    def __init__(
        self,
        params: Params,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 1e-2,
        bias_correction: bool = True,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, bias_correction)

    def decayed(self, g: Tensor, w: Tensor, hyper: SimpleNamespace) -> Tensor:
        w.mul_(1 - hyper.lr * hyper.weight_decay)
        return g
