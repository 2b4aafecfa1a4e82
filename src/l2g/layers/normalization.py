"""Normalization (chapter 18): mean 0 and variance 1, then scale and shift, both learned."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from l2g.layers.inputs import floating
from l2g.numbers import in_unit_interval, not_negative, whole_number


def moments(x: Tensor, dims: list[int]) -> tuple[Tensor, Tensor]:
    """Mean and biased variance (division by m, not m − 1) over ``dims``, which stay, as 1."""
    mean = x.mean(dims, keepdim=True)
    return mean, (x - mean).square().mean(dims, keepdim=True)


class BatchNormFunction(torch.autograd.Function):
    """Batch normalization of (N, C, ...) with the backward pass that chapter 18 derives by hand.

    ``BatchNormFunction.apply(x, weight, bias, eps)`` equals a ``BatchNorm`` layer in training mode,
    which leaves its backward pass to autograd; ``tests/test_layers.py`` holds one to the other.

    Source: Ioffe and Szegedy (2015), "Batch normalization", section 3.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        mean, var = moments(x, _all_but_channels(x))
        x_hat = (x - mean) / (var + eps).sqrt()
        return _beside(weight, x) * x_hat + _beside(bias, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, ctx.eps = inputs
        ctx.save_for_backward(x, weight)  # not x̂: made again in backward, it can be differentiated

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        dims = _all_but_channels(x)
        mean, var = moments(x, dims)
        s = (var + ctx.eps).sqrt()
        x_hat = (x - mean) / s
        g_x = (g - g.mean(dims, keepdim=True) - x_hat * (g * x_hat).mean(dims, keepdim=True)) / s
        return _beside(weight, x) * g_x, (g * x_hat).sum(dims), g.sum(dims), None


class _BatchNorm(nn.Module):
    """γ (x − μ)/√(σ² + ε) + β with one γ, β, μ, σ² for each channel of (N, C, ...).

    In training mode μ and σ² are those of the batch, and the running averages follow them:
    running ← (1 − momentum) running + momentum · new, where the variance is the unbiased one,
    m/(m − 1) σ² for m values in a channel. In evaluation mode the running averages take the place
    of μ and σ².

    Args:
        num_features: number C of channels.
        eps: ε, which keeps the root away from 0.
        momentum: the weight of the newest batch; ``None`` averages all batches alike.
        affine: whether there are γ, called ``weight``, and β, called ``bias``.
        track_running_stats: without, batches are normalized by themselves in evaluation mode, too.

    Source: Ioffe and Szegedy (2015), "Batch normalization", algorithms 1 and 2.

    Raises:
        TypeError: an argument is no number; in ``forward``, ``x`` is no floating-point tensor.
        ValueError: an argument is out of range; in ``forward``, ``x`` has the wrong shape, or
            batches are to be normalized by themselves and a channel holds less than two values.
    """

    shapes: tuple[str, ...] = ()
    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        C = self.num_features = whole_number("num_features", num_features, least=1)
        self.eps = not_negative("eps", eps)
        self.momentum = None if momentum is None else in_unit_interval("momentum", momentum)
        self.affine, self.track_running_stats = affine, track_running_stats
        kind = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.ones(C, **kind)) if affine else None
        self.bias = nn.Parameter(torch.zeros(C, **kind)) if affine else None
        track = track_running_stats
        self.register_buffer("running_mean", torch.zeros(C, **kind) if track else None)
        self.register_buffer("running_var", torch.ones(C, **kind) if track else None)
        count = torch.tensor(0, dtype=torch.long, device=device) if track else None
        self.register_buffer("num_batches_tracked", count)

    def forward(self, x: Tensor) -> Tensor:
        self._check(x)
        values = _precise(x)
        if self.training or self.running_mean is None or self.running_var is None:
            mean, var = moments(values, _all_but_channels(x))
            self._follow(mean.detach().flatten(), var.detach().flatten(), x)
        else:
            mean, var = _beside(self.running_mean, x), _beside(self.running_var, x)
        y = (values - mean) / (var + self.eps).sqrt()
        if self.weight is not None and self.bias is not None:
            y = y * _beside(self.weight, x) + _beside(self.bias, x)
        return y.to(x.dtype)

    def _follow(self, mean: Tensor, var: Tensor, x: Tensor) -> None:
        """Move the running averages towards the batch, in place."""
        running_mean, running_var = self.running_mean, self.running_var
        count = self.num_batches_tracked
        if running_mean is None or running_var is None or count is None:
            return
        count.add_(1)
        share = 1 / count.to(mean.dtype) if self.momentum is None else self.momentum
        m = x.numel() // self.num_features
        running_mean.add_(share * (mean - running_mean))
        running_var.add_(share * (m / (m - 1) * var - running_var))

    def _check(self, x: Tensor) -> None:
        floating(x)
        C = self.num_features
        if x.ndim not in [shape.count(",") + 1 for shape in self.shapes] or x.shape[1] != C:
            wanted = " or ".join(shape.replace("C", str(C)) for shape in self.shapes)
            raise ValueError(f"x must have shape {wanted}, got {(*x.shape,)}")
        by_itself = self.training or self.running_mean is None
        if by_itself and x.numel() < 2 * C:
            raise ValueError(
                f"x must hold at least 2 values per channel to be normalized by itself, got shape "
                f"{(*x.shape,)}: take a larger batch, or evaluation mode"
            )

    def extra_repr(self) -> str:
        names = ("eps", "momentum", "affine", "track_running_stats")
        return ", ".join([f"{self.num_features}", *(f"{k}={getattr(self, k)}" for k in names)])


class BatchNorm1d(_BatchNorm):
    __doc__ = f"Batch normalization of (N, C) or (N, C, L): {_BatchNorm.__doc__}"
    shapes = ("(N, C)", "(N, C, L)")


class BatchNorm2d(_BatchNorm):
    __doc__ = f"Batch normalization of (N, C, H, W): {_BatchNorm.__doc__}"
    shapes = ("(N, C, H, W)",)


class LayerNorm(nn.Module):
    """γ (x − μ)/√(σ² + ε) + β, with μ and σ² of every example by itself, over the last dims.

    There is no difference between training and evaluation, and no running average.

    Args:
        normalized_shape: sizes of the last dims of ``x``, over which is averaged; γ and β, called
            ``weight`` and ``bias``, have this shape.
        eps: ε, which keeps the root away from 0.
        elementwise_affine: whether there are γ and β; ``bias=False`` leaves out β alone.

    Source: Ba, Kiros and Hinton (2016), "Layer normalization".

    Raises:
        TypeError: an argument is no number; in ``forward``, ``x`` is no floating-point tensor.
        ValueError: an argument is out of range; in ``forward``, ``x`` ends in another shape.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        sizes = normalized_shape if isinstance(normalized_shape, Sequence) else [normalized_shape]
        shape = tuple(whole_number("normalized_shape", size, least=1) for size in sizes)
        if not shape:
            raise ValueError("normalized_shape must hold at least one size, got none")
        self.normalized_shape = shape
        self.eps, self.elementwise_affine = not_negative("eps", eps), elementwise_affine
        kind = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.ones(shape, **kind)) if elementwise_affine else None
        has_bias = elementwise_affine and bias
        self.bias = nn.Parameter(torch.zeros(shape, **kind)) if has_bias else None

    def forward(self, x: Tensor) -> Tensor:
        floating(x)
        shape = self.normalized_shape
        if x.shape[-len(shape) :] != shape:
            raise ValueError(f"x must have a shape that ends in {shape}, got {(*x.shape,)}")
        values = _precise(x)
        mean, var = moments(values, [*range(-len(shape), 0)])
        y = (values - mean) / (var + self.eps).sqrt()
        y = y if self.weight is None else y * self.weight
        return (y if self.bias is None else y + self.bias).to(x.dtype)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


def _all_but_channels(x: Tensor) -> list[int]:
    return [dim for dim in range(x.ndim) if dim != 1]


def _beside(values: Tensor, x: Tensor) -> Tensor:
    """One value for each channel, (C,), as it is combined with (N, C, ...)."""
    return values.view(-1, *[1] * (x.ndim - 2))


def _precise(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
