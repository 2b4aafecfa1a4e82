"""What a training run leaves behind: its history; and early stopping, a hook that reads it."""

import copy
import json
import math
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn


@dataclass(eq=False)
class History:
    """What happened in a run of ``fit``: one value per epoch in each column.

    Columns are ``running_loss`` (mean over the epoch in training mode, while the weights move),
    ``train_loss`` and ``val_loss`` (in evaluation mode, after the epoch), and ``train_NAME`` and
    ``val_NAME`` for every metric. ``history["val_loss"]`` is an array of shape (epochs,);
    ``history.columns`` holds the plain lists. Two histories are equal if all but ``seconds`` is.

    Attributes:
        seed: the seed of the run.
        columns: name → one number per epoch.
        seconds: wall time of each epoch, training and evaluation.
        stopped_early: whether a hook ended the run.
    """

    seed: int
    columns: dict[str, list[float]]
    seconds: list[float] = field(default_factory=list)
    stopped_early: bool = False

    @property
    def epochs(self) -> int:
        """Number of epochs that ran."""
        return len(self.seconds)

    @property
    def best_epoch(self) -> int | None:
        """Index, from 0, of the lowest validation loss; NaN never counts, ``None`` if all are."""
        losses = self["val_loss"]
        return None if np.isnan(losses).all() else int(np.nanargmin(losses))

    def append(self, values: Mapping[str, float], seconds: float) -> None:
        """Add one epoch: a value for every column."""
        for name, column in self.columns.items():
            column.append(values[name])
        self.seconds.append(seconds)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that fit into JSON; NaN and infinities become strings."""
        columns = {
            name: [v if math.isfinite(v) else str(v) for v in column]
            for name, column in self.columns.items()
        }
        return {
            "seed": self.seed,
            "columns": columns,
            "seconds": list(self.seconds),
            "stopped_early": self.stopped_early,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "History":
        """Inverse of ``to_dict``."""
        columns = {name: [float(v) for v in column] for name, column in values["columns"].items()}
        seconds = list(values["seconds"])
        if any(len(column) != len(seconds) for column in columns.values()):
            raise ValueError(f"every column of a History needs {len(seconds)} epochs")
        return cls(values["seed"], columns, seconds, values["stopped_early"])

    def save(self, path: str | Path) -> None:
        """Write a JSON file, whole or not at all."""
        write_atomically(Path(path), json.dumps(self.to_dict(), allow_nan=False).encode())

    @classmethod
    def load(cls, path: str | Path) -> "History":
        """Read a file of ``save``.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file does not hold a History.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_bytes()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} does not hold a History ({error!r})") from error

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.columns:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.columns)}")
        return np.array(self.columns[name], dtype=np.float64)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return self.to_dict() | {"seconds": None} == other.to_dict() | {"seconds": None}

    def __repr__(self) -> str:
        best = self.best_epoch
        parts = [f"seed={self.seed}", f"epochs={self.epochs}", f"best_epoch={best}"]
        if best is not None:
            parts += [f"{k}={v[best]:.4g}" for k, v in self.columns.items() if k[:4] == "val_"]
        return f"History({', '.join(parts)}, stopped_early={self.stopped_early})"


Hook = Callable[[History, nn.Module], bool | None]


@dataclass
class EarlyStopping:
    """Stop when ``monitor`` has not improved for ``patience`` epochs (Prechelt 1998).

    A value improves if it is better than the best so far by more than ``min_delta``: ties do not,
    NaN never does. With ``restore_best``, ``fit`` puts the weights of the best epoch back at the
    end, also when the epoch limit comes first.

    Args:
        patience: epochs without improvement that are allowed, at least 1.
        min_delta: smallest gain that counts, in units of the monitored column.
        monitor: a column of the ``History``.
        mode: ``"min"`` for losses, ``"max"`` for accuracies.
        restore_best: keep a copy of the weights of the best epoch.

    Raises:
        ValueError: an argument is outside its range.
    """

    patience: int = 10
    min_delta: float = 0.0
    monitor: str = "val_loss"
    mode: str = "min"
    restore_best: bool = True
    best_epoch: int | None = field(default=None, init=False, repr=False)
    best_weights: dict[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not hasattr(self.patience, "__index__") or self.patience < 1:
            raise ValueError(f"patience must be a whole number of epochs, got {self.patience!r}")
        if not 0 <= self.min_delta < math.inf:
            raise ValueError(f"min_delta must be finite and not negative, got {self.min_delta}")
        if self.mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', got {self.mode!r}")

    def __call__(self, history: History, model: nn.Module) -> bool:
        """Look at the newest epoch; True means stop."""
        if history.epochs == 1:  # a new run: forget the one before
            self.best_epoch, self.best_weights = None, None
        values, newest = history[self.monitor].tolist(), history.epochs - 1
        sign = 1 if self.mode == "min" else -1
        best = sign * math.inf if self.best_epoch is None else values[self.best_epoch]
        if sign * (best - values[newest]) > self.min_delta:
            self.best_epoch = newest
            self.best_weights = copy.deepcopy(model.state_dict()) if self.restore_best else None
        epochs_since_best = newest - (-1 if self.best_epoch is None else self.best_epoch)
        return epochs_since_best >= self.patience

    def restore(self, model: nn.Module) -> None:
        """Put the weights of the best epoch into ``model``; warn if no epoch was ever best."""
        if self.best_weights is not None:
            model.load_state_dict(self.best_weights)
        elif self.restore_best:
            message = f"{self.monitor} never improved (all NaN or infinite): kept the last weights"
            warnings.warn(message, RuntimeWarning, stacklevel=3)

    def state_dict(self) -> dict[str, Any]:
        return {"best_epoch": self.best_epoch, "best_weights": self.best_weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best_epoch, self.best_weights = state["best_epoch"], state["best_weights"]


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside and rename: a killed process leaves the old file or the new, never a half."""
    beside = beside_of(path)
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def beside_of(path: Path) -> Path:
    """Where the next content of ``path`` is written before it takes the name."""
    return path.with_name(f".{path.name}.part")
