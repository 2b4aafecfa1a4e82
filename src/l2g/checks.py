"""Checks of what ``fit`` and ``evaluate`` are given: one clear sentence before training begins."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from l2g.data import Split
from l2g.history import EarlyStopping
from l2g.optim.matched import check_factory


def check_model(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")


def check_roles(model: Any, optimizer: Any, early_stopping: Any, after_epoch: Any) -> None:
    check_model(model)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("model has no trainable parameters: nothing to fit")
    check_factory(optimizer)
    if not isinstance(early_stopping, EarlyStopping | None):
        raise TypeError(f"early_stopping must be an EarlyStopping or None, got {early_stopping!r}")
    if not isinstance(after_epoch, Sequence) or not all(map(callable, after_epoch)):
        raise TypeError(f"after_epoch must be a sequence of callables, got {after_epoch!r}")
    if any(isinstance(hook, EarlyStopping) for hook in after_epoch):
        raise TypeError("pass EarlyStopping as early_stopping=, so that fit can restore the best")


def ready(name: str, split: Split, device: torch.device) -> Split:
    """The split on the device, checked."""
    x, y = split
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        kinds = f"{type(x).__name__} and {type(y).__name__}"
        raise TypeError(f"{name} must hold tensors x and y, got {kinds}")
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"{name} must hold as many x as y and at least one, got {len(x)} and {len(y)}"
        )
    for part, values in {"x": x, "y": y}.items():
        bad = int((~values.isfinite()).sum()) if values.is_floating_point() else 0
        if bad:
            raise ValueError(f"{name}.{part} holds {bad} NaN or infinite numbers")
    return Split(x.to(device), y.to(device))


def check_classes(name: str, targets: Tensor, n_classes: int) -> None:
    low, high = targets.min().item(), targets.max().item()
    if low < 0 or high >= n_classes:
        raise ValueError(
            f"{name}.y: targets must lie in 0..{n_classes - 1} for a model of {n_classes} outputs, "
            f"got values from {low} to {high}"
        )
