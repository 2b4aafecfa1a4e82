"""CIFAR-100 with few images, every condition tuned alike: what is compared, and how a run trains.

``TUNED`` is the comparison of chapter 19 with three tuning seeds, under one schedule as well, and
with each part of the combination left out. ``AUGMENTATION`` holds what chapters 15 and 16 add: the
parts of crop and flip, and how many images they are worth.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch

from l2g.data import Splits
from l2g.study.conditions import PARTS, REPAIRED, Condition
from l2g.study.repaired import REGIMES, Regime, train_repaired
from l2g.study.search import Axis, Run, Search

IMAGES = 5_000

_RATE = Axis((1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2), first=(1e-3, 3e-3))
# Who tunes nothing but the rate gets a finer ladder, so that it tries as many settings as others.
_RATE_ALONE = Axis(
    (1e-4, 2e-4, 3e-4, 6e-4, 1e-3, 2e-3, 3e-3, 6e-3, 1e-2, 2e-2, 3e-2),
    first=(3e-4, 6e-4, 1e-3, 2e-3, 3e-3, 6e-3),
)
_EPOCHS = Axis((5, 10, 20, 40, 80), first=(20, 40, 80))
_PADDING = Axis((0, 1, 2, 4, 6, 8, 12), first=(2, 4, 6))
_SMOOTHING = Axis((0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8), first=(0, 0.05, 0.1))
_STRENGTH = {
    "adam_l2": Axis((1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1), first=(1e-5, 1e-4, 1e-3)),
    "adamw": Axis((1e-3, 1e-2, 0.1, 1, 3, 10, 30), first=(0.1, 1, 3)),
    "dropout": Axis((0.02, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85), first=(0.15, 0.3, 0.5)),
    "dropout_head": Axis((0.05, 0.1, 0.3, 0.5, 0.7, 0.85, 0.95), first=(0.3, 0.5, 0.7)),
    "dropout2d": Axis((0.02, 0.05, 0.15, 0.3, 0.5, 0.7), first=(0.05, 0.15, 0.3)),
    "augmentation": _PADDING,
    "crop": _PADDING,
    "label_smoothing": replace(_SMOOTHING, first=(0.1, 0.2, 0.4)),
    "mixup": Axis((0.03, 0.1, 0.3, 1, 3, 10), first=(0.1, 0.3, 1)),
    "cutmix": Axis((0.1, 0.2, 0.5, 1, 2, 5), first=(0.2, 0.5, 1)),
    "combined": _SMOOTHING,
    "combined_without_batchnorm": _SMOOTHING,
    "combined_without_augmentation": _SMOOTHING,
}
_INHERITED = {
    "combined": "padding",
    "combined_without_batchnorm": "padding",
    "combined_without_smoothing": "strength",
}
# None and the reported three, which the study is about, and those compared with them most closely.
_TEN = ("none", "augmentation", "dropout", "batchnorm", "adam_l2", "adamw", "combined")


@dataclass(frozen=True, kw_only=True)
class CifarSearch(Search):
    """A search for the setting of one condition, with the first ``images`` training images."""

    condition: Condition
    images: int = IMAGES


def _constant(name: str) -> CifarSearch:
    """A condition at a constant rate, with early stopping."""
    search: dict[str, Any] = {"name": name, "condition": (REPAIRED | PARTS)[name]}
    if name in _STRENGTH:
        search["axes"] = {"lr": _RATE, "strength": _STRENGTH[name]}
    else:
        search["axes"] = {"lr": _RATE_ALONE}
    if name in _INHERITED:  # crops as far as is best for crop and flip alone
        search |= {"follows": "augmentation", "inherits": {_INHERITED[name]: "strength"}}
    ten = name in _TEN or name.startswith("combined")
    return CifarSearch(**search, finals=10 if ten else 5)


def _cosine(name: str, *inherited: str) -> CifarSearch:
    """A condition whose rate falls along a cosine; its strength is that of the constant rate."""
    return CifarSearch(
        name=f"cosine_{name}",
        condition=REPAIRED[name],
        axes={"lr": _RATE, "epochs": _EPOCHS},
        finals=10,
        follows=name,
        inherits={key: key for key in inherited},
    )


def _of_size(name: str, images: int) -> CifarSearch:
    return replace(_constant(name), name=f"{name}_{images}", images=images, finals=5)


def _by_name(*searches: CifarSearch) -> dict[str, CifarSearch]:
    return {search.name: search for search in searches}


# In the order in which they run; who is followed stands before its followers.
TUNED = _by_name(
    *map(_constant, _TEN),
    *(_constant(name) for name in REPAIRED if name not in _TEN),
    _cosine("none"),
    _cosine("augmentation", "strength"),
    _cosine("combined", "strength", "padding"),
    *(_constant(name) for name in PARTS if name.startswith("combined")),
)
AUGMENTATION = _by_name(
    _constant("flip"),
    _constant("crop"),
    *(_of_size(name, n) for n in (1_250, 2_500, 10_000) for name in ("none", "augmentation")),
)


def regime_of(search: CifarSearch) -> Regime:
    """How long a run may take: with fewer images as many steps, in more epochs."""
    small, times = REGIMES["small"], max(1, IMAGES // search.images)
    epochs, patience = times * small.epochs, times * small.patience
    return replace(small, train=search.images, epochs=epochs, patience=patience)


def train(run: Run, splits: Splits, device: torch.device, quick: bool = False) -> dict[str, Any]:
    """Make a run, a quick one in two epochs; one that diverges is a result, too: accuracy zero."""
    search, setting = (TUNED | AUGMENTATION)[run.search], dict(run.setting)
    regime = regime_of(search)
    if quick:
        regime = replace(regime, epochs=2)
        setting |= {"epochs": 2} if "epochs" in setting else {}
    options: dict[str, Any] = {"seed": run.seed, "final": run.final, "device": device}
    try:
        return train_repaired(search.condition, setting, splits, regime, **options)
    except FloatingPointError as error:
        return {"diverged": str(error), "val": {"accuracy": 0.0}}
