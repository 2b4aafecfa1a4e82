"""370 photographs of 37 breeds: what weights trained on ImageNet are worth (chapter 20).

Every run holds out one fifth of the photographs of each breed: run 5r + f is fold f of repetition
r. So the five runs of a repetition answer each photograph once. The setting is chosen on folds of
repetitions of their own, but of the same photographs: with 370 there are none to spare, and the
choice is among a dozen settings. No other number is chosen on what a run holds out.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2g.data import Split, Splits, cache_home
from l2g.evaluation import predict
from l2g.files import replacing
from l2g.metrics import accuracy
from l2g.models import Pretrained, freeze, pretrained
from l2g.photographs import Photographs, photographs
from l2g.schedules import OneCycleLR
from l2g.study.conditions import crop_inputs
from l2g.study.records import RECORDED, origin
from l2g.study.search import Axis, Run, Search, Setting
from l2g.training import fit

BODY, FOLDS, BATCH_SIZE = "efficientnet_lite0", 5, 32
LABEL = r"(.+)_\d+\.jpg"  # Abyssinian_101.jpg


@dataclass(frozen=True, kw_only=True)
class PetsSearch(Search):
    """A search for the setting of one way to use the body.

    Attributes:
        size: of the photographs, in pixels.
        epochs: passes through the training photographs; 0 keeps the body frozen.
        weights: whether the body starts from those of ImageNet. Then all weights are tuned from
            where the frozen body and its best head stand, and statistics stay those of ImageNet.
    """

    size: int = 128
    epochs: int = 0
    weights: bool = True


_STRENGTH = Axis((1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10), first=(1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1))
_LADDER = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1)
_RATE = Axis(_LADDER, first=(1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3))
_HIGH_RATE = Axis(_LADDER, first=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2))
_BY_DEPTH = {  # from the head to the first part of the body the rate falls by ``ratio``
    "lr": Axis(_LADDER, first=(3e-4, 1e-3)),
    "ratio": Axis((1, 3, 10, 30, 100, 300), first=(3, 10, 30)),
}
_ALL: dict[str, Any] = {"finals": 10, "follows": "frozen_128", "inherits": {"l2": "l2"}}

PETS = {
    search.name: search
    for search in [
        PetsSearch(name="frozen_128", axes={"l2": _STRENGTH}, finals=50),
        PetsSearch(name="frozen_192", axes={"l2": _STRENGTH}, finals=50, size=192),
        PetsSearch(name="one_rate", axes={"lr": _RATE}, epochs=5, **_ALL),
        PetsSearch(name="discriminative", axes=_BY_DEPTH, epochs=5, **_ALL),
        PetsSearch(name="scratch", axes={"lr": _HIGH_RATE}, finals=10, epochs=20, weights=False),
    ]
}


def read_pets(size: int) -> Photographs:
    """The photographs in ``$L2G_DATA_HOME/oxford_pets_sample/images``, ``size`` pixels a side.

    Raises:
        FileNotFoundError: they are not there.
    """
    return photographs(cache_home() / "oxford_pets_sample" / "images", LABEL, size=size)


def fold_of(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Indices for training, and those held out: fold ``seed % 5`` of repetition ``seed // 5``."""
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=seed // FOLDS)
    train, held_out = list(splitter.split(labels, labels))[seed % FOLDS]
    return torch.from_numpy(train), torch.from_numpy(held_out)


def save_features(path: Path, pets: Photographs, device: torch.device) -> None:
    """Record what the frozen body makes of every photograph, in half precision."""
    body, started = pretrained(BODY, 1).body, time.perf_counter()
    features = predict(body, Split(pets.x, pets.y), batch_size=BATCH_SIZE, device=device)
    columns = {"features": features.cpu().numpy().astype(np.float16), "labels": pets.y.numpy()}
    columns |= {"classes": np.array(pets.classes), "files": np.array(pets.files)}
    made_by = origin(device) | {"seconds": f"{time.perf_counter() - started:.1f}"}
    columns |= {"origin": np.array(json.dumps(made_by))}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        np.savez_compressed(file, **columns)  # type: ignore[arg-type]


def read_features(size: int, *, folder: str | Path = RECORDED / "pets") -> dict[str, Any]:
    """The recorded features of the photographs: they come with the course, the photographs do not.

    Returns:
        ``features``, float32 (370, 1280); ``labels``, int64 (370,); ``classes`` and ``files``; and
        ``origin``, the versions and the machine that made them.

    Raises:
        FileNotFoundError: none were recorded at this size.
    """
    path = Path(folder) / f"features_{size}.npz"
    if not path.exists():
        raise FileNotFoundError(
            f"there are no features in {path}: `python -m l2g.study pets` makes them"
        )
    with np.load(path) as file:
        tensors = {name: torch.from_numpy(file[name]) for name in ("features", "labels")}
        names = {name: tuple(map(str, file[name])) for name in ("classes", "files")}
        made_by = json.loads(str(file["origin"]))
    tensors["features"] = tensors["features"].float()
    return {**tensors, **names, "origin": made_by}


def trainer(
    folder: Path, device: torch.device, epochs: int | None = None
) -> Callable[[Run], dict[str, Any]]:
    """What makes the runs: from features recorded in ``folder``, or from the photographs.

    Features that are missing there are made first. ``epochs`` stands in for those of the searches,
    to try them.
    """
    pictures = cache(read_pets)
    for size in {search.size for search in PETS.values() if search.epochs == 0}:
        if not (folder / f"features_{size}.npz").exists():
            save_features(folder / f"features_{size}.npz", pictures(size), device)

    known = cache(partial(read_features, folder=folder))

    def train(run: Run) -> dict[str, Any]:
        search, setting = PETS[run.search], dict(run.setting)
        x, y = (known(search.size)[name] for name in ("features", "labels"))
        rows = fold_of(y, run.seed)
        found: dict[str, Any] = {}
        head = _head(x[rows[0]], y[rows[0]], setting["l2"]) if "l2" in setting else None
        if head is not None and search.epochs == 0:
            logits = head(x[rows[1]])
        else:
            search = replace(search, epochs=epochs or search.epochs)
            pets = pictures(search.size)
            logits, found = _tuned(search, setting, pets, rows, head, run.seed, device)
        return found | {"test" if run.final else "val": _measured(logits, y, rows[1])}

    return train


def _measured(logits: Tensor, y: Tensor, held_out: Tensor) -> dict[str, Any]:
    targets, predicted = y[held_out], logits.argmax(1)
    return {
        "loss": F.cross_entropy(logits.double(), targets).item(),
        "accuracy": accuracy(logits, targets).item(),
        "photographs": held_out.tolist(),
        "predicted": predicted.tolist(),
    }


@torch.no_grad()
def _head(x: Tensor, y: Tensor, l2: float) -> nn.Linear:
    """Softmax regression on features: the minimum of the mean loss + l2/2 ‖W‖²."""
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=1 / (len(x) * l2), max_iter=5_000)
    found.fit(x.double().numpy(), y.numpy())
    head = nn.Linear(x.shape[1], len(found.classes_))
    head.weight.copy_(torch.from_numpy(found.coef_))
    head.bias.copy_(torch.from_numpy(found.intercept_))
    return head


def _tuned(
    search: PetsSearch,
    setting: Setting,
    pets: Photographs,
    rows: tuple[Tensor, Tensor],
    head: nn.Linear | None,
    seed: int,
    device: torch.device,
) -> tuple[Tensor, dict[str, Any]]:
    """Logits of the photographs held out, after one cycle over all weights; and the curves.

    The held-out fold is watched, as a curve, and decides nothing.
    """
    split = [Split(pets.x[index], pets.y[index]) for index in rows]
    model = pretrained(BODY, len(pets.classes), weights=search.weights, seed=seed)
    if head is not None:
        model.head.load_state_dict(head.state_dict())
        freeze(model.body, parameters=False)
    steps = search.epochs * ceil(len(split[0].x) / BATCH_SIZE)
    history = fit(
        model,
        Splits(split[0], split[1], split[1], "pets", pets.classes),
        optimizer=partial(torch.optim.AdamW, weight_decay=0.01),
        groups=partial(_groups, setting=setting),
        loss=F.cross_entropy,
        transform=partial(crop_inputs, search.size // 16),
        schedule=partial(OneCycleLR, total_steps=steps),
        epochs=search.epochs,
        batch_size=BATCH_SIZE,
        eval_train=False,
        seed=seed,
        device=device,
        progress=False,
    )
    logits = predict(model, split[1], batch_size=BATCH_SIZE).cpu()
    return logits, {"history": history.to_dict()}


def _groups(model: nn.Module, setting: Setting) -> list[dict[str, Any]]:
    """Three groups, two in the body and the head, whose rates fall geometrically by ``ratio``."""
    assert isinstance(model, Pretrained)
    lr, ratio = setting["lr"], setting.get("ratio", 1)
    return model.groups([lr / ratio, lr / ratio**0.5, lr])
