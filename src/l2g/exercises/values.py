"""Values as answers give them, brought into one form, and whether two of them agree.

The form: a tensor for whatever holds numbers in a regular grid (a tensor, an array, a number, a
list of equally long lists), a list for parts that differ in shape, a dictionary, else the object.
"""

from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence, Set, ValuesView
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST_ITEMS = 100_000  # of a generator that may never end
SINGLE = torch.float32
STEP = 1e-6  # relative; far above the rounding of double precision, far below the inputs


class AnyOrder(list[Any]):
    """A list in a reference's result whose order does not matter: of indices, of folds, …"""


def materialized(value: Any) -> Any:
    """The value with every generator in it run to its end."""
    if isinstance(value, Iterator):
        value = list(islice(value, MOST_ITEMS))
    if isinstance(value, Mapping):
        return {key: materialized(entry) for key, entry in value.items()}
    if isinstance(value, AnyOrder):
        return AnyOrder(map(materialized, value))
    if isinstance(value, list | tuple | KeysView | ValuesView):
        return [materialized(entry) for entry in value]
    return value


def plain(value: Any) -> Any:
    """The value in the one form in which values are compared."""
    if isinstance(value, Tensor):
        return _from_torch(value.detach())
    if isinstance(value, bool | int | float | np.generic | np.ndarray):
        return _from_numpy(np.asarray(value))
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, AnyOrder):
        return AnyOrder(map(plain, value))
    if isinstance(value, Set):
        value = sorted(value) if all(isinstance(v, int | float) for v in value) else list(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return _stacked([plain(entry) for entry in value])
    if hasattr(value, "__array__") and not callable(value):  # a column of a data frame
        return _from_numpy(np.asarray(value))
    return value


def _from_torch(value: Tensor) -> Any:
    if value.is_meta:
        raise ValueError("a tensor on the device 'meta' holds no numbers")
    if value.is_nested:
        return _stacked([_from_torch(part) for part in value.unbind()])
    if value.is_quantized:
        value = value.dequantize()
    if value.layout is not torch.strided:
        value = value.to_dense()
    small = value.is_floating_point() and value.element_size() == 1  # eight bits: few operations
    return (value.half() if small else value).cpu()


def _from_numpy(array: np.ndarray) -> Any:
    try:
        return torch.from_numpy(np.array(array))
    except TypeError:  # strings, objects, whole numbers beyond 64 bits
        return plain(array.tolist()) if array.ndim else array.item()


def _stacked(parts: list[Any]) -> Any:
    """The parts as one tensor if they are tensors of one shape."""
    if not all(isinstance(part, Tensor) for part in parts):
        return parts
    if len({part.shape for part in parts}) > 1:
        return parts
    if not parts:
        return torch.zeros(0)
    dtype = reduce(torch.promote_types, (part.dtype for part in parts))
    return torch.stack([part.to(dtype) for part in parts])


def leaves(value: Any) -> list[Tensor]:
    """All tensors in a value of the one form, in their order."""
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [leaf for part in parts for leaf in leaves(part)]


@dataclass(frozen=True)
class Leeway:
    """How far a right result may be from the reference's in one case.

    Args:
        eps: relative spacing of the coarsest floating-point numbers among the inputs.
        largest: the largest absolute value among them.
        strain: how much the problem itself enlarges rounding, see `strain`.
        accuracy: what the exercise itself forgives, relative to the largest number of the result.
        same_dtype: whether the dtype counts.
    """

    eps: float
    largest: float
    strain: float = 0.0
    accuracy: float = 0.0
    same_dtype: bool = False

    def around(self, got: Tensor, expected: Tensor) -> dict[str, float]:
        """`rtol` and `atol` for one tensor; single precision in an answer is forgiven."""
        eps = max(self.eps, _spacing(expected), _spacing(got) if got.dtype is SINGLE else 0.0)
        sizes = expected.double().abs()
        finite = sizes[sizes.isfinite()]
        scale = max(finite.max().item() if finite.numel() else 0.0, self.largest)
        slack = eps * (32 * (1 + self.largest) + 16 * self.strain)
        return {"rtol": 64 * eps, "atol": slack + self.accuracy * scale}


def _spacing(x: Tensor) -> float:
    return torch.finfo(x.dtype).eps if x.is_floating_point() else 0.0


def leeway(inputs: tuple[Any, ...], accuracy: float = 0.0, same_dtype: bool = False) -> Leeway:
    """The leeway for rounding in a case with these inputs, whatever is computed from them."""
    floats = [x for x in inputs if isinstance(x, Tensor) and x.is_floating_point() and x.numel()]
    eps = max((_spacing(x) for x in floats), default=torch.finfo(torch.float64).eps)
    largest = max((x.abs().max().item() for x in floats), default=0.0)
    return Leeway(eps, largest, accuracy=accuracy, same_dtype=same_dtype)


def strain(result: Callable[..., Any], inputs: tuple[Any, ...], largest: float) -> float:
    """How much rounding grows on the way from inputs to ``result``, a value of the one form.

    The larger of two: how far the result moves when the inputs move, per relative change; and how
    large it is for inputs of other signs, where nothing cancels: E[x²] − E[x]² has lost what x² is
    too large for. The second stops at the square of the largest input.
    """
    generator = torch.Generator().manual_seed(0)
    ways = [[_signs(x, generator) for x in inputs] for _ in range(5)]
    size = median(_size(result(*map(_scaled, inputs, way))) for way in ways)
    return max(min(size, (1 + largest) ** 2), *(_slope(result, inputs, way) for way in ways[:3]))


def _slope(result: Callable[..., Any], inputs: tuple[Any, ...], way: list[Tensor]) -> float:
    """Taken beside the inputs, between one and two small steps on the way.

    Where a tie is broken or a threshold passed, the result jumps in the first step, not the second.
    """
    near, far = (
        result(*(_scaled(x, 1 + k * STEP * w) for x, w in zip(inputs, way, strict=True)))
        for k in (1, 2)
    )
    pairs = list(zip(leaves(near), leaves(far), strict=False))
    moved = [b.double() - a.double() for a, b in pairs if a.shape == b.shape]
    return _size([change / STEP for change in moved])


def _signs(x: Any, generator: torch.Generator) -> Tensor:
    shape = x.shape if isinstance(x, Tensor) else ()
    return 2.0 * torch.randint(2, shape, generator=generator, dtype=torch.float64) - 1


def _scaled(x: Any, by: Tensor) -> Any:
    if isinstance(x, Tensor) and x.is_floating_point():
        return x.double() * by
    return x * by.item() if isinstance(x, float) else x


def _size(value: Any) -> float:
    """The largest number in a value, whatever its sign; 0 for NaN and infinity."""
    sizes = [leaf.double().abs().nan_to_num(0, 0, 0) for leaf in leaves(value) if leaf.numel()]
    return max((size.max().item() for size in sizes), default=0.0)


def agree(got: Any, expected: Any, leeway: Leeway) -> bool:
    """Whether two values of the one form are the same up to the leeway of their case."""
    if isinstance(expected, AnyOrder):
        return _same_in_any_order(_parts(got), expected, leeway)
    if isinstance(expected, dict):
        same_keys = isinstance(got, dict) and got.keys() == expected.keys()
        return same_keys and all(agree(got[k], expected[k], leeway) for k in expected)
    if isinstance(got, Tensor) and isinstance(expected, Tensor):
        return _same_numbers(got, expected, leeway)
    if isinstance(expected, list):
        parts = _parts(got)
        if parts is None or len(parts) != len(expected):
            return False
        return all(agree(g, e, leeway) for g, e in zip(parts, expected, strict=True))
    return bool(type(got) is type(expected) and not isinstance(got, Tensor) and got == expected)


def _parts(value: Any) -> list[Any] | None:
    if isinstance(value, Tensor) and value.ndim:
        return list(value.unbind())
    return value if isinstance(value, list) else None


def _same_in_any_order(got: list[Any] | None, expected: AnyOrder, leeway: Leeway) -> bool:
    if got is None or len(got) != len(expected):
        return False
    if all(isinstance(part, Tensor) and not part.ndim for part in (*got, *expected)):
        return agree(_sorted(got), _sorted(expected), leeway)
    left = list(got)
    for wanted in expected:
        found = next((k for k, part in enumerate(left) if agree(part, wanted, leeway)), None)
        if found is None:
            return False
        del left[found]
    return True


def _sorted(numbers: list[Any]) -> Any:
    stacked = _stacked(numbers)
    return stacked.sort().values if isinstance(stacked, Tensor) else stacked


def _same_numbers(got: Tensor, expected: Tensor, leeway: Leeway) -> bool:
    if got.shape != expected.shape or (leeway.same_dtype and got.dtype != expected.dtype):
        return False
    if coarse(got, expected, leeway):
        return False
    tolerance = leeway.around(got, expected)
    wide = torch.promote_types(torch.promote_types(got.dtype, expected.dtype), torch.float64)
    return torch.allclose(got.to(wide), expected.to(wide), equal_nan=True, **tolerance)


def coarse(got: Tensor, expected: Tensor, leeway: Leeway) -> bool:
    """Whether the numbers have fewer digits than single precision, the inputs and what is right."""
    enough = max(torch.finfo(SINGLE).eps, leeway.eps, _spacing(expected))
    return _spacing(got) > enough
