"""Which exercises were solved: one small file on the learner's own machine, sent nowhere.

It lies in the folder ``L2G_HOME``, by default where programs keep their data. With ``L2G_HOME`` set
to nothing, and in continuous integration, no record is kept.
"""

import json
import os
import sys
from pathlib import Path

from l2g.files import write_atomically


def record_path() -> Path | None:
    """The file of the record; None where none is kept."""
    chosen = os.environ.get("L2G_HOME")
    if chosen is None and os.environ.get("CI"):
        return None
    if chosen == "":
        return None
    try:
        folder = _data_folder() / "l2g" if chosen is None else Path(chosen).expanduser()
    except RuntimeError:  # this user has no home
        return None
    return folder / "solved.json"


def _data_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")


def read(path: Path) -> set[str]:
    """The names of the solved exercises.

    Raises:
        OSError: the file is there and cannot be read.
        ValueError: it holds something else.
    """
    try:
        solved = json.loads(path.read_text(encoding="utf-8"))["solved"]
        if not all(isinstance(name, str) for name in solved):
            raise TypeError
    except FileNotFoundError:
        return set()
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("it holds something else; delete it to begin anew") from error
    return set(solved)


def add(path: Path, name: str) -> set[str]:
    """Note that an exercise is solved; the names of all that are.

    Raises:
        OSError: the file cannot be read or written; what it held stays.
        ValueError: it holds something else, and stays as it is.
    """
    solved = read(path)
    if name not in solved:
        solved.add(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps({"solved": sorted(solved)}, indent=1).encode())
    return solved


def trouble(path: Path, error: Exception) -> str:
    """One sentence on a record that cannot be used."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"your progress cannot be kept in {path}: {reason}"
