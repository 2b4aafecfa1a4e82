"""What all optimizers have in common: the walk over the parameters, and the checks."""

import math
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor

from l2g.numbers import below_one, not_negative

Params = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]
Number = float | Tensor
State = dict[str, Any]


# By these options PyTorch's optimizers differ from each other.
TELLING = {"momentum", "dampening", "nesterov", "betas", "amsgrad", "decoupled_weight_decay"}
TELLING |= {"eps", "rho", "alpha", "centered", "lr_decay", "maximize"}


class Optimizer(torch.optim.Optimizer):
    """What all have in common: the walk over the parameters. ``update`` is the formula.

    Raises:
        ValueError: there are no parameters, or a hyperparameter is out of range.
        TypeError: a hyperparameter is no number, a parameter is complex; in ``step``: a gradient is
            sparse.
        FloatingPointError: in ``step``, on a CPU: a gradient holds NaN or infinity. Nothing has
            been changed then. On a GPU the check would stall every step, so it is left out.
    """

    fixed: ClassVar[dict[str, Any]] = {}  # what PyTorch's has as an option, and the formula has not
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
        if any(w.is_complex() for w in self.param_groups[-1]["params"]):
            self.param_groups.pop()
            raise TypeError("params must be real numbers, got complex ones")

    def state_dict(self) -> dict[str, Any]:
        """PyTorch's, with the options that PyTorch's optimizer needs to be this one."""
        packed = super().state_dict()
        for group in packed["param_groups"]:
            group |= self.fixed
        return packed

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state of this optimizer, or of PyTorch's that takes the same steps.

        Options that PyTorch's does not have stay as they are.

        Raises:
            ValueError: the state is of an optimizer that takes other steps, or has other groups.
        """
        for group in state_dict["param_groups"]:
            self._refuse_other(group)
        before = self.param_groups
        super().load_state_dict(state_dict)
        for group, own in zip(self.param_groups, before, strict=True):
            for name in self.defaults.keys() & own.keys():
                group.setdefault(name, own[name])
        for kept_here in self.state.values():
            if isinstance(kept_here.get("step"), Tensor):  # in single precision
                kept_here["step"] = int(kept_here["step"])

    def _refuse_other(self, group: dict[str, Any]) -> None:
        name, wrong = type(self).__name__, []
        for option in sorted((TELLING & self.defaults.keys()) - group.keys()):
            wrong.append(f"no {option}")
        for option in sorted((TELLING & group.keys()) - self.defaults.keys()):
            value, expected = group[option], self.fixed.get(option, False)
            if isinstance(value, Tensor | tuple | list) or value != expected:
                own = repr(expected) if option in self.fixed else "none"
                wrong.append(f"{option}={value!r}, {name} has {own}")
        if wrong:
            raise ValueError(f"state_dict is not one of {name}: it has {'; '.join(wrong)}")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; return what ``closure`` returns, if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._refuse_sparse()
        if self.check_gradients:
            self._refuse_nan()
        for group in self.param_groups:
            hyper, of_runs = SimpleNamespace(**group), any(map(_of_runs, group.values()))
            for w in group["params"]:
                if w.grad is not None:
                    if of_runs:
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

    def _refuse_sparse(self) -> None:
        for group in self.param_groups:
            for i, w in enumerate(group["params"]):
                if w.grad is not None and w.grad.layout is not torch.strided:
                    raise TypeError(
                        f"gradient of parameter {_name(group, i)}, of shape {tuple(w.shape)}, must "
                        "be dense, got a sparse one: make its layer with sparse=False"
                    )

    def _refuse_nan(self) -> None:
        every = [w.grad for group in self.param_groups for w in group["params"]]
        grads = [g for g in every if g is not None and g.is_cpu]
        if math.isfinite(sum(g.sum().item() for g in grads)):
            return  # the usual case; a sum may overflow, too, so look closer
        for group in self.param_groups:
            for i, w in enumerate(group["params"]):
                bad = 0 if w.grad is None else int((~w.grad.isfinite()).sum())
                if bad:
                    raise FloatingPointError(
                        f"gradient of parameter {_name(group, i)}, of shape {tuple(w.shape)}, "
                        f"holds {bad} NaN or infinite numbers"
                    )


def _name(group: dict[str, Any], i: int) -> str:
    return repr(group["param_names"][i]) if "param_names" in group else f"number {i}"


def kept(state: State, name: str, like: Tensor) -> Tensor:
    """What ``state`` keeps under this name, zeros in the beginning."""
    if state.get(name) is None:  # as PyTorch's SGD may have it
        state[name] = torch.zeros_like(like)
    return state[name]


def _of_runs(value: Any) -> bool:
    """Whether a hyperparameter is one of R runs, (R,)."""
    if isinstance(value, tuple):
        return any(map(_of_runs, value))
    return isinstance(value, Tensor) and value.ndim == 1


def _along_runs(value: Any, w: Tensor) -> Any:
    """A hyperparameter of R runs, (R,), as it multiplies their weights, (R, ...)."""
    if isinstance(value, tuple):
        return tuple(_along_runs(each, w) for each in value)
    if _of_runs(value):
        return value.to(w).view(-1, *[1] * (w.ndim - 1))
    return value


def _check(name: str, value: Any) -> None:
    if name == "convention":
        if value not in ("torch", "textbook"):
            raise ValueError(f"convention must be 'torch' or 'textbook', got {value!r}")
    elif name == "betas" and not (isinstance(value, tuple | list) and len(value) == 2):
        raise TypeError(f"betas must be a pair of numbers, got {value!r}")
    elif name != "bias_correction":
        check = below_one if name in ("betas", "momentum", "rho", "alpha") else not_negative
        for number in value if name == "betas" else [value]:
            for each in number.flatten().tolist() if isinstance(number, Tensor) else [number]:
                check(name, each)
