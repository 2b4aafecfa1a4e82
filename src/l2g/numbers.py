"""Checks of numbers that a caller gives: each returns the number, or says in one sentence why not.

A number of NumPy, or a tensor () of one number, is a number, too, and comes back as a plain one.
What is no number (a bool, a string, a list) raises TypeError, and a number out of range, NaN among
them, ValueError.
"""

import math
import operator
from numbers import Real
from typing import Any

from torch import Tensor


def whole_number(name: str, value: Any, least: int | None = None) -> int:
    """An integer that is at least ``least``."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return operator.index(value)


def not_negative(name: str, value: Any) -> float:
    """A number x with 0 ≤ x < ∞."""
    return _required(0 <= _real(name, value) < math.inf, name, value, "be at least 0 and finite")


def above_zero(name: str, value: Any) -> float:
    """A number x with 0 < x < ∞."""
    return _required(0 < _real(name, value) < math.inf, name, value, "be above 0 and finite")


def below_one(name: str, value: Any) -> float:
    """A number x with 0 ≤ x < 1, such as the memory of an average."""
    return _required(0 <= _real(name, value) < 1, name, value, "be at least 0 and below 1")


def between_0_and_1(name: str, value: Any) -> float:
    """A number x with 0 < x < 1, such as a confidence."""
    return _required(0 < _real(name, value) < 1, name, value, "lie between 0 and 1")


def in_interval(name: str, value: Any, low: float, high: float) -> float:
    """A number x with low ≤ x ≤ high."""
    return _required(low <= _real(name, value) <= high, name, value, f"lie in [{low}, {high}]")


def in_unit_interval(name: str, value: Any) -> float:
    """A number x with 0 ≤ x ≤ 1, such as a probability."""
    return in_interval(name, value, 0, 1)


def _real(name: str, value: Any) -> Any:
    if isinstance(value, Tensor) and value.ndim == 0 and not value.is_complex():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return value


def _required(holds: bool, name: str, value: Any, wanted: str) -> float:
    if not holds:
        raise ValueError(f"{name} must {wanted}, got {value!r}")
    return float(value)
