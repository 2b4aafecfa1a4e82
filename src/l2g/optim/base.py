"""What all optimizers have in common: the walk over the parameters, and the checks."""

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
                    hyper = SimpleNamespace(**{k: _along_runs(v, w) for k, v in group.items()})
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


def kept(state: State, name: str, like: Tensor) -> Tensor:
    """What ``state`` keeps under this name, zeros in the beginning."""
    if name not in state:
        state[name] = torch.zeros_like(like)
    return state[name]


def _along_runs(value: Any, w: Tensor) -> Any:
    """A hyperparameter of R runs, (R,), as it multiplies their weights, (R, ...)."""
    if isinstance(value, tuple):
        return tuple(_along_runs(each, w) for each in value)
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
