"""Photographs in a folder, whose names tell what they show (chapters 15 and 20)."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from l2g.numbers import whole_number

SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True)
class Photographs:
    """Photographs of one size, with their labels.

    Attributes:
        x: pixels, uint8 (N, 3, size, size).
        y: labels (N,), indices into ``classes``.
        classes: their names, sorted without regard to case.
        files: the name of each file, sorted.
        unmatched: files whose names do not tell a label: they are listed here and not in ``x``.
    """

    x: Tensor
    y: Tensor
    classes: tuple[str, ...]
    files: tuple[str, ...]
    unmatched: tuple[str, ...]

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.x.shape[1:]))
        left = f", {len(self.unmatched)} unmatched" if self.unmatched else ""
        return f"Photographs({len(self.files):,} of {shape}, {len(self.classes)} classes{left})"


def photographs(folder: str | Path, label: str, *, size: int) -> Photographs:
    """Read the photographs of a folder, all brought to one size.

    Each is scaled once, its shorter side to ``size`` (bicubic, antialiased), and cropped to the
    square in its middle.

    Args:
        folder: holds JPEG or PNG files; folders inside it are not read.
        label: a regular expression with one group, which must match a whole name and finds the
            label in it, e.g. ``r"(.+)_\\d+\\.jpg"`` for ``Abyssinian_101.jpg``.
        size: of the squares, in pixels.

    Raises:
        TypeError: ``size`` is no whole number.
        ValueError: ``label`` is no regular expression with one group; ``size`` is below 1; no name
            matches; a file cannot be read as an image.
        FileNotFoundError: there is no such folder, or no photograph in it.
    """
    size, pattern = whole_number("size", size, least=1), _pattern(label)
    paths = _paths(Path(folder))
    matches = {path: pattern.fullmatch(path.name) for path in paths}
    found = {path: match[1] for path, match in matches.items() if match}
    if not found:
        raise ValueError(
            f"label must match names such as {paths[0].name!r}; {label!r} matches none of the "
            f"{len(paths)} in {folder}"
        )
    classes = tuple(sorted(set(found.values()), key=lambda name: (name.casefold(), name)))
    return Photographs(
        torch.stack([_square(path, size) for path in found]),
        torch.tensor([classes.index(name) for name in found.values()]),
        classes,
        tuple(path.name for path in found),
        tuple(path.name for path in paths if path not in found),
    )


def _pattern(label: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(label)
    except re.error as error:
        raise ValueError(f"label must be a regular expression, got {label!r}: {error}") from error
    if pattern.groups != 1:
        raise ValueError(
            f"label must have one group, the label itself, got {pattern.groups} in {label!r}"
        )
    return pattern


def _paths(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of photographs {folder}")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise FileNotFoundError(
            f"there is no photograph ({', '.join(sorted(SUFFIXES))}) in {folder}"
        )
    return paths


def _square(path: Path, size: int) -> Tensor:
    """One photograph as uint8 (3, size, size)."""
    from PIL import Image, ImageOps, UnidentifiedImageError  # torchvision brings it along

    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    square = ImageOps.fit(upright, (size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()
