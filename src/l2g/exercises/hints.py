"""What to say of a wrong answer that is none of the known mistakes."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from l2g.exercises.trials import Trial
from l2g.exercises.values import AnyOrder, agree, coarse, leaves

Hint = tuple[str, Trial]  # with the case that shows it
CLOSE = 0.01  # relative: what is as near is right but for its precision


def general_hint(trials: list[Trial], failed: list[Trial]) -> Hint:
    """A hint and the case to show with it; ``failed`` begins with the smallest case."""
    for describe in (_form_hint, _finite_hint):
        for trial in failed:
            if hint := describe(trial):
                return hint, trial
    if factor := _constant_factor(trials):
        return f"every entry is {factor:.4g} times what it should be", failed[0]
    if len(failed) < len(trials) / 2:
        return "most tests pass: what sets the inputs that fail apart from the others?", failed[0]
    if digits := _digits(failed):
        return _close_hint(digits), failed[0]
    hint = "it differs here, and it is none of the mistakes that this exercise knows: work this "
    return hint + "case out by hand, step by step, and compare", failed[0]


def differing(trial: Trial) -> tuple[str, Any, Any]:
    """The first part in which the answer differs: its place, what it is, what it should be."""
    place = ""
    got, expected = trial.values
    while (parts := _same_parts(got, expected)) is not None:
        wrong = [(k, g, e) for k, g, e in parts if not agree(g, e, trial.conditioned)]
        if not wrong:
            break
        key, got, expected = wrong[0]
        place += f"[{key!r}]"
    return place, got, expected


def _same_parts(got: Any, expected: Any) -> Iterable[tuple[Any, Any, Any]] | None:
    """Key, got and expected of each part of two values with equal parts; None for other values."""
    if isinstance(got, dict) and isinstance(expected, dict) and got.keys() == expected.keys():
        return [(key, got[key], expected[key]) for key in expected]
    in_order = isinstance(expected, list) and not isinstance(expected, AnyOrder)
    if in_order and isinstance(got, list) and len(got) == len(expected):
        return [(k, got[k], expected[k]) for k in range(len(expected))]
    return None


def _form_hint(trial: Trial) -> str | None:
    place, got, expected = differing(trial)
    what = f"part {place} of the result" if place else "the result"
    if got is None:
        return f"{what} is None: does every branch of the function return something?"
    if isinstance(expected, dict):
        names = f"a dictionary with the keys {', '.join(map(repr, expected))}"
        return f"{what} should be {names}; yours is {_described(got)}"
    if isinstance(expected, list):
        return _list_hint(what, got, expected)
    if not isinstance(expected, Tensor):
        wanted = f"{what} should be {_described(expected)}; yours is {_described(got)}"
        return None if type(got) is type(expected) else wanted
    if not isinstance(got, Tensor):
        return f"{what} should be {_wanted(expected)}; yours is {_described(got)}"
    return _tensor_hint(what, got, expected, trial)


def _list_hint(what: str, got: Any, expected: list[Any]) -> str | None:
    parts = len(got) if isinstance(got, list) or (isinstance(got, Tensor) and got.ndim) else None
    if parts == len(expected):
        return None
    yours = f"yours has {parts}" if parts is not None else f"yours is {_described(got)}"
    return f"{what} should have {len(expected)} parts; {yours}"


def _tensor_hint(what: str, got: Tensor, expected: Tensor, trial: Trial) -> str | None:
    if got.shape != expected.shape:
        wanted = f"{what} has shape {(*got.shape,)}, it should have {(*expected.shape,)}"
        turned = got.ndim == expected.ndim == 2 and agree(got.T, expected, trial.conditioned)
        return f"{wanted}: are rows and columns exchanged?" if turned else wanted
    if coarse(got, expected, trial.rounding):
        return f"{what} is {got.dtype}, with too few digits: keep the dtype of the inputs"
    if trial.rounding.same_dtype and got.dtype != expected.dtype:
        return f"{what} is {got.dtype}, it should be {expected.dtype}"
    return None


def _wanted(expected: Tensor) -> str:
    if not expected.ndim:
        return "one number"
    return f"numbers of shape {(*expected.shape,)}, in a tensor, an array or a list"


def _described(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)} parts that differ in shape or kind"
    if isinstance(value, Tensor):
        return f"numbers of shape {(*value.shape,)}"
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict):
        return "a dictionary"
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _finite_hint(trial: Trial) -> str | None:
    pairs = zip(*map(leaves, trial.values), strict=False)
    if any(bool((~g.isfinite()).any() and e.isfinite().all()) for g, e in pairs):
        return (
            "NaN or infinity for finite inputs: which step grows without bound, divides by 0 or "
            "takes the log of 0?"
        )
    return None


def _together(trials: list[Trial]) -> tuple[Tensor, Tensor] | None:
    """All numbers that the answer gave, and all that are right; None if they do not pair up."""
    pairs = [tuple(map(leaves, trial.values)) for trial in trials]
    shapes = [[[leaf.shape for leaf in side] for side in pair] for pair in pairs]
    if any(got != expected or not got for got, expected in shapes):
        return None
    got, expected = (
        torch.cat([leaf.double().flatten() for pair in pairs for leaf in pair[side]])
        for side in (0, 1)
    )
    return got, expected


def _constant_factor(trials: list[Trial]) -> float | None:
    """The factor c ≠ 0, 1 with got = c · expected in every case, if there is one."""
    if (both := _together(trials)) is None:
        return None
    got, expected = both
    factor = (got @ expected / (expected @ expected)).item()
    proportional = torch.allclose(got, factor * expected, rtol=1e-4, atol=1e-6)
    return factor if proportional and abs(factor) > 1e-6 and abs(factor - 1) > CLOSE else None


def _digits(failed: list[Trial]) -> float | None:
    """About how many digits are right in the worst case, if the answer is close in every one."""
    errors = []
    for trial in failed:
        for got, expected in zip(*map(leaves, trial.values), strict=False):
            if got.shape != expected.shape:
                return None
            if got.numel():
                error = (got.double() - expected.double()).abs().max().item()
                size = expected.double().abs().max().item()
                errors.append(error / size if size else math.inf)
    worst = max(errors, default=math.inf)
    return -math.log10(worst) if 0 < worst < CLOSE else None


def _close_hint(digits: float) -> str:
    return (
        f"close, but right to about {round(digits)} digits only: are there a few steps"
        " too few, or does a difference of nearly equal numbers lose digits?"
    )
