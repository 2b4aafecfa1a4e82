"""Exercises that check themselves: what one is, where it is found, how an answer is judged.

Each chapter's module lists its `EXERCISES`. An answer is run on fixed edge cases and seeded random
ones; a wrong answer is held against the known mistakes, and the one that gives the same values
everywhere supplies the hint.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

from l2g.exercises.exercise import Exercise, Inputs, double, draw_dtype, draw_int
from l2g.exercises.judging import Verdict, judge
from l2g.exercises.record import add, read, record_path, trouble
from l2g.exercises.rules import at_most, memory, without, without_autograd, without_loop
from l2g.exercises.values import AnyOrder

__all__ = [
    "AnyOrder",
    "Exercise",
    "Inputs",
    "Verdict",
    "at_most",
    "chapters",
    "check",
    "double",
    "draw_dtype",
    "draw_int",
    "examine",
    "find",
    "judge",
    "memory",
    "registry",
    "solution",
    "without",
    "without_autograd",
    "without_loop",
]

Function = TypeVar("Function", bound=Callable[..., Any])

# The last answer to each exercise that `check` has seen in this process, and how it stands.
ANSWERS: dict[str, tuple[Any, Verdict]] = {}


def chapters() -> dict[int, tuple[Exercise, ...]]:
    """The exercises of every chapter that has some, by its number."""
    found = [info.name for info in pkgutil.iter_modules(__path__) if info.name.startswith("ch")]
    return {
        int(name.removeprefix("ch")): importlib.import_module(f"{__name__}.{name}").EXERCISES
        for name in sorted(found)
    }


def registry() -> dict[str, Exercise]:
    """Every exercise of every chapter, by name."""
    return {exercise.name: exercise for part in chapters().values() for exercise in part}


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
    verdict = judge(exercise, answer)
    return verdict.status == "solved", verdict.report


def check(name: str, obj: Any) -> None:
    """Check an answer to an exercise by randomized tests; print the outcome, never fail.

    Prints ✓ when all tests pass, ○ while the stub is untouched (it raises NotImplementedError or
    returns nothing), else ✗ with a hint that fits the mistake and the smallest counterexample.
    Then how many exercises of the chapter are solved so far; see `l2g.progress`.

    Args:
        name: the exercise, e.g. "log_softmax".
        obj: the function that the exercise asks for; None or ... where nothing is written yet.

    Raises:
        ValueError: there is no exercise of that name.
    """
    verdict = judge(find(name), obj)
    ANSWERS[name] = obj, verdict
    print(verdict.report)
    if progress := _progress(name, verdict.status == "solved"):
        print(progress)


def _progress(name: str, solved: bool) -> str:
    """How many exercises of the chapter are solved, this one noted; "" where no record is kept."""
    if (path := record_path()) is None:
        return ""
    try:
        known = add(path, name) if solved else read(path)
    except (OSError, ValueError) as error:
        return trouble(path, error)
    number, part = next((n, p) for n, p in chapters().items() if name in {e.name for e in p})
    done = sum(exercise.name in known for exercise in part)
    return f"  solved so far: {done} of {len(part)} in chapter {number}"


def solution(name: str) -> Callable[[Function], Function]:
    """Mark a function as the chapter's solution, ``@solution("log_softmax")``.

    The solution is checked in silence. A learner who has started keeps their own function under
    the name, so that "Run all" replaces nothing; who has not, gets the solution's.

    Raises:
        ValueError: there is no exercise of that name.
        AssertionError: the solution itself does not pass; the message is the report.
    """
    exercise = find(name)

    def keep(function: Function) -> Function:
        solved, report = examine(exercise, function)
        if not solved:
            raise AssertionError(report)
        mine, verdict = ANSWERS.get(name, (function, None))
        return function if verdict is None or verdict.status == "not started" else mine

    return keep
