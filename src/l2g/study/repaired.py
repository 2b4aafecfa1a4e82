"""The experiment repaired: every choice on validation data, the test set opened once per run."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from l2g.data import Split, Splits
from l2g.evaluation import predict
from l2g.history import EarlyStopping, History
from l2g.metrics import accuracy
from l2g.schedules import CosineAnnealingLR
from l2g.study.conditions import Condition, Setting
from l2g.study.records import pack_answers
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
    checkpoint: Path | None = None,
    device: torch.device,
) -> dict[str, Any]:
    """One run: its curves, its validation figures and, if it is a final one, its test figures.

    ``test`` is measured with the weights of the epoch of lowest validation loss, ``test_last`` with
    those of the last one: what early stopping is worth. A setting that names ``epochs`` has no
    early stopping: its rate falls to zero along a cosine over so many epochs; both are the same.

    Raises:
        FloatingPointError: the run diverged.
    """
    splits, last = regime.of(splits), _Last()
    model = condition.model(setting, seed)
    history = fit(
        model,
        splits,
        optimizer=condition.make_optimizer(setting),
        loss=F.cross_entropy,  # takes soft targets, too
        transform=condition.transform(setting),
        metrics={"accuracy": accuracy},
        batch_size=regime.batch_size,
        seed=seed,
        after_epoch=[last],
        checkpoint=checkpoint,
        device=device,
        **_length(setting, regime),
    )
    best = history.epochs - 1 if "epochs" in setting else history.best_epoch
    result: dict[str, Any] = {
        "history": history.to_dict(),
        "best_epoch": best,
        "val": {name: history.columns[f"val_{name}"][best] for name in ("loss", "accuracy")},
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    if final:
        result["test"] = _tested(model, splits.test)
        model.load_state_dict(last.weights)
        result["test_last"] = _tested(model, splits.test)
    return result


def _length(setting: Setting, regime: Regime) -> dict[str, Any]:
    """When a run ends: by early stopping, or with its schedule."""
    if "epochs" not in setting:
        return {"epochs": regime.epochs, "early_stopping": EarlyStopping(patience=regime.patience)}
    epochs = int(setting["epochs"])
    steps = epochs * ceil(regime.train / regime.batch_size)
    return {"epochs": epochs, "schedule": partial(CosineAnnealingLR, T_max=steps)}


def _tested(model: nn.Module, test: Split) -> dict[str, Any]:
    """Loss and accuracy on the test images, and which of them were answered rightly."""
    outputs = predict(model, test)
    y = test.y.to(outputs.device)
    right = outputs.argmax(1) == y
    figures = {"loss": F.cross_entropy(outputs.double(), y), "accuracy": right.double().mean()}
    return {name: f.item() for name, f in figures.items()} | {"answers": pack_answers(right)}
