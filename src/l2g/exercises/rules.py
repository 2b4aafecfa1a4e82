"""What an exercise asks for beyond its values, and how that is seen.

Calls of PyTorch are seen while the answer runs, also inside of functions that it calls. What
PyTorch does not see (NumPy, `math`, loops) is read off the compiled code of the answer and of the
learner's own functions that it uses. A rule takes what was seen in one case and returns None, or
the sentence that says what is not allowed. It guards against misunderstandings, not against fraud.
"""

import builtins
import dis
import inspect
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from l2g.numbers import whole_number

AUTOGRAD = {"backward", "grad", "_make_dual"}  # as PyTorch calls them
LOOPING = {"map", "vectorize", "apply_along_axis", "reduce"}
LIBRARIES = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]
LIBRARIES += [Path(torch.__file__).parent, Path(__file__).parents[1]]

# Instructions of Python's own machine, by how their names begin.
REPEATED = ("FOR_ITER", "JUMP_BACKWARD", "POP_JUMP_BACKWARD")
ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_NAME", "IMPORT_FROM")
VARIABLE = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF")


@dataclass(frozen=True)
class Seen:
    """What one call of an answer did.

    Args:
        inputs: that it was called with.
        calls: how often each function was called, of PyTorch and among the inputs, by name.
        largest: the numbers in the largest tensor that PyTorch made for it.
        code: what its code uses by name, from any library.
        loops: whether its code loops, or calls itself.
    """

    inputs: tuple[Any, ...]
    calls: Mapping[str, int]
    largest: int
    code: frozenset[str]
    loops: bool


Rule = Callable[[Seen], str | None]


def without(*names: str, instead: str = "") -> Rule:
    """Not with these functions, such as "exp" or "log_softmax", of any library.

    Args:
        names: as PyTorch and NumPy call them; "exp" stands for `exp_`, `torch.special.exp`, … too.
        instead: the second half of the sentence: what to use.

    Raises:
        TypeError: a name is no string.
        ValueError: there is no name.
    """
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"names must be strings, got {type(name).__name__}")
    if not names:
        raise ValueError("names must hold the functions that may not be used, got none")

    def rule(seen: Seen) -> str | None:
        used = sorted({*seen.calls, *seen.code} & {*names})
        end = f": {instead}" if instead else ""
        return f"it uses `{used[0]}`, and here it should do without{end}" if used else None

    return rule


def without_autograd(seen: Seen) -> str | None:
    """Not by automatic differentiation: the gradient is derived by hand."""
    if AUTOGRAD.isdisjoint(seen.calls):
        return None
    return "it lets autograd find the gradient, and here you should derive it yourself"


def without_loop(seen: Seen) -> str | None:
    """Not by a loop or a comprehension: by operations on whole tensors."""
    if not seen.loops and LOOPING.isdisjoint(seen.code):
        return None
    return "it loops, and here operations on whole tensors should do"


def at_most(count: int | Callable[..., int], name: str) -> Rule:
    """At most so many calls of a function: of PyTorch's, or of an argument of the answer.

    Args:
        count: how many, or a function of the inputs that says it.
        name: of PyTorch's function or of the argument.

    Raises:
        TypeError: `count` is neither a whole number nor a function, or `name` no string.
        ValueError: `count` is negative.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {type(name).__name__}")
    limit = count if callable(count) else _constant(whole_number("count", count, least=0))

    def rule(seen: Seen) -> str | None:
        calls, most = seen.calls.get(name, 0), limit(*seen.inputs)
        if calls <= most:
            return None
        return f"it calls `{name}` {_times(calls)}, where {_times(most)} should do"

    return rule


def memory(numbers: int | Callable[..., int]) -> Rule:
    """No tensor of PyTorch's with more than so many numbers.

    Args:
        numbers: how many, or a function of the inputs that says it.

    Raises:
        TypeError: `numbers` is neither a whole number nor a function.
        ValueError: `numbers` is negative.
    """
    limit = numbers if callable(numbers) else _constant(whole_number("numbers", numbers, least=0))

    def rule(seen: Seen) -> str | None:
        most = limit(*seen.inputs)
        if seen.largest <= most:
            return None
        return f"it makes a tensor of {seen.largest:,} numbers, where {most:,} should do"

    return rule


def _constant(value: int) -> Callable[..., int]:
    return lambda *_: value


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


class Watch(TorchFunctionMode):
    """Counts the calls of PyTorch's functions that are made within it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.largest = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls[_bare(getattr(func, "__name__", ""))] += 1
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            with suppress(NotImplementedError, RuntimeError):  # sparse, or within torch.func
                size = result.untyped_storage().nbytes() // result.element_size()
                self.largest = max(self.largest, size)
        return result

    def counted(self, name: str, value: Any) -> Any:
        """A function among the inputs, counted under its argument's name."""
        if not callable(value) or isinstance(value, torch.nn.Module | type):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            return value(*args, **kwargs)

        return call


def _bare(name: str) -> str:
    """`exp_`, `special_exp` and `exp.default` are exp; `__get__` stays."""
    name = name.removeprefix("special_").partition(".")[0]
    return name if name.startswith("__") else name.rstrip("_")


def names_and_loops(answer: Any) -> tuple[frozenset[str], bool]:
    """What an answer's code uses by name, and whether it loops or calls itself.

    The learner's own functions are read, too.
    """
    names: set[str] = set()
    loops, known, waiting = False, set[CodeType](), _functions(answer)
    while waiting:
        function = waiting.pop()
        if function.__code__ in known:
            continue
        known.add(function.__code__)
        for instruction in _instructions(function.__code__):
            loops = loops or instruction.opname.startswith(REPEATED)
            if instruction.opname.startswith(ATTRIBUTE):
                names.add(instruction.argval)
            elif instruction.opname.startswith(VARIABLE):
                found = _meaning(function, instruction.argval)
                waiting += (own := _functions(found))
                loops = loops or found is function
                names |= set() if own else _real_name(found)
    return frozenset(map(_bare, names)), loops


def _functions(answer: Any) -> list[FunctionType]:
    """The learner's own functions that make up an answer: itself, or the methods of its class."""
    if isinstance(answer, partial):
        answer = answer.func
    answer = inspect.unwrap(answer) if callable(answer) else answer
    answer = getattr(answer, "__func__", answer)
    kind = answer if inspect.isclass(answer) else type(answer)
    found = [answer] if inspect.isfunction(answer) else vars(kind).values()
    own = [part for part in found if inspect.isfunction(part)]
    return [part for part in own if not in_library(part.__code__.co_filename)]


def in_library(filename: str) -> bool:
    """Whether a file belongs to Python, to an installed package or to this one."""
    return any(Path(filename).is_relative_to(folder) for folder in LIBRARIES)


def _instructions(code: CodeType) -> Iterator[dis.Instruction]:
    yield from dis.get_instructions(code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _instructions(constant)


def _meaning(function: FunctionType, name: str) -> Any:
    """What a variable of a function stands for outside of it, or None."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    if name in cells:
        with suppress(ValueError):  # a cell that is still empty
            return cells[name].cell_contents
    return function.__globals__.get(name, getattr(builtins, name, None))


def _real_name(found: Any) -> set[str]:
    """`e`, after `from numpy import exp as e`, is exp."""
    name = getattr(found, "__name__", None)
    return {name} if callable(found) and isinstance(name, str) else set()
