"""Checks of what the layers are given."""

import math

from torch import Tensor


def floating(x: Tensor) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        got = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"x must be a floating-point tensor, got {got}")


def number(name: str, value: float, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not 0 <= value <= most or math.isinf(value):
        wanted = "and finite" if math.isinf(most) else f"and at most {most}"
        raise ValueError(f"{name} must be at least 0 {wanted}, got {value!r}")
    return float(value)
