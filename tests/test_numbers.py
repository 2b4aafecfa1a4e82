"""Checks of numbers: what each accepts, what it refuses, and the sentence."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from l2g import numbers

TINY, BELOW_1, ABOVE_1 = 5e-324, math.nextafter(1, 0), math.nextafter(1, 2)
CHECKS = {
    "not_negative": ([0, -0.0, TINY, 1e300], [-TINY, -1, math.inf], "be at least 0 and finite"),
    "above_zero": ([TINY, 1, 1e300], [0, -0.0, -1, math.inf], "be above 0 and finite"),
    "below_one": ([0, BELOW_1], [-TINY, 1, 2], "be at least 0 and below 1"),
    "between_0_and_1": ([TINY, BELOW_1], [0, 1, 95], "lie between 0 and 1"),
    "in_unit_interval": ([0, 0.5, 1], [-TINY, ABOVE_1], r"lie in \[0, 1\]"),
}

BAD = [True, "0.5", None, 0.5j, [0.5], np.bool_(1), np.array([0.5])]
BAD += [torch.tensor([0.5]), torch.tensor(True), torch.tensor(0.5j)]


@pytest.mark.parametrize("check", CHECKS)
def test_a_range_ends_where_it_says(check):
    inside, outside, sentence = CHECKS[check]
    for value in inside:
        got = getattr(numbers, check)("p", value)
        assert type(got) is float
        assert got == value
    for value in [*outside, math.nan, -math.inf]:
        with pytest.raises(ValueError, match=rf"^p must {sentence}, got {value!r}$"):
            getattr(numbers, check)("p", value)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("value", BAD)
def test_what_is_no_number_is_named(check, value):
    with pytest.raises(TypeError, match=r"^p must be a number, got "):
        getattr(numbers, check)("p", value)


@pytest.mark.parametrize(
    "value", [np.float32(0.5), np.float64(0.5), Fraction(1, 2), torch.tensor(0.5)]
)
def test_numbers_of_other_libraries_become_plain_ones(value):
    got = numbers.in_unit_interval("p", value)
    assert (type(got), got) == (float, 0.5)


def test_any_interval():
    assert numbers.in_interval("angle", -2, -2, 3) == -2
    with pytest.raises(ValueError, match=r"^angle must lie in \[-2, 3\], got 3.5$"):
        numbers.in_interval("angle", 3.5, -2, 3)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), torch.tensor(3)])
def test_whole_numbers_become_plain_ones(value):
    got = numbers.whole_number("n", value, least=3)
    assert (type(got), got) == (int, 3)
    with pytest.raises(ValueError, match=r"^n must be at least 4, got "):
        numbers.whole_number("n", value, least=4)


def test_without_a_least_any_whole_number_will_do():
    assert numbers.whole_number("seed", -(10**30)) == -(10**30)


@pytest.mark.parametrize("value", [True, 3.0, "3", None, math.nan, np.float64(3)])
def test_what_is_no_whole_number_is_named(value):
    with pytest.raises(TypeError, match=r"^n must be an integer, got "):
        numbers.whole_number("n", value, least=1)
