"""One case: what the answer gave for its inputs, and what is right."""

import copy
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from l2g.exercises.exercise import Exercise, Inputs
from l2g.exercises.rules import in_library
from l2g.exercises.values import Leeway, agree, leeway, materialized, plain, strain


@dataclass(frozen=True)
class Trial:
    """One case of an exercise: the inputs, and what the answer gave, a value or an exception."""

    exercise: Exercise
    inputs: Inputs
    got: Any

    @cached_property
    def expected(self) -> Any:
        value = run(self.exercise.reference, self.inputs, self.exercise.probe)
        if isinstance(value, Exception):
            raise value
        return value

    @cached_property
    def passed(self) -> bool:
        return self.gave(self.expected)

    @property
    def size(self) -> int:
        """Smaller cases are easier to look at."""
        return sum(x.numel() for x in self.inputs if isinstance(x, Tensor))

    @cached_property
    def values(self) -> tuple[Any, Any]:
        """What the answer gave and what is right, in the one form."""
        return plain(self.got), plain(self.expected)

    @cached_property
    def rounding(self) -> Leeway:
        """How far off rounding alone may be."""
        return leeway(self.inputs, self.exercise.accuracy, self.exercise.same_dtype)

    @cached_property
    def conditioned(self) -> Leeway:
        """The same for a case whose inputs, moved a little, move the result a lot."""

        def result(*inputs: Any) -> Any:
            return plain(run(self.exercise.reference, inputs, self.exercise.probe))

        rounding = self.rounding
        return replace(rounding, strain=strain(result, self.inputs, rounding.largest))

    def gave(self, value: Any) -> bool:
        """Whether the answer gave this value."""
        got, wanted = self.values[0], plain(value)
        return agree(got, wanted, self.rounding) or agree(got, wanted, self.conditioned)


def run(function: Callable[..., Any], inputs: Inputs, probe: Any = None) -> Any:
    """Call on copies of the inputs; give back the value, or the exception it raised.

    With a probe, the value is what the probe makes of the result. PyTorch's random numbers are the
    same in every call, and what they were before goes on afterwards.
    """
    try:
        with _same_luck():
            value = function(*map(copied, inputs))
            if probe is not None and not untouched(value):
                value = probe(value, *map(copied, inputs))
            value = materialized(value)
            plain(value)  # what it raises is the answer's as well
            return value
    except Exception as error:
        return error
    except SystemExit as error:
        called = f"exit({'' if error.code is None else error.code}) was called"
        return RuntimeError(called).with_traceback(error.__traceback__)


@contextmanager
def _same_luck() -> Iterator[None]:
    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(0)
    try:
        yield
    finally:
        torch.default_generator.set_state(before)


def copied(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.detach().clone()
    if isinstance(x, torch.Generator):
        return torch.Generator(x.device).set_state(x.get_state())
    return copy.deepcopy(x)


def untouched(value: Any) -> bool:
    """Whether this is what a stub gives: nothing, or NotImplementedError of its own."""
    if isinstance(value, NotImplementedError):
        frames = traceback.extract_tb(value.__traceback__)
        # Else it is PyTorch's, about a dtype.
        return bool(frames) and not in_library(frames[-1].filename)
    return value is None or value is ...
