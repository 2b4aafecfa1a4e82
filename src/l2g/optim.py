"""The optimizers of chapters 09 to 11, each about as long as its formula.

They take PyTorch's arguments, keep PyTorch's state under PyTorch's names, and take PyTorch's steps:
in double precision ``tests/test_optim.py`` holds both to 1e-12 over a thousand steps. In all
formulas w is a parameter, g its gradient ∇L(w) and η the learning rate ``lr``; squares, roots and
quotients are taken number by number. ``weight_decay`` λ adds λw to g, the gradient of λ‖w‖²/2.

R runs may share one optimizer: if every parameter has a run axis in front, (R, ...), a
hyperparameter may be a tensor of shape (R,), one value for each run.
"""

import math
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

Params = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]
Number = float | Tensor
State = dict[str, Any]


class Optimizer(torch.optim.Optimizer):
    """What all have in common: the walk over the parameters. ``update`` is the formula.

    Raises:
        ValueError: there are no parameters, or a hyperparameter is out of range.
        TypeError: a hyperparameter is no number.
        FloatingPointError: in ``step``, on a CPU: a gradient holds NaN or infinity. Nothing has
            been changed then. On a GPU the check would stall every step, so it is left out.
    """

    check_gradients = True  # False in a population, where one run must not stop the others

    def __init__(self, params: Params, **hyper: Any) -> None:
        given = list(params)
        if not given:
            raise ValueError("params must hold at least one parameter, got none")
        super().__init__(given, hyper)  # type: ignore[arg-type]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        for name, default in self.defaults.items():
            _check(name, param_group.get(name, default))
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; return what ``closure`` returns, if given."""
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        if self.check_gradients:
            self._refuse_nan()
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    hyper = SimpleNamespace(**{k: _beside(v, w) for k, v in group.items()})
                    self.update(w, self.decayed(w.grad, w, hyper), self.state[w], hyper)
        return loss

    def decayed(self, g: Tensor, w: Tensor, hyper: SimpleNamespace) -> Tensor:
        """The gradient that includes weight decay."""
        off = not isinstance(hyper.weight_decay, Tensor) and hyper.weight_decay == 0
        return g if off else g + hyper.weight_decay * w

    def update(self, w: Tensor, g: Tensor, state: State, hyper: SimpleNamespace) -> None:
        """Change ``w`` and ``state`` in place by one step."""
        raise NotImplementedError

    def _refuse_nan(self) -> None:
        every = [w.grad for group in self.param_groups for w in group["params"]]
        grads = [g for g in every if g is not None and g.device.type == "cpu"]
        if not grads or torch.nn.utils.get_total_norm(grads).isfinite():
            return  # the usual case; a norm may overflow, too, so look closer
        for group in self.param_groups:
            for i, w in enumerate(group["params"]):
                bad = 0 if w.grad is None else int((~w.grad.isfinite()).sum())
                name = repr(group["param_names"][i]) if "param_names" in group else f"number {i}"
                if bad:
                    raise FloatingPointError(
                        f"gradient of parameter {name}, of shape {tuple(w.shape)}, holds {bad} NaN "
                        "or infinite numbers"
                    )


class SGD(Optimizer):
    """Gradient descent, w ← w − ηg; stochastic if g comes from a batch.

    Source: Robbins and Monro (1951), "A stochastic approximation method".
    """

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
        v = _kept(state, "momentum_buffer", w)
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

    def __init__(
        self, params: Params, lr: Number = 1e-3, momentum: Number = 0.9, weight_decay: Number = 0.0
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)

    def update(self, w: Tensor, g: Tensor, state: State, hyper: SimpleNamespace) -> None:
        v = _kept(state, "momentum_buffer", w)
        v.mul_(hyper.momentum).add_(g)
        w -= hyper.lr * (g + hyper.momentum * v)


class Adagrad(Optimizer):
    """G ← G + g², then w ← w − ηg / (√G + ε).

    Source: Duchi, Hazan and Singer (2011), "Adaptive subgradient methods".
    """

    def __init__(
        self, params: Params, lr: Number = 1e-2, weight_decay: Number = 0.0, eps: Number = 1e-10
    ) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay, eps=eps)

    def update(self, w: Tensor, g: Tensor, state: State, hyper: SimpleNamespace) -> None:
        G = _kept(state, "sum", w)
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
        v, u = _kept(state, "square_avg", w), _kept(state, "acc_delta", w)
        v.lerp_(g * g, 1 - hyper.rho)  # lerp: v ← v + (1−ρ)(g² − v)
        delta = (u + hyper.eps).sqrt() / (v + hyper.eps).sqrt() * g
        u.lerp_(delta * delta, 1 - hyper.rho)
        w -= hyper.lr * delta


class RMSprop(Optimizer):
    """v ← αv + (1−α)g², then w ← w − ηg / (√v + ε).

    Source: Tieleman and Hinton (2012), lecture 6.5 of "Neural networks for machine learning".
    """

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
        v = _kept(state, "square_avg", w)
        v.lerp_(g * g, 1 - hyper.alpha)
        w -= hyper.lr * g / (v.sqrt() + hyper.eps)


class Adam(Optimizer):
    """m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; then w ← w − η m̂ / (√v̂ + ε).

    m̂ = m/(1−β₁ᵗ) and v̂ = v/(1−β₂ᵗ) correct the bias of averages that start at 0. PyTorch has no
    ``bias_correction=False``; it is here to show what the correction is for.

    Source: Kingma and Ba (2015), "Adam: a method for stochastic optimization", algorithm 1.
    """

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
        m, v = _kept(state, "exp_avg", w), _kept(state, "exp_avg_sq", w)
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

    def divisor(self, v: Tensor, state: State) -> Tensor:
        largest = _kept(state, "max_exp_avg_sq", v)
        return torch.maximum(largest, v, out=largest)


class AdamW(Adam):
    """Adam with decoupled decay: w ← w − ηλw, then Adam's step, whose averages know no λ.

    Source: Loshchilov and Hutter (2019), algorithm 2; the decay times the rate, as PyTorch has it.
    """

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


def _kept(state: State, name: str, like: Tensor) -> Tensor:
    """What ``state`` keeps under this name, zeros in the beginning."""
    if name not in state:
        state[name] = torch.zeros_like(like)
    return state[name]


def _beside(value: Any, w: Tensor) -> Any:
    """A hyperparameter of R runs, (R,), as it multiplies their weights, (R, ...)."""
    if isinstance(value, tuple):
        return tuple(_beside(each, w) for each in value)
    if isinstance(value, Tensor) and value.ndim == 1:
        return value.to(w).view(-1, *[1] * (w.ndim - 1))
    return value


def _check(name: str, value: Any) -> None:
    if name == "convention":
        if value not in ("torch", "textbook"):
            raise ValueError(f"convention must be 'torch' or 'textbook', got {value!r}")
    elif name == "betas" and not (isinstance(value, tuple | list) and len(value) == 2):
        raise TypeError(f"betas must be a pair of numbers, got {value!r}")
    elif name != "bias_correction":
        averages = name in ("betas", "momentum", "rho", "alpha")
        for number in value if name == "betas" else [value]:
            if not isinstance(number, int | float | Tensor):
                raise TypeError(f"{name} must be a number, got {value!r}")
            x = torch.as_tensor(number)
            if not ((x >= 0) & (x < (1 if averages else math.inf))).all():
                wanted = "below 1" if averages else "finite"
                raise ValueError(f"{name} must be at least 0 and {wanted}, got {value!r}")

