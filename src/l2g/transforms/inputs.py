"""Checks of what the transforms are given."""

import torch
import torch.nn.functional as F
from torch import Tensor

from l2g.losses.inputs import readable


def check_batch(x: Tensor) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a torch.Tensor, got {type(x).__name__}")
    if x.ndim == 0:
        raise ValueError("x must be a batch (N, ...), got a scalar")


def check_images(x: Tensor) -> None:
    check_batch(x)
    if x.ndim != 4 or 0 in x.shape[2:]:
        raise ValueError(f"x must be images (N, C, H, W), got shape {tuple(x.shape)}")


def check_mixable(x: Tensor) -> None:
    check_batch(x)
    if not x.is_floating_point():
        raise TypeError(
            f"x must be a floating-point tensor to be mixed, got {x.dtype}: convert it first, "
            "images of bytes by x.float() / 255"
        )


def probabilities(y: Tensor, classes: int, x: Tensor) -> Tensor:
    """The targets of a batch x as probabilities (N, classes): indices one-hot, others as they are.

    Raises:
        TypeError: y is no tensor, or of a dtype that is neither integer nor floating-point.
        ValueError: y has another shape; on the CPU also when an index is outside 0..classes − 1.
    """
    if not isinstance(y, Tensor) or y.is_complex() or y.dtype is torch.bool:
        got = y.dtype if isinstance(y, Tensor) else type(y).__name__
        raise TypeError(f"y must hold integer class indices or class probabilities, got {got}")
    check_batch(x)
    n = len(x)
    if y.shape != ((n, classes) if y.is_floating_point() else (n,)):
        raise ValueError(
            f"y must be integer class indices ({n},) or floating-point probabilities "
            f"({n}, {classes}), one for each of the {n} x, got {y.dtype} of {tuple(y.shape)}"
        )
    if y.is_floating_point():
        return y
    y = y.long()
    if n and readable(y):
        low, high = int(y.min()), int(y.max())
        if low < 0 or high >= classes:
            raise ValueError(f"y must lie in 0..{classes - 1}, got values from {low} to {high}")
    dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    return F.one_hot(y, classes).to(dtype)
