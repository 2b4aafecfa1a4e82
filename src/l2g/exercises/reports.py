"""What a learner reads: the case that fails, what came and what should have come."""

import inspect
import traceback
from typing import Any

import numpy as np
from torch import Tensor

from l2g.exercises.hints import differing
from l2g.exercises.rules import in_library
from l2g.exercises.trials import Trial
from l2g.exercises.values import agree, plain

ENOUGH = (5, 9, 17)  # significant digits to try, until two values look different
MOST_SHOWN = 8  # entries of a row, rows of a matrix


def crash(trial: Trial) -> str:
    """The exception that an answer raised, its line and its inputs."""
    exercise, error = trial.exercise, trial.got
    summary = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in summary if not in_library(frame.filename)]
    signature = inspect.signature(exercise.reference)
    where = f"it is called as {exercise.reference.__name__}({', '.join(signature.parameters)})"
    if frames:
        where = f"line {frames[-1].lineno}: {frames[-1].line}"
    elif exercise.probe is not None and summary and summary[-1].name != "run":
        where = "it returned something, but that could not be used as the exercise asks for"
    message = str(error).strip().split("\n")[0]
    return (
        f"✗ {exercise.name}: your code raised {type(error).__name__}: {message}\n"
        f"  {where}\n{_inputs(trial)}"
    )


def counterexample(trial: Trial) -> str:
    """Inputs, what the answer gave and what is right, in as many digits as tell them apart."""
    got, expected = trial.values
    digits = next((d for d in ENOUGH if _text(got, d) != _text(expected, d)), ENOUGH[-1])
    lines = [
        f"  smallest counterexample:\n{_inputs(trial)}",
        f"    got      = {shown(trial.got, digits)}",
        f"    expected = {shown(trial.expected, digits)}",
    ]
    if _text(got, digits) == _text(expected, digits):
        lines.append(f"    first difference {_first_difference(trial)}")
    return "\n".join(lines)


def _first_difference(trial: Trial) -> str:
    """Where two values that are too long to be shown whole differ."""
    place, got, expected = differing(trial)
    if isinstance(got, Tensor) and isinstance(expected, Tensor) and got.shape == expected.shape:
        for index in np.ndindex(*got.shape):
            if not agree(got[index], expected[index], trial.conditioned):
                place += str(list(index))
                got, expected = got[index], expected[index]
                break
    return f"at {place}: got {_text(got, 17)}, expected {_text(expected, 17)}"


def _inputs(trial: Trial) -> str:
    names = inspect.signature(trial.exercise.reference).parameters
    pairs = zip(names, trial.inputs, strict=False)  # a reference may have options
    return "\n".join(f"    {name:<8} = {shown(value)}" for name, value in pairs)


def shown(value: Any, digits: int = ENOUGH[0]) -> str:
    """A value on one line: tensors with shape and dtype, long rows cut short."""
    if isinstance(value, Tensor) and not value.is_nested:
        dtype = str(value.dtype).removeprefix("torch.")
        return f"tensor({_text(plain(value), digits)})  (shape {(*value.shape,)}, {dtype})"
    if isinstance(value, np.ndarray):
        return f"array({_text(plain(value), digits)})  (shape {value.shape}, {value.dtype})"
    return _text(value, digits)


def _text(value: Any, digits: int) -> str:
    if isinstance(value, Tensor):
        value = plain(value)
        value = value.tolist() if isinstance(value, Tensor) else value
    if isinstance(value, dict):
        entries = [f"{key!r}: {_text(entry, digits)}" for key, entry in value.items()]
        return f"{{{', '.join(entries)}}}"
    if isinstance(value, list | tuple):
        entries = [_text(entry, digits) for entry in value[:MOST_SHOWN]]
        entries += ["…"] * (len(value) > MOST_SHOWN)
        return f"[{', '.join(entries)}]"
    if isinstance(value, float | np.floating):
        return f"{float(value):.{digits}g}"
    try:
        return " ".join(repr(value).split())[:200]
    except Exception:  # a learner's own class that cannot be printed
        return f"<{type(value).__name__}>"
