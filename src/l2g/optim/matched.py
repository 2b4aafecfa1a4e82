"""The optimizer of a model: made by a factory, and held against the model that it is to train."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

Factory = Callable[..., torch.optim.Optimizer]
Groups = Callable[[nn.Module], Iterable[dict[str, Any]]]

RECIPE = (
    "make it of the parameters that it is handed; for parameter groups pass a function of the "
    "model, e.g. groups=functools.partial(penalties.parameter_groups, weight_decay=0.01)"
)


def optimizer_for(
    model: nn.Module, optimizer: Factory, groups: Groups | None = None
) -> torch.optim.Optimizer:
    """The optimizer that a factory makes for ``model``, which holds what is to be trained in it.

    A shared parameter counts once; a frozen one may be in the optimizer or not.

    Args:
        optimizer: a factory, parameters or parameter groups → optimizer.
        groups: model → its parameter groups; without it the factory gets a list of all parameters.

    Raises:
        TypeError: ``optimizer`` or ``groups`` is no function, or makes something else.
        ValueError: trainable parameters of the model are missing, or others are there.
    """
    check_factory(optimizer)
    made = optimizer(list(model.parameters()) if groups is None else _groups_of(model, groups))
    if not isinstance(made, torch.optim.Optimizer):
        raise _no_factory(f"{type(made).__name__} from it")
    _check_match(made, model)
    return made


def check_factory(optimizer: Any) -> None:
    if isinstance(optimizer, torch.optim.Optimizer) or not callable(optimizer):
        raise _no_factory(type(optimizer).__name__)


def _no_factory(got: str) -> TypeError:
    return TypeError(
        f"optimizer must make an optimizer, got {got}: pass a factory such as "
        "functools.partial(torch.optim.SGD, lr=0.1)"
    )


def _groups_of(model: nn.Module, groups: Groups) -> list[dict[str, Any]]:
    if not callable(groups):
        raise TypeError(
            f"groups must be a function, model → parameter groups, got {type(groups).__name__}"
        )
    found = groups(model)
    if isinstance(found, dict | torch.Tensor) or not isinstance(found, Iterable):
        raise TypeError(
            f"groups must make a list of parameter groups, got {type(found).__name__} from it"
        )
    return list(found)


def _check_match(optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    own = {id(p): name for name, p in model.named_parameters()}
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    foreign, missing = held - own.keys(), [own[i] for i in own if i in trainable - held]
    if foreign:
        raise ValueError(
            f"optimizer must hold the parameters of the model that it trains, but {len(foreign)} "
            f"of its {len(held)} are not of this model (or of another copy): {RECIPE}"
        )
    if missing:
        raise ValueError(
            f"optimizer must hold every trainable parameter of the model, but {missing[0]!r} is "
            f"missing ({len(missing)} of {len(trainable)} are): freeze it with "
            f"requires_grad_(False), or {RECIPE}"
        )
