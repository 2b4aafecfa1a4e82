"""Files that are whole or not there: written beside, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write into, which takes the name ``path`` at the end of the block.

    A block that raises, or a process killed at any moment, leaves the old file or none, never a
    half: the content is on the disk before the name changes.

    Raises:
        OSError: the folder cannot be written, or the disk is full; nothing is left behind.
    """
    beside = beside_of(path)
    try:
        with open(beside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; see ``replacing``."""
    with replacing(path) as file:
        file.write(content)


def beside_of(path: Path) -> Path:
    """Where this process writes the next content of ``path`` before it takes the name.

    Another process that writes the same file writes elsewhere: the last one wins, whole.
    """
    return path.with_name(f".{path.name}.{os.getpid()}.part")
