"""What makes two runs the same: settings as short strings, equal in every process."""

import functools
import zlib
from collections.abc import Mapping
from enum import Enum
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PLAIN = (str, bytes, int, float, complex, type(None), torch.dtype, torch.device, Enum)

# What a run changes in PyTorch's schedules, whose state_dict holds their settings as well.
CHANGING = {"last_epoch", "_step_count", "_last_lr", "_get_lr_called_within_step", "_is_initial"}
CHANGING |= {"best", "num_bad_epochs", "cooldown_counter", "T_cur", "T_i"}
SCHEDULES = (torch.optim.lr_scheduler.LRScheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)

Circle = tuple[int, ...]  # the objects that one is looked at from within: they may be in a circle


def describe(value: Any, within: Circle = ()) -> str:
    """What ``value`` is and does: a function by its name, an object by its type and its settings.

    A ``repr`` may hold an address, or leave out what matters: the weights of a loss, the middle of
    a tensor, the steps of a schedule. What a run changes does not count: of networks, parameters
    and optimizers no more than kind and shape, of hooks nothing that their ``state_dict`` names.
    """
    if id(value) in within:
        return "..."
    inside = (*within, id(value))
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, np.ndarray):
        return f"array {value.dtype} {value.shape} {zlib.crc32(value.tobytes()):08x}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(describe(part, inside) for part in value)}]"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(describe(part, inside) for part in value))}}}"
    if isinstance(value, Mapping):
        return f"{{{_named({describe(key, inside): v for key, v in value.items()}, inside)}}}"
    if isinstance(value, functools.partial):
        arguments = [*(describe(v, inside) for v in value.args), _named(value.keywords, inside)]
        return f"{describe(value.func, inside)}({', '.join(filter(None, arguments))})"
    if hasattr(value, "__qualname__"):
        return _function(value, inside)
    return _object(value, inside)


def _named(values: Mapping[str, Any], within: Circle) -> str:
    return ", ".join(f"{name}={describe(value, within)}" for name, value in values.items())


def _tensor(value: Tensor) -> str:
    shown = f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    if isinstance(value, nn.Parameter) or value.layout is not torch.strided:
        return shown
    content = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return f"{shown} {zlib.crc32(content.data):08x}"


def _function(value: Any, within: Circle) -> str:
    """Its name, for a method with the object; where a name says little, also what it consists of.

    That is the case for lambdas, for functions inside functions, and in notebooks.
    """
    owner, code = getattr(value, "__self__", None), getattr(value, "__code__", None)
    if not isinstance(owner, type | ModuleType | None):
        return f"{describe(owner, within)}.{value.__name__}"
    if code is None or ("<" not in value.__qualname__ and value.__module__ != "__main__"):
        return value.__qualname__
    cells = zip(code.co_freevars, value.__closure__ or (), strict=True)
    enclosed = {name: _content(cell) for name, cell in cells}
    near = {name: value.__globals__.get(name) for name in code.co_names}
    near = {name: v for name, v in near.items() if isinstance(v, PLAIN) and v is not None}
    parts = [_code(code), value.__defaults__, value.__kwdefaults__, enclosed, near]
    return f"{value.__qualname__} ({zlib.crc32(describe(parts, within).encode()):08x})"


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


def _code(code: CodeType) -> list[Any]:
    constants = [_code(c) if isinstance(c, CodeType) else c for c in code.co_consts]
    return [code.co_code, code.co_names, constants]


def _object(value: Any, within: Circle) -> str:
    name, own = type(value).__qualname__, dict(getattr(value, "__dict__", {}))
    if isinstance(value, torch.optim.Optimizer):
        return name
    if isinstance(value, nn.Module):
        state = value.state_dict()
        if any(True for _ in value.parameters()):
            shapes = [(key, tuple(getattr(v, "shape", ()))) for key, v in state.items()]
            return f"{name} of {len(shapes)} tensors ({zlib.crc32(repr(shapes).encode()):08x})"
        own = {key: v for key, v in own.items() if key not in vars(nn.Module())}
        own |= value._modules | value._buffers
    elif isinstance(value, SCHEDULES):
        own = {key: v for key, v in own.items() if key not in CHANGING}
    elif hasattr(value, "state_dict"):
        own = {key: v for key, v in own.items() if key not in value.state_dict()}
    if not own and type(value).__repr__ is not object.__repr__ and " at 0x" not in repr(value):
        return name if isinstance(value, nn.Module) else repr(value)
    return f"{name}({_named(own, within)})" if own else name
