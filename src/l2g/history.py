"""What a training run leaves behind: its history; and early stopping, a hook that reads it."""

import copy
import json
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from l2g.files import write_atomically
from l2g.numbers import not_negative, whole_number


@dataclass(eq=False)
class History:
    """What happened in a run of ``fit``, or in the R runs of ``fit_many``: a value for every epoch.

    Columns are ``running_loss`` (mean over the epoch in training mode, while the weights move),
    ``train_loss`` and ``val_loss`` (in evaluation mode, after the epoch), and ``train_NAME`` and
    ``val_NAME`` for every metric. ``history["val_loss"]`` is an array of shape (epochs,) for one
    run and (R, epochs) for many, NaN where a run has ended before the others; ``history.columns``
    holds the plain lists. Two histories are equal if all but ``seconds`` and ``models`` is.

    Which epoch is the best is told by the column that early stopping watched, or else by
    ``val_loss``.

    Attributes:
        seed: the seed of the run; many runs: a list of R.
        columns: name → one number per epoch; many runs: R such lists.
        seconds: wall time of each epoch, training and evaluation; of many runs, their sum.
        stopped_early: whether a hook ended the run; many runs: a list of R.
        diverged: whether the run ended because its loss was NaN or infinite; many runs: a list.
        models: the trained networks of ``fit_many``, one per run; they are not saved.
        monitor: the column that tells which epoch is the best.
        mode: ``"min"`` if lower is better in it, ``"max"`` if higher is.
    """

    seed: int | list[int]
    columns: dict[str, list[Any]]
    seconds: list[float] = field(default_factory=list)
    stopped_early: bool | list[bool] = False
    diverged: bool | list[bool] = False
    models: list[nn.Module] = field(default_factory=list)
    monitor: str = "val_loss"
    mode: str = "min"

    @classmethod
    def stack(cls, runs: Sequence["History"], models: Sequence[nn.Module] = ()) -> "History":
        """One history with a run axis, from those of single runs; short ones end in NaN."""
        epochs = max(run.epochs for run in runs)
        columns = {
            name: [run.columns[name] + [math.nan] * (epochs - run.epochs) for run in runs]
            for name in runs[0].columns
        }
        return cls(
            [run.seed for run in runs],  # type: ignore[misc]
            columns,
            [sum(shares) for shares in zip_longest(*(run.seconds for run in runs), fillvalue=0)],
            [bool(run.stopped_early) for run in runs],
            [bool(run.diverged) for run in runs],
            list(models),
            runs[0].monitor,
            runs[0].mode,
        )

    @property
    def epochs(self) -> int:
        """Number of epochs that ran; of many runs, those of the longest."""
        return len(self.seconds)

    @property
    def best_epoch(self) -> Any:
        """Index, from 0, of the best epoch; NaN never counts, ``None`` if all are.

        Best is the lowest ``monitor``, with mode ``"max"`` the highest, and the first of several.
        It is the epoch that early stopping restores, unless ``min_delta`` kept an earlier one. Many
        runs: a list of R.
        """
        values = self[self.monitor] if self.mode == "min" else -self[self.monitor]
        best = [None if np.isnan(v).all() else int(np.nanargmin(v)) for v in np.atleast_2d(values)]
        return best if values.ndim == 2 else best[0]

    def best(self, name: str) -> np.ndarray:
        """A column at each run's ``best_epoch``, (R,): one number per run, as ``compare`` wants it.

        NaN for a run that has no best epoch.
        """
        epochs, runs = np.atleast_1d(self.best_epoch), np.atleast_2d(self[name])
        pairs = zip(epochs, runs, strict=True)
        return np.array([math.nan if epoch is None else run[epoch] for epoch, run in pairs])

    def mean(self, name: str) -> np.ndarray:
        """Mean over the runs that have not ended, (epochs,)."""
        return self._over_runs(np.nanmean, name)

    def median(self, name: str) -> np.ndarray:
        """Median over the runs that have not ended, (epochs,)."""
        return self._over_runs(np.nanmedian, name)

    def interval(self, name: str, coverage: float = 0.95) -> np.ndarray:
        """Bounds (2, epochs) between which the middle ``coverage`` of the runs lie.

        It shows how much runs differ, not how uncertain their mean is: that is ``compare``.

        Raises:
            ValueError: ``coverage`` is not between 0 and 1.
        """
        if not 0 < coverage <= 1:
            raise ValueError(f"coverage must lie between 0 and 1, got {coverage}")
        return self._over_runs(np.nanquantile, name, q=[(1 - coverage) / 2, (1 + coverage) / 2])

    def _over_runs(self, statistic: Callable[..., Any], name: str, **options: Any) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # an epoch without a finite run is NaN
            return statistic(np.atleast_2d(self[name]), axis=0, **options)

    def append(self, values: Mapping[str, float], seconds: float) -> None:
        """Add one epoch of a single run: a value for every column."""
        for name, column in self.columns.items():
            column.append(values[name])
        self.seconds.append(seconds)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that fit into JSON; NaN and infinities become strings."""
        return {
            "seed": self.seed,
            "columns": {name: _as_json(column) for name, column in self.columns.items()},
            "seconds": list(self.seconds),
            "stopped_early": self.stopped_early,
            "diverged": self.diverged,
            "monitor": self.monitor,
            "mode": self.mode,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "History":
        """Inverse of ``to_dict``; without a ``monitor`` it is the default one."""
        seed, seconds = values["seed"], list(values["seconds"])
        shape = (len(seed), len(seconds)) if isinstance(seed, list) else (len(seconds),)
        arrays = {k: np.array(v, dtype=np.float64) for k, v in values["columns"].items()}
        if any(array.shape != shape for array in arrays.values()):
            raise ValueError(f"every column of this History needs the shape {shape}")
        columns = {name: array.tolist() for name, array in arrays.items()}
        watched = {name: values[name] for name in ("monitor", "mode") if name in values}
        ended = {name: values[name] for name in ("stopped_early", "diverged")}
        return cls(seed, columns, seconds, **ended, **watched)

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
        best = {name: self.best(name) for name in self.columns if name.startswith("val_")}
        values = [f"{k}={np.nanmean(v):.4g}" for k, v in best.items() if not np.isnan(v).all()]
        parts = [f"seed={self.seed}", f"epochs={self.epochs}", f"best_epoch={self.best_epoch}"]
        parts += [*values, f"stopped_early={self.stopped_early}"]
        if isinstance(self.seed, list):
            parts = [f"runs={len(self.seed)}", f"epochs={self.epochs}", *values]
            parts += [f"stopped_early={np.sum(self.stopped_early)}"]
            parts += [f"diverged={np.sum(self.diverged)}"]
        return f"History({', '.join(parts)})"


def _as_json(values: Any) -> Any:
    if isinstance(values, list):
        return [_as_json(value) for value in values]
    return values if math.isfinite(values) else str(values)


Hook = Callable[[History, nn.Module], bool | None]


# Words in the names of columns that tell which values are better.
LOWER = {"loss", "error", "mse", "rmse", "mae", "nll", "perplexity", "ece", "brier", "regret"}
HIGHER = {"accuracy", "acc", "precision", "recall", "f1", "auc", "ndcg", "mrr", "r2", "iou"}


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
        mode: ``"min"`` if lower is better, as for losses, ``"max"`` if higher is, as for
            accuracies; ``None`` takes it from the name of ``monitor``.
        restore_best: keep a copy of the weights of the best epoch.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is outside its range, or ``mode`` is not given and the name of
            ``monitor`` does not tell it.
    """

    patience: int = 10
    min_delta: float = 0.0
    monitor: str = "val_loss"
    mode: str | None = None
    restore_best: bool = True
    best_epoch: int | None = field(default=None, init=False, repr=False)
    best_weights: dict[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.patience = whole_number("patience", self.patience, least=1)
        self.min_delta = not_negative("min_delta", self.min_delta)
        if self.mode is None:
            self.mode = _better(self.monitor)
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


def _better(monitor: str) -> str:
    """The mode that the name of a column tells: "val_loss" is better lower, "val_auc" higher."""
    if not isinstance(monitor, str):
        raise TypeError(f"monitor must be the name of a column, got {monitor!r}")
    words = set(re.findall("[a-z]+[0-9]*", monitor.lower()))
    lower, higher = bool(words & LOWER), bool(words & HIGHER)
    if lower == higher:
        raise ValueError(
            f"mode must be 'min' or 'max' for monitor={monitor!r}, whose name does not tell "
            "whether lower or higher is better; got None"
        )
    return "min" if lower else "max"
