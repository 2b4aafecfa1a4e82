"""Checkpoints: the full state of a training run in one file, from which it goes on bit for bit.

The file holds everything that the next epoch depends on, followed by a SHA-256 digest, because
PyTorch does not notice flipped bits. It is written beside and renamed, so that a process killed at
any moment leaves the last complete checkpoint.
"""

import hashlib
import io
import pickle
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l2g.describe import describe
from l2g.files import beside_of, write_atomically
from l2g.history import History

_DIGEST = hashlib.sha256().digest_size


class Checkpoint:
    """The state of a run, kept in the file ``path``; without a path nothing is kept.

    Hooks with ``state_dict`` and ``load_state_dict``, such as early stopping, are part of it. A run
    goes on only with the same model, optimizer, hooks and ``settings``.
    """

    def __init__(
        self,
        path: str | Path | None,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        hooks: Sequence[Any],
        settings: Mapping[str, Any],
    ) -> None:
        self.path = None if path is None else Path(path)
        self.model, self.optimizer, self.generator = model, optimizer, generator
        self.hooks = [hook for hook in hooks if hasattr(hook, "state_dict")]
        self.settings = settings
        self.configuration: dict[str, str] = {}
        self.device = next(model.parameters()).device

    def start(self, history: History, epochs: int) -> History:
        """Go on from the file if there is one; return its history, otherwise ``history``.

        If epochs are still to come, also make sure that they can be saved and read back.

        Raises:
            ValueError: the file is damaged, or belongs to a run of another configuration or of more
                epochs; the file and the model are left as they were.
            OSError: the folder is missing, full or not writable.
            TypeError: the state holds objects other than tensors and plain Python values.
        """
        if self.path is None:
            return history
        self.configuration = self._configuration(history)
        if self.path.exists():
            state = _read(self.path, self.configuration)
            history = History.from_dict(state["history"])
            if history.epochs > epochs:
                raise ValueError(
                    f"checkpoint {self.path} already holds {history.epochs} epochs, "
                    f"more than epochs={epochs}; name another file"
                )
            self._apply(state)
        if history.epochs < epochs and not history.stopped_early:
            _rehearse(self.path, self._packed(history))
        return history

    def save(self, history: History) -> None:
        """Replace the file by the present state."""
        if self.path is not None:
            write_atomically(self.path, self._packed(history))

    def _configuration(self, history: History) -> dict[str, str]:
        """What must be equal for a run to go on, as short strings that a message can show."""
        state = self.model.state_dict()
        shapes = [(name, tuple(getattr(value, "shape", ()))) for name, value in state.items()]
        described = {
            "model": f"{len(shapes)} tensors ({zlib.crc32(repr(shapes).encode()):08x})",
            "optimizer": type(self.optimizer).__qualname__,
            "seed": str(history.seed),
            "columns": ", ".join(history.columns),
            "hooks": describe(self.hooks),
        }
        for i, group in enumerate(self.optimizer.param_groups):
            for name, value in group.items():
                size = f"{len(value)} tensors" if name == "params" else describe(value)
                described[f"group {i} {name}"] = size
        return described | {name: describe(value) for name, value in self.settings.items()}

    def _packed(self, history: History) -> bytes:
        state = {
            "configuration": self.configuration,
            "model": self.model.state_dict(),
            "trainable": [n for n, p in self.model.named_parameters() if p.requires_grad],
            "optimizer": self.optimizer.state_dict(),
            "hooks": [hook.state_dict() for hook in self.hooks],
            "generator": self.generator.get_state(),
            "rng": _rng_states(self.device),
            "history": history.to_dict(),
        }
        file = io.BytesIO()
        torch.save(state, file)
        payload = file.getvalue()
        return payload + hashlib.sha256(payload).digest()

    def _apply(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in state["trainable"])
        self.optimizer.load_state_dict(state["optimizer"])
        for hook, saved in zip(self.hooks, state["hooks"], strict=True):
            hook.load_state_dict(saved)
        self.generator.set_state(state["generator"])
        _set_rng_states(state["rng"], self.device)


def _read(path: Path, configuration: Mapping[str, str]) -> dict[str, Any]:
    packed = path.read_bytes()
    payload, digest = packed[:-_DIGEST], packed[-_DIGEST:]
    try:
        if hashlib.sha256(payload).digest() != digest:
            raise pickle.UnpicklingError("the digest does not match")
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"checkpoint {path} is damaged or was not written by fit; "
            "delete it to start anew, or name another file"
        ) from error
    there, here = state["configuration"], configuration
    changed = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    if changed:
        changes = "; ".join(f"{k}: {there.get(k)} there, {here.get(k)} here" for k in changed)
        raise ValueError(
            f"checkpoint {path} belongs to another run ({changes}); "
            "delete it to start anew, or name another file"
        )
    return state


def _rehearse(path: Path, packed: bytes) -> None:
    """A state that cannot be written or read back should fail now, not hours later."""
    try:
        torch.load(io.BytesIO(packed), weights_only=True)
    except pickle.UnpicklingError as error:
        raise TypeError(
            "a checkpoint holds tensors and plain Python values only, but the optimizer or a hook "
            "keeps something else; NumPy numbers become plain ones with lr=float(lr)"
        ) from error
    beside = beside_of(path)
    try:
        beside.write_bytes(packed)
    except OSError as error:
        reason = f"checkpoint {path} cannot be written: {error.strerror}"
        raise OSError(error.errno, reason) from error
    finally:
        with suppress(OSError):
            beside.unlink()


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Start the global generators of the CPU and of ``device`` from ``seed``; put them back after.

    Other devices are left alone, which ``torch.manual_seed`` would not do.
    """
    on_cpu = device.type == "cpu"
    with torch.random.fork_rng([] if on_cpu else [device], device_type=device.type):
        start = {"cpu": torch.Generator().manual_seed(seed).get_state()}
        if not on_cpu:
            start[device.type] = torch.Generator(device).manual_seed(seed).get_state()
        _set_rng_states(start, device)
        yield


def _rng_states(device: torch.device) -> dict[str, Tensor]:
    """States of the global generators of the CPU and of ``device``."""
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state(device)
    return states


def _set_rng_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Inverse of ``_rng_states``; a device without a saved state keeps its own."""
    torch.set_rng_state(states["cpu"])
    if device.type != "cpu" and device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type], device)
