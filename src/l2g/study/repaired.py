"""The experiment repaired: every choice on validation data, the test set opened once per run."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from l2g.data import Split, Splits
from l2g.evaluation import evaluate
from l2g.history import EarlyStopping, History
from l2g.metrics import accuracy
from l2g.study.conditions import Condition, Setting
from l2g.training import fit


@dataclass(frozen=True)
class Regime:
    """How much data a run gets, and how long it may take."""

    name: str
    train: int
    val: int
    epochs: int
    patience: int
    batch_size: int = 128

    def of(self, splits: Splits) -> Splits:
        """The first images of the training and validation data; the whole test set."""
        train, val = splits.train, splits.val
        return Splits(
            Split(train.x[: self.train], train.y[: self.train]),
            Split(val.x[: self.val], val.y[: self.val]),
            splits.test,
            splits.name,
            splits.classes,
        )


REGIMES = {
    "small": Regime("small", train=5_000, val=5_000, epochs=80, patience=20),
    "full": Regime("full", train=50_000, val=10_000, epochs=40, patience=8),
}


class _Last:
    """A hook that keeps the weights of the last epoch, which early stopping throws away."""

    weights: dict[str, Any]

    def __call__(self, history: History, model: nn.Module) -> None:
        self.weights = copy.deepcopy(model.state_dict())

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.weights} if hasattr(self, "weights") else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.weights = state["weights"]


def train_repaired(
    condition: Condition,
    setting: Setting,
    splits: Splits,
    regime: Regime,
    *,
    seed: int,
    final: bool,
    checkpoint: Path,
    device: torch.device,
) -> dict[str, Any]:
    """One run: its curves, its validation figures and, if it is a final one, its test figures.

    ``test`` is measured with the weights of the epoch of lowest validation loss, ``test_last`` with
    those of the last one: what early stopping is worth.
    """
    splits, last = regime.of(splits), _Last()
    model = condition.model(setting, seed)
    history = fit(
        model,
        splits,
        optimizer=condition.make_optimizer(setting),
        loss=F.cross_entropy,  # takes soft targets, too
        transform=condition.transform(setting["strength"]),
        metrics={"accuracy": accuracy},
        epochs=regime.epochs,
        batch_size=regime.batch_size,
        seed=seed,
        early_stopping=EarlyStopping(patience=regime.patience),
        after_epoch=[last],
        checkpoint=checkpoint,
        device=device,
    )
    best = history.best_epoch
    result: dict[str, Any] = {
        "history": history.to_dict(),
        "best_epoch": best,
        "val": {name: history.columns[f"val_{name}"][best] for name in ("loss", "accuracy")},
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    if final:
        measure = partial(evaluate, split=splits.test, loss=F.cross_entropy)
        result["test"] = measure(model)
        model.load_state_dict(last.weights)
        result["test_last"] = measure(model)
    return result
