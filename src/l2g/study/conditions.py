"""What the study compares: each condition builds its network, optimizer and transform."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from l2g.models import TinyConvNet
from l2g.training import Transform
from l2g.transforms import CutMix, Mixup, SmoothLabels, crop_and_flip

CLASSES = 100
Setting = dict[str, float]


def _nothing(strength: float) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Condition:
    """One way to train TinyConvNet, and the settings that its tuning tries.

    ``slots``, ``decay`` and ``transform`` turn a strength into what they are named after.
    """

    name: str
    label: str
    grid: tuple[Setting, ...]
    slots: Callable[[float], dict[str, Any]] = _nothing
    decay: Callable[[float], dict[str, Any]] = _nothing
    transform: Callable[[float], Transform | None] = lambda strength: None
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam

    def model(self, setting: Setting, seed: int) -> nn.Module:
        return TinyConvNet(CLASSES, seed=seed, **self.slots(setting["strength"]))

    def make_optimizer(self, setting: Setting) -> Callable[..., torch.optim.Optimizer]:
        return partial(self.optimizer, lr=setting["lr"], **self.decay(setting["strength"]))


RATES = (1e-3, 3e-3)


def _tuned(*strengths: float) -> tuple[Setting, ...]:
    return tuple({"lr": lr, "strength": strength} for lr in RATES for strength in strengths)


_RATES_ALONE = tuple({"lr": lr, "strength": 0.0} for lr in (3e-4, 6e-4, 1e-3, 2e-3, 3e-3, 6e-3))


def _weight_decay(strength: float) -> dict[str, Any]:
    return {"weight_decay": strength}


def _normalized(strength: float) -> dict[str, Any]:
    return {"norm": nn.BatchNorm2d}


def _augmented(padding: float) -> Transform:
    return partial(_crop, int(padding))


def _crop(padding: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return crop_and_flip(x, padding=padding), y


def _combined(epsilon: float) -> Transform:
    return partial(_crop_and_smooth, SmoothLabels(CLASSES, epsilon))


def _crop_and_smooth(smooth: SmoothLabels, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return smooth(crop_and_flip(x, padding=2), y)


# In the order in which they run: what the original experiment asked comes first.
REPAIRED = {
    condition.name: condition
    for condition in [
        Condition("none", "no regularizer", _RATES_ALONE),
        Condition(
            "adam_l2", "weight decay, Adam-L2", _tuned(1e-5, 1e-4, 1e-3), decay=_weight_decay
        ),
        Condition(
            "dropout",
            "dropout",
            _tuned(0.05, 0.15, 0.3),
            slots=lambda p: {"drop": partial(nn.Dropout, p)},
        ),
        Condition("batchnorm", "BatchNorm", _RATES_ALONE, slots=_normalized),
        Condition("augmentation", "crop and flip", _tuned(1, 2, 4), transform=_augmented),
        Condition(
            "adamw",
            "weight decay, AdamW",
            _tuned(0.01, 0.1, 1.0),
            decay=_weight_decay,
            optimizer=torch.optim.AdamW,
        ),
        Condition(
            "dropout_head",
            "dropout, head only",
            _tuned(0.1, 0.3, 0.5),
            slots=lambda p: {"head_drop": partial(nn.Dropout, p)},
        ),
        Condition(
            "dropout2d",
            "dropout of channels",
            _tuned(0.05, 0.15, 0.3),
            slots=lambda p: {"drop": partial(nn.Dropout2d, p)},
        ),
        Condition(
            "label_smoothing",
            "label smoothing",
            _tuned(0.05, 0.1, 0.2),
            transform=partial(SmoothLabels, CLASSES),
        ),
        Condition("mixup", "mixup", _tuned(0.1, 0.3, 1.0), transform=partial(Mixup, CLASSES)),
        Condition("cutmix", "CutMix", _tuned(0.2, 0.5, 1.0), transform=partial(CutMix, CLASSES)),
        Condition(
            "combined",
            "BatchNorm, crop and flip, label smoothing",
            _tuned(0.0, 0.05, 0.1),
            slots=_normalized,
            transform=_combined,
        ),
    ]
}

# As reported: slots of the network and the weight decay that Adam was given.
REPORTED: dict[str, tuple[dict[str, Any], float]] = {
    "none": ({}, 0.0),
    "weight_decay": ({}, 1e-3),
    "dropout": ({"drop": partial(nn.Dropout, 0.5)}, 0.0),
    "batchnorm": ({"norm": nn.BatchNorm2d}, 0.0),
}
