"""Exercises that check themselves: what one is, where it is found, how an answer is examined.

Each chapter's module lists its `EXERCISES`. An answer is run on fixed edge cases and seeded random
ones; a wrong answer is held against the known mistakes, and the one that gives the same outputs
everywhere supplies the hint.
"""

import difflib
import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

RANDOM_CASES = 40
Inputs = tuple[Any, ...]


@dataclass(frozen=True)
class Exercise:
    """A function to write.

    `reference` is one right answer and carries the function's name and arguments. `mistakes` maps
    a hint to the known wrong answer that it is meant for.
    """

    name: str
    reference: Callable[..., Tensor]
    draw: Callable[[torch.Generator], Inputs]
    mistakes: Mapping[str, Callable[..., Tensor]]
    edges: tuple[Inputs, ...] = ()

    def cases(self) -> list[Inputs]:
        """The edge cases, then the random ones: the same at every call."""
        generator = torch.Generator().manual_seed(0)
        return [*self.edges, *(self.draw(generator) for _ in range(RANDOM_CASES))]


@dataclass(frozen=True)
class Trial:
    """One case: the inputs, what the answer gave (a value or an exception), what is right."""

    inputs: Inputs
    got: Any
    expected: Tensor

    @property
    def passed(self) -> bool:
        return agree(self.got, self.expected, self.inputs)

    @property
    def size(self) -> int:
        return sum(x.numel() for x in self.inputs if isinstance(x, Tensor))


def draw_int(low: int, high: int, generator: torch.Generator) -> int:
    """A whole number from ``low`` to ``high``, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def draw_dtype(generator: torch.Generator) -> torch.dtype:
    """Now and then single precision."""
    return (torch.float64, torch.float64, torch.float32)[draw_int(0, 2, generator)]


def double(*rows: Any) -> Tensor:
    """The rows, numbers or nested lists, as a tensor in double precision."""
    return torch.tensor(rows, dtype=torch.float64)


def registry() -> dict[str, Exercise]:
    """Every exercise of every chapter module in this package, by name."""
    modules = [
        importlib.import_module(f"{__name__}.{info.name}")
        for info in pkgutil.iter_modules(__path__)
    ]
    return {exercise.name: exercise for module in modules for exercise in module.EXERCISES}


def find(name: str) -> Exercise:
    """The exercise called `name`. Raises ValueError, with near misses, when there is none."""
    known = registry()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(str(name), known)
    suggestion = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
    raise ValueError(f"there is no exercise {name!r}; {suggestion}")


def examine(exercise: Exercise, answer: Any) -> tuple[bool, str]:
    """Whether `answer` passes, and the report to print. Exceptions in the answer are caught."""
    if answer is None or answer is ...:
        return False, f"○ {exercise.name}: not started yet"
    if not callable(answer):
        return False, f"✗ {exercise.name}: pass a function, got {type(answer).__name__}"
    trials = [
        Trial(inputs, run(answer, inputs), run(exercise.reference, inputs))
        for inputs in exercise.cases()
    ]
    if all(_untouched(trial.got) for trial in trials):
        return False, f"○ {exercise.name}: not started yet{_missing_return(answer, trials)}"
    failed = sorted((trial for trial in trials if not trial.passed), key=lambda trial: trial.size)
    if not failed:
        return True, f"✓ {exercise.name}: passed {len(trials)} random tests"
    crashed = [trial for trial in failed if isinstance(trial.got, Exception)]
    if crashed:
        return False, _report_crash(exercise, crashed[0])
    hint = _known_mistake(exercise, trials) or _general_hint(trials, failed)
    headline = f"✗ {exercise.name}: wrong in {len(failed)} of {len(trials)} random tests"
    return False, f"{headline}\n  hint: {hint}\n{_counterexample(exercise, failed[0])}"


def run(function: Callable[..., Any], inputs: Inputs) -> Any:
    """Call on copies of the inputs; give back the value, or the exception it raised."""
    copies = [x.clone() if isinstance(x, Tensor) else x for x in inputs]
    try:
        value = function(*copies)
    except Exception as error:
        return error
    return value.detach().cpu() if isinstance(value, Tensor) else value


def agree(got: Any, expected: Any, inputs: Inputs) -> bool:
    """Same shape, dtype and values, up to the rounding that inputs of this size bring."""
    if not (isinstance(got, Tensor) and isinstance(expected, Tensor)):
        return False
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return False
    largest = max(
        (x.abs().max().item() for x in inputs if isinstance(x, Tensor) and x.is_floating_point()),
        default=0.0,
    )
    eps = torch.finfo(expected.dtype).eps if expected.is_floating_point() else 0.0
    tolerance = {"rtol": 64 * eps, "atol": 32 * eps * (1 + largest)}
    return torch.allclose(got, expected, equal_nan=True, **tolerance)


def _untouched(value: Any) -> bool:
    if isinstance(value, NotImplementedError):
        return " not implemented for " not in str(value)  # that one is PyTorch's, about a dtype
    return value is None or value is ...


def _missing_return(answer: Callable[..., Any], trials: list[Trial]) -> str:
    """A remark for a function that uses other names, so does something, and gives None."""
    names_used = getattr(getattr(answer, "__code__", None), "co_names", ())
    works = names_used and all(trial.got is None for trial in trials)
    return ", or its `return` is missing: it gives None" if works else ""


def _known_mistake(exercise: Exercise, trials: list[Trial]) -> str | None:
    for hint, wrong in exercise.mistakes.items():
        if all(agree(trial.got, run(wrong, trial.inputs), trial.inputs) for trial in trials):
            return hint
    return None


def _general_hint(trials: list[Trial], failed: list[Trial]) -> str:
    for describe in (_form_hint, _finite_hint):
        for trial in failed:
            if hint := describe(trial):
                return hint
    if factor := _constant_factor(trials):
        return f"every entry is {factor:.4g} times what it should be"
    if len(failed) < len(trials) / 2:
        return "most tests pass: what sets the inputs that fail apart from the others?"
    return "work the counterexample out by hand, step by step, and compare"


def _form_hint(trial: Trial) -> str | None:
    got, expected = trial.got, trial.expected
    if not isinstance(got, Tensor):
        return f"return a torch.Tensor; yours returns {type(got).__module__}.{type(got).__name__}"
    if got.shape != expected.shape:
        wanted = f"the result has shape {(*got.shape,)}, it should have {(*expected.shape,)}"
        turned = got.ndim == expected.ndim == 2 and agree(got.T, expected, trial.inputs)
        return f"{wanted}: are rows and columns exchanged?" if turned else wanted
    if got.dtype != expected.dtype:
        return f"the result is {got.dtype}; keep the dtype of the inputs, {expected.dtype}"
    return None


def _finite_hint(trial: Trial) -> str | None:
    if trial.got.isfinite().all():
        return None
    return "NaN or infinity for finite inputs: which step overflows, or takes the log of 0?"


def _constant_factor(trials: list[Trial]) -> float | None:
    """The factor c ≠ 0 with got = c · expected in every case, if there is one."""
    got = torch.cat([trial.got.double().flatten() for trial in trials])
    expected = torch.cat([trial.expected.double().flatten() for trial in trials])
    factor = (got @ expected / (expected @ expected)).item()
    proportional = torch.allclose(got, factor * expected, rtol=1e-4, atol=1e-6)
    return factor if proportional and abs(factor) > 1e-6 else None


def _report_crash(exercise: Exercise, trial: Trial) -> str:
    error = trial.got
    outside = [Path(torch.__file__).parent, Path(__file__).parents[1]]
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not any(Path(frame.filename).is_relative_to(folder) for folder in outside)
    ]
    signature = inspect.signature(exercise.reference)
    where = f"it is called as {exercise.reference.__name__}({', '.join(signature.parameters)})"
    if frames:
        where = f"line {frames[-1].lineno}: {frames[-1].line}"
    message = str(error).strip().split("\n")[0]
    return (
        f"✗ {exercise.name}: your code raised {type(error).__name__}: {message}\n"
        f"  {where}\n{_described(exercise, trial)}"
    )


def _counterexample(exercise: Exercise, trial: Trial) -> str:
    return (
        f"  smallest counterexample:\n{_described(exercise, trial)}\n"
        f"    got      = {_shown(trial.got)}\n"
        f"    expected = {_shown(trial.expected)}"
    )


def _described(exercise: Exercise, trial: Trial) -> str:
    names = inspect.signature(exercise.reference).parameters
    pairs = zip(names, trial.inputs, strict=True)
    return "\n".join(f"    {name:<8} = {_shown(value)}" for name, value in pairs)


def _shown(value: Any) -> str:
    if not isinstance(value, Tensor):
        return repr(value)[:200]
    entries = " ".join(repr(value).split())
    dtype = str(value.dtype).removeprefix("torch.")
    return f"{entries}  (shape {(*value.shape,)}, {dtype})"
