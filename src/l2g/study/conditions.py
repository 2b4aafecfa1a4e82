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


def _nothing(setting: Setting) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Condition:
    """One way to train TinyConvNet, and the settings that tuning with one seed tried.

    A setting names its rate, ``lr``, and its ``strength``. ``slots``, ``decay`` and ``transform``
    turn a setting into what they are named after.
    """

    name: str
    label: str
    grid: tuple[Setting, ...] = ()
    slots: Callable[[Setting], dict[str, Any]] = _nothing
    decay: Callable[[Setting], dict[str, Any]] = _nothing
    transform: Callable[[Setting], Transform | None] = lambda setting: None
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam

    def model(self, setting: Setting, seed: int) -> nn.Module:
        return TinyConvNet(CLASSES, seed=seed, **self.slots(setting))

    def make_optimizer(self, setting: Setting) -> Callable[..., torch.optim.Optimizer]:
        return partial(self.optimizer, lr=setting["lr"], **self.decay(setting))


RATES = (1e-3, 3e-3)


def _tuned(*strengths: float) -> tuple[Setting, ...]:
    return tuple({"lr": lr, "strength": strength} for lr in RATES for strength in strengths)


_RATES_ALONE = tuple({"lr": lr, "strength": 0.0} for lr in (3e-4, 6e-4, 1e-3, 2e-3, 3e-3, 6e-3))


def _weight_decay(setting: Setting) -> dict[str, Any]:
    return {"weight_decay": setting["strength"]}


def _normalized(setting: Setting) -> dict[str, Any]:
    return {"norm": nn.BatchNorm2d}


def _slot(name: str, layer: Callable[[float], nn.Module]) -> Callable[[Setting], dict[str, Any]]:
    """The slot ``name`` of the network filled with a layer of the setting's strength."""
    return lambda setting: {name: partial(layer, setting["strength"])}


def _of_strength(transform: Callable[[int, float], Transform]) -> Callable[[Setting], Transform]:
    return lambda setting: transform(CLASSES, setting["strength"])


def _augmented(setting: Setting) -> Transform:
    return partial(crop_inputs, int(setting["strength"]))


def crop_inputs(padding: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Crops and flips the images of a batch; their labels stay."""
    return crop_and_flip(x, padding=padding), y


def _combined(setting: Setting) -> Transform:
    smooth = SmoothLabels(CLASSES, setting["strength"])
    return partial(_crop_and_smooth, int(setting.get("padding", 2)), smooth)


def _crop_and_smooth(
    padding: int, smooth: SmoothLabels, x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    return smooth(crop_and_flip(x, padding=padding), y)


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
            slots=_slot("drop", nn.Dropout),
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
            slots=_slot("head_drop", nn.Dropout),
        ),
        Condition(
            "dropout2d",
            "dropout of channels",
            _tuned(0.05, 0.15, 0.3),
            slots=_slot("drop", nn.Dropout2d),
        ),
        Condition(
            "label_smoothing",
            "label smoothing",
            _tuned(0.05, 0.1, 0.2),
            transform=_of_strength(SmoothLabels),
        ),
        Condition("mixup", "mixup", _tuned(0.1, 0.3, 1.0), transform=_of_strength(Mixup)),
        Condition("cutmix", "CutMix", _tuned(0.2, 0.5, 1.0), transform=_of_strength(CutMix)),
        Condition(
            "combined",
            "BatchNorm, crop and flip, label smoothing",
            _tuned(0.0, 0.05, 0.1),
            slots=_normalized,
            transform=_combined,
        ),
    ]
}


def _flipped(setting: Setting) -> Transform:
    return partial(crop_inputs, 0)


def _cropped(setting: Setting) -> Transform:
    return lambda x, y: (crop_and_flip(x, padding=int(setting["strength"]), flip=False), y)


# What REPAIRED combines or does at once, taken apart.
PARTS = {
    condition.name: condition
    for condition in [
        Condition(
            "combined_without_batchnorm", "crop and flip, label smoothing", transform=_combined
        ),
        Condition(
            "combined_without_augmentation",
            "BatchNorm, label smoothing",
            slots=_normalized,
            transform=_of_strength(SmoothLabels),
        ),
        Condition(
            "combined_without_smoothing",
            "BatchNorm, crop and flip",
            slots=_normalized,
            transform=_augmented,
        ),
        Condition("flip", "flip alone", transform=_flipped),
        Condition("crop", "crop alone", transform=_cropped),
    ]
}

# As reported: slots of the network and the weight decay that Adam was given.
REPORTED: dict[str, tuple[dict[str, Any], float]] = {
    "none": ({}, 0.0),
    "weight_decay": ({}, 1e-3),
    "dropout": ({"drop": partial(nn.Dropout, 0.5)}, 0.0),
    "batchnorm": ({"norm": nn.BatchNorm2d}, 0.0),
}
