"""Dropout and its relatives (chapter 17): multiply by a random mask, in training only."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l2g.layers.inputs import floating
from l2g.numbers import in_unit_interval


def mask(shape: Sequence[int], p: float, like: Tensor) -> Tensor:
    """0 with probability p, otherwise 1/(1 − p): the mean is 1. All 0 for p = 1.

    Source: Srivastava et al. (2014), "Dropout", in the inverted form, which scales in training.
    """
    kept = torch.rand(shape, device=like.device) >= p  # numbers in [0, 1), float32 for any x
    return kept.to(like.dtype) * (0.0 if p == 1 else 1 / (1 - p))


class _Drop(nn.Module):
    """``x`` times a mask in training mode; ``x`` itself for p = 0 or in evaluation mode."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = in_unit_interval("p", p)

    def forward(self, x: Tensor) -> Tensor:
        floating(x)
        if not self.training or self.p == 0:
            return x
        return x * mask(self.mask_shape(x), self.p, x)

    def mask_shape(self, x: Tensor) -> Sequence[int]:
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(_Drop):
    """Every number is dropped by itself: (...) → (...).

    Raises:
        TypeError: ``p`` is no number; in ``forward``, ``x`` is no floating-point tensor.
        ValueError: ``p`` is outside 0..1.
    """

    def mask_shape(self, x: Tensor) -> Sequence[int]:
        return x.shape


class Dropout2d(_Drop):
    """Whole channels are dropped, by themselves in every image: (N, C, H, W) → (N, C, H, W).

    Source: Tompson et al. (2015), "Efficient object localization using convolutional networks".

    Raises:
        TypeError, ValueError: as ``Dropout``; in ``forward``, ``x`` is not (N, C, H, W).
    """

    def mask_shape(self, x: Tensor) -> Sequence[int]:
        if x.ndim != 4:
            raise ValueError(f"x must have shape (N, C, H, W), got {(*x.shape,)}")
        return (*x.shape[:2], 1, 1)


class DropPath(_Drop):
    """Stochastic depth: the whole example is dropped, (N, ...) → (N, ...).

    It belongs on the branch of a residual block, ``x + drop_path(branch(x))``.

    Source: Huang et al. (2016), "Deep networks with stochastic depth"; here with the mean kept.

    Raises:
        TypeError, ValueError: as ``Dropout``; in ``forward``, ``x`` is a scalar.
    """

    def mask_shape(self, x: Tensor) -> Sequence[int]:
        if x.ndim == 0:
            raise ValueError("x must have shape (N, ...), got a scalar")
        return (x.shape[0], *[1] * (x.ndim - 1))


class DropConnect(nn.Linear):
    """A linear layer of which *weights* are dropped: (..., in_features) → (..., out_features).

    One mask for the whole batch, and none for the bias; the paper draws a mask for every example,
    and replaces the average over masks at test time by that of a Gaussian, not by the mean weight.

    Source: Wan et al. (2013), "Regularization of neural networks using DropConnect".

    Raises:
        TypeError, ValueError: as ``Dropout``.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        p: float = 0.5,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self.p = in_unit_interval("p", p)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if self.training and self.p > 0:
            weight = weight * mask(weight.shape, self.p, weight)
        return F.linear(x, weight, self.bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, p={self.p}"
