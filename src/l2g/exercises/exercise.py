"""What an exercise is, and the small helpers that its random inputs are drawn with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from l2g.exercises.rules import Rule
from l2g.numbers import in_unit_interval, whole_number

Inputs = tuple[Any, ...]


@dataclass(frozen=True)
class Exercise:
    """A function to write.

    An answer is judged by the values that it returns: tensors, NumPy arrays, numbers and lists of
    numbers count alike, generators are run to their end, and rounding is forgiven as far as the
    coarsest dtype and the conditioning of the inputs go.

    Args:
        name: what `check` finds it by.
        reference: one right answer; it carries the function's name and arguments. What it returns
            in an `AnyOrder` may come in any order; a dictionary gives its parts names.
        draw: inputs for the function, from a generator; tensors among them are copied for each
            call, and so are modules, lists and generators.
        mistakes: maps a hint to the known wrong answer that it is meant for.
        edges: cases to try before the drawn ones.
        random_cases: how many are drawn.
        rules: what the exercise is about beyond its values: see `without`, `without_autograd`,
            `without_loop`, `at_most` and `memory`.
        probe: what to do with a result that is no value: a function, a module, an optimizer, a
            fitted model. It is called with the result and the inputs, and returns values.
        accuracy: how far off a right answer may be, relative to the largest number in the result:
            1e-3 for answers that approach it step by step.
        same_dtype: whether a result in another dtype than the reference's is wrong.

    Raises:
        TypeError: an argument has another type.
        ValueError: a name is empty, or a number is out of range.
    """

    name: str
    reference: Callable[..., Any]
    draw: Callable[[torch.Generator], Inputs]
    mistakes: Mapping[str, Callable[..., Any]]
    edges: tuple[Inputs, ...] = ()
    random_cases: int = 40
    rules: tuple[Rule, ...] = ()
    probe: Callable[..., Any] | None = None
    accuracy: float = 0.0
    same_dtype: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"name must be a string, got {type(self.name).__name__}")
        if not self.name:
            raise ValueError("name must say what the exercise is called, got an empty string")
        if not isinstance(self.mistakes, Mapping):
            got = type(self.mistakes).__name__
            raise TypeError(f"mistakes must map hints to wrong answers, got {got}")
        functions = {"reference": self.reference, "draw": self.draw, **self.mistakes}
        if self.probe is not None:
            functions["probe"] = self.probe
        for what, function in functions.items():
            if not callable(function):
                raise TypeError(f"{what} must be a function, got {type(function).__name__}")
        for rule in self.rules:
            if not callable(rule):
                got = type(rule).__name__
                raise TypeError(f"rules must be functions such as without_loop, got {got}")
        whole_number("random_cases", self.random_cases, least=0)
        in_unit_interval("accuracy", self.accuracy)

    def cases(self) -> list[Inputs]:
        """The edge cases, then the random ones: the same at every call."""
        generator = torch.Generator().manual_seed(0)
        return [*self.edges, *(self.draw(generator) for _ in range(self.random_cases))]


def draw_int(low: int, high: int, generator: torch.Generator) -> int:
    """A whole number from ``low`` to ``high``, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def draw_dtype(generator: torch.Generator) -> torch.dtype:
    """Now and then single precision."""
    return (torch.float64, torch.float64, torch.float32)[draw_int(0, 2, generator)]


def double(*rows: Any) -> Tensor:
    """The rows, numbers or nested lists, as a tensor in double precision."""
    return torch.tensor(rows, dtype=torch.float64)
