"""Data sets as tensors: load once, keep in memory, index batches.

``load`` returns three disjoint splits. Digits and the synthetic sets need no download. The image
sets are downloaded by torchvision (checksums verified), decoded once to one uint8 file in the
cache, and read from there ever after. The cache is the folder named by the environment variable
``L2G_DATA_HOME``, by default ``~/.cache/l2g``.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from l2g.cache import cached
from l2g.numbers import above_zero, not_negative, whole_number


class Split(NamedTuple):
    """Inputs ``x`` of shape (N, ...) and targets ``y`` of shape (N,) or (N, ...)."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Splits:
    """Three disjoint splits of one data set.

    Train on ``train``, choose on ``val``, and look at ``test`` once, after all choices.
    ``classes`` names the labels 0…K−1; it is ``None`` for regression.
    """

    train: Split
    val: Split
    test: Split
    name: str
    classes: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        sizes = ", ".join(f"{s} {len(getattr(self, s).x):,}" for s in ("train", "val", "test"))
        kind = f"{len(self.classes)} classes" if self.classes else "regression"
        return f"Splits({self.name!r}: {sizes}; x {tuple(self.train.x.shape[1:])}, {kind})"


def to_float(x: Tensor) -> Tensor:
    """Pixels as numbers in [0, 1]: uint8 becomes float32 / 255, anything else stays as it is."""
    return x.float().div_(255) if x.dtype == torch.uint8 else x


def batches(
    split: Split, batch_size: int, *, generator: torch.Generator | None = None
) -> Iterator[Split]:
    """Yield one epoch of batches; the last one may be smaller.

    Args:
        split: the data, all of it in memory or on the device.
        batch_size: examples in a batch.
        generator: draws a new order of the examples (on the CPU); without it the order is kept.

    Raises:
        TypeError: ``batch_size`` is no whole number.
        ValueError: ``batch_size`` is not at least 1, or the split is empty or uneven.
    """
    n, batch_size = len(split.x), whole_number("batch_size", batch_size, least=1)
    if n == 0 or len(split.y) != n:
        raise ValueError(f"split needs as many x as y and at least one, got {n} and {len(split.y)}")
    if generator is None:
        for start in range(0, n, batch_size):
            part = slice(start, start + batch_size)
            yield Split(to_float(split.x[part]), split.y[part])
    else:
        order = torch.randperm(n, generator=generator).to(split.x.device)
        for index in order.split(batch_size):  # index_select copies rows, x[index] single numbers
            yield Split(to_float(split.x.index_select(0, index)), split.y.index_select(0, index))


def load(name: str, *, seed: int = 0, **options: Any) -> Splits:
    """Load a data set as tensors in three disjoint splits.

    Args:
        name: ``digits``, a synthetic set (``blobs``, ``moons``, ``sine``) or an image set
            (``mnist``, ``fashion_mnist``, ``cifar10``, ``cifar100``).
        seed: draws the split, and the data themselves where they are synthetic.
        options: what the synthetic sets accept: ``blobs(n, classes, dim, spread)``,
            ``moons(n, noise)``, ``sine(n, noise)``.

    Returns:
        Splits. Digits are float32 (N, 1, 8, 8) in [0, 1]; image sets stay uint8 (N, C, H, W).

    Raises:
        TypeError: ``seed`` or an option has the wrong type.
        ValueError: unknown name, unknown or impossible option, damaged cache file.
        FileNotFoundError: an image set that is neither in the cache nor to be downloaded.
        PermissionError: the cache can be neither read nor written.
    """
    if name not in list(_MAKERS):
        raise ValueError(f"name must be one of {', '.join(sorted(_MAKERS))}; got {name!r}")
    maker, seed = _MAKERS[name], whole_number("seed", seed)
    options = _checked(name, maker, options)
    x, y, n_test, classes = maker(generator=torch.Generator().manual_seed(seed), **options)
    return _split(x, y, n_test, name, classes, seed)


def _checked(name: str, maker: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """The options of a data set as numbers of the kind that its defaults have."""
    known = {key: p.default for key, p in signature(maker).parameters.items() if key != "generator"}
    unknown = sorted(set(options) - set(known))
    if unknown:
        allowed = ", ".join(known) if known else "none"
        raise ValueError(f"options of {name!r} are: {allowed}; got {', '.join(unknown)}")
    checks: dict[str, Callable[[str, Any], Any]] = {"noise": not_negative, "spread": above_zero}
    count = partial(whole_number, least=1)
    return {key: checks.get(key, count)(key, value) for key, value in options.items()}


def _split(
    x: Tensor, y: Tensor, n_test: int, name: str, classes: tuple[str, ...] | None, seed: int
) -> Splits:
    """The last ``n_test`` rows are for test; of the others a sixth, drawn, for validation."""
    rest = len(x) - n_test
    order = torch.randperm(rest, generator=torch.Generator().manual_seed(seed))
    n_val = rest // 6
    if min(n_val, n_test, rest - n_val) < 1:
        raise ValueError(f"n must leave at least one example to each split, got {len(x)} in all")
    val, train = order[:n_val], order[n_val:]
    return Splits(
        train=Split(x[train], y[train]),
        val=Split(x[val], y[val]),
        test=Split(x[rest:].clone(), y[rest:].clone()),  # a view would keep all of x in memory
        name=name,
        classes=classes,
    )


class _Made(NamedTuple):
    x: Tensor
    y: Tensor
    n_test: int
    classes: tuple[str, ...] | None


def _digits(generator: torch.Generator) -> _Made:
    """8×8 images of handwritten digits (Alpaydin and Kaynak, 1998), as scikit-learn ships them."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    order = torch.randperm(len(raw.target), generator=generator)
    x = torch.tensor(raw.images, dtype=torch.float32).div_(16).unsqueeze(1)[order]
    y = torch.tensor(raw.target, dtype=torch.int64)[order]
    return _Made(x, y, len(y) // 4, tuple("0123456789"))


def blob_centres(classes: int = 10, dim: int = 2, *, seed: int = 0) -> Tensor:
    """Centres (classes, dim) of the Gaussian blobs that ``load("blobs", seed=seed)`` draws."""
    classes, dim = whole_number("classes", classes, least=1), whole_number("dim", dim, least=1)
    return _centres(classes, dim, torch.Generator().manual_seed(whole_number("seed", seed)))


def _centres(classes: int, dim: int, generator: torch.Generator) -> Tensor:
    return 2 * torch.randn(classes, dim, generator=generator)


def _blobs(
    generator: torch.Generator,
    n: int = 3000,
    classes: int = 10,
    dim: int = 2,
    spread: float = 0.6,
) -> _Made:
    """Equally likely classes; class k is a Gaussian around its centre: the best answer is known."""
    fresh = torch.Generator()
    fresh.set_state(generator.get_state())
    centres = _centres(classes, dim, fresh)
    y = torch.randint(classes, (n,), generator=generator)
    x = centres[y] + spread * torch.randn(n, dim, generator=generator)
    return _Made(x, y, n // 4, tuple(str(k) for k in range(classes)))


def _moons(generator: torch.Generator, n: int = 600, noise: float = 0.2) -> _Made:
    """Two interleaved half circles in the plane."""
    y = torch.randint(2, (n,), generator=generator)
    angle = torch.pi * torch.rand(n, generator=generator)
    side = 1.0 - 2.0 * y
    x = torch.stack([side * angle.cos() + y, side * angle.sin() + 0.5 * y], dim=1)
    return _Made(x + noise * torch.randn(n, 2, generator=generator), y, n // 4, ("upper", "lower"))


def _sine(generator: torch.Generator, n: int = 200, noise: float = 0.3) -> _Made:
    """y = sin(2πx) + noise, with x uniform on [0, 1]."""
    x = torch.rand(n, 1, generator=generator)
    y = (2 * torch.pi * x).sin() + noise * torch.randn(n, 1, generator=generator)
    return _Made(x, y, n // 4, None)


def cache_home() -> Path:
    """The folder of the cache: ``$L2G_DATA_HOME``, or ``~/.cache/l2g``."""
    return Path(os.environ.get("L2G_DATA_HOME") or Path.home() / ".cache" / "l2g")


def _images(name: str, torchvision_class: str) -> Callable[..., _Made]:
    def make(generator: torch.Generator) -> _Made:
        arrays = cached(cache_home() / f"{name}.npz", torchvision_class)
        # pop: one array of images is let go before the next one is copied.
        x = torch.cat([_channels_first(arrays.pop(f"{part}_images")) for part in ("train", "test")])
        labels = [arrays[f"{part}_labels"] for part in ("train", "test")]
        y = torch.from_numpy(np.concatenate(labels).astype(np.int64))
        return _Made(x, y, len(labels[1]), tuple(str(c) for c in arrays["class_names"]))

    return make


def _channels_first(images: np.ndarray) -> Tensor:
    """(N, H, W) or (N, H, W, C) uint8 → (N, C, H, W) uint8."""
    x = torch.from_numpy(images)
    return x.unsqueeze(1) if x.ndim == 3 else x.permute(0, 3, 1, 2).contiguous()


_MAKERS: dict[str, Callable[..., _Made]] = {
    "digits": _digits,
    "blobs": _blobs,
    "moons": _moons,
    "sine": _sine,
    "mnist": _images("mnist", "MNIST"),
    "fashion_mnist": _images("fashion_mnist", "FashionMNIST"),
    "cifar10": _images("cifar10", "CIFAR10"),
    "cifar100": _images("cifar100", "CIFAR100"),
}
