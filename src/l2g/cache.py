"""The image sets on disk: one uint8 file for each, downloaded and decoded once."""

import tarfile
import tempfile
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path

import numpy as np

from l2g.files import replacing

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, TypeError)
_MEMBERS = ("train_images", "train_labels", "test_images", "test_labels", "class_names")


def cached(path: Path, torchvision_class: str) -> dict[str, np.ndarray]:
    """What the file holds: ``train_images``, ``train_labels``, ...; downloaded if there is none.

    Raises:
        FileNotFoundError: neither in the cache nor to be downloaded.
        PermissionError: the cache can be neither read nor written.
        ValueError: the file is damaged, or holds something else.
    """
    if not path.exists():
        _require_writable(path.parent)
        arrays = _download(path, torchvision_class)
        with replacing(path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    try:
        with np.load(path) as file:
            arrays = {member: file[member] for member in _MEMBERS}
    except (PermissionError, IsADirectoryError) as error:
        raise PermissionError(f"the cache file {path} cannot be read: {error.strerror}") from error
    except _DAMAGED as error:
        raise ValueError(
            f"{path} is damaged or not a cache file of l2g; delete it to load it anew"
        ) from error
    for part in ("train", "test"):
        _check_part(path, part, arrays)
    return arrays


def _check_part(path: Path, part: str, arrays: dict[str, np.ndarray]) -> None:
    """Raise unless images have one shape in both parts, and labels name one class for each."""
    images, labels, one = arrays[f"{part}_images"], arrays[f"{part}_labels"], arrays["train_images"]
    anew = f"{path} is no cache file of l2g; delete it to load it anew"
    fits = images.ndim in (3, 4) and images.shape[1:] == one.shape[1:] and len(images)
    if images.dtype != np.uint8 or not fits:
        raise ValueError(
            f"{part}_images must be uint8 (N, H, W) or (N, H, W, C), alike in train and test, "
            f"got {images.dtype} {images.shape}: {anew}"
        )
    names = arrays["class_names"]
    whole = labels.dtype.kind in "iu" and labels.shape == images.shape[:1] and names.ndim == 1
    if not whole or labels.min() < 0 or labels.max() >= len(names):
        raise ValueError(
            f"{part}_labels must be {len(images)} indices into class_names {names.shape}, got "
            f"{labels.dtype} {labels.shape}: {anew}"
        )


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(
            f"the cache folder {folder} cannot be written ({error.strerror}); "
            "set L2G_DATA_HOME to a folder that can"
        ) from error


def _download(path: Path, torchvision_class: str) -> dict[str, np.ndarray]:
    import torchvision

    arrays: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in ("train", "test"):
            try:
                data = getattr(torchvision.datasets, torchvision_class)(
                    folder, train=part == "train", download=True
                )
            except (OSError, EOFError, RuntimeError, HTTPException, tarfile.TarError) as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                raise FileNotFoundError(
                    f"{path.stem!r} is neither in the cache ({path}) "
                    f"nor could it be downloaded ({reason})"
                ) from error
            arrays[f"{part}_images"] = np.asarray(data.data, dtype=np.uint8)
            arrays[f"{part}_labels"] = np.asarray(data.targets, dtype=np.int64)
            arrays["class_names"] = np.asarray(data.classes)
    return arrays
