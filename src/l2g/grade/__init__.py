"""Marks a folder of notebooks: what `check` says in each, in one table.

    python -m l2g.grade FOLDER [--out FILE] [--seconds 600]

Each notebook runs in a process of its own, in its own folder, up to its last check and without the
cells that hold solutions. A notebook that cannot be read, fails or takes too long is a row like the
others, and what it had shown by then counts. It is code of other people that runs: mark in a
container. The process is no sandbox, and who wants to deceive it can.
"""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from l2g.exercises import registry
from l2g.numbers import above_zero

CHECK = re.compile(r"""^\s*check\(\s*["'](\w+)["']""", re.MULTILINE)
SOLUTION = re.compile(r"^(# @title Solution$|@solution\()", re.MULTILINE)
ENVIRONMENT = {"MPLBACKEND": "Agg", "TQDM_DISABLE": "1", "L2G_HOME": ""}
ENVIRONMENT |= {"PYTHONDONTWRITEBYTECODE": "1"}  # nothing is left in the folder


@dataclass(frozen=True)
class Row:
    """How one notebook stands.

    Args:
        notebook: its path below the folder.
        outcomes: by exercise: "solved", "wrong", "not started", or "not reached" when its check
            did not run.
        problem: one sentence on what went wrong on the way, or "".
    """

    notebook: str
    outcomes: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def solved(self) -> int:
        return sum(outcome == "solved" for outcome in self.outcomes.values())


def grade(folder: Path | str, seconds: float = 600.0) -> Iterator[Row]:
    """Run every notebook in a folder and below; one row for each, as soon as it is done.

    Args:
        folder: where the notebooks lie.
        seconds: the time that each may take.

    Raises:
        NotADirectoryError: there is no such folder.
        ValueError: it holds no notebook, or `seconds` is not above 0.
        TypeError: `seconds` is no number.
    """
    folder, seconds = Path(folder), above_zero("seconds", seconds)
    if not folder.is_dir():
        raise NotADirectoryError(f"folder must be a folder of notebooks, got {str(folder)!r}")
    found = [path for path in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts]
    if not found:
        raise ValueError(f"folder must hold notebooks (*.ipynb), there is none in {str(folder)!r}")
    return (_row(path, str(path.relative_to(folder)), seconds) for path in sorted(found))


def table(rows: Sequence[Row]) -> str:
    """The rows as CSV: a column for each exercise, then how many are solved, and the problem."""
    names = [name for name in registry() if any(name in row.outcomes for row in rows)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["notebook", *names, "solved", "of", "problem"])
    for row in rows:
        outcomes = [row.outcomes.get(name, "") for name in names]
        writer.writerow([row.notebook, *outcomes, row.solved, len(row.outcomes), row.problem])
    return text.getvalue()


def _row(path: Path, name: str, seconds: float) -> Row:
    try:
        cells = cells_to_run(path)
    except (OSError, ValueError) as error:
        return Row(name, problem=str(error))
    checks = {check for _, source in cells for check in CHECK.findall(source)}
    outcomes = dict.fromkeys((check for check in registry() if check in checks), "not reached")
    if not outcomes:
        return Row(name, problem="it checks no exercise")
    seen, problem = _run(cells, path.parent, seconds)
    outcomes |= {check: outcome for check, outcome in seen.items() if check in outcomes}
    return Row(name, outcomes, problem)


def cells_to_run(path: Path) -> list[tuple[int, str]]:
    """Number and source of each code cell up to the last check, those of solutions left out.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no notebook.
    """
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = [_read_cell(cell) for cell in notebook["cells"]]
    except OSError as error:
        raise OSError(f"it cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("it is no notebook, or a damaged one") from error
    wanted = [(number, source) for number, source in enumerate(cells, 1) if source]
    last = max((number for number, source in wanted if CHECK.search(source)), default=0)
    return [(number, source) for number, source in wanted if number <= last]


def _read_cell(cell: dict[str, Any]) -> str:
    """The source of a code cell that is to run, or ""."""
    source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
    tagged = "solution" in cell.get("metadata", {}).get("tags", [])
    shown = tagged or cell["cell_type"] != "code" or SOLUTION.search(source)
    return "" if shown else source


def _run(cells: list[tuple[int, str]], folder: Path, seconds: float) -> tuple[dict[str, str], str]:
    """The outcomes of the checks, and the problem, of cells that run in a process of their own."""
    with tempfile.TemporaryDirectory() as place:
        notes = Path(place) / "notes"
        notes.touch()
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "l2g.grade.worker", str(notes), str(folder.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ENVIRONMENT},
            start_new_session=True,
        )
        try:
            worker.communicate(json.dumps(cells).encode(), timeout=seconds)
            ended = _ending(worker.returncode)
        except subprocess.TimeoutExpired:
            ended = f"stopped after {seconds:g} s"
        finally:
            _end(worker)
        return _read_notes(notes, ended)


def _ending(status: int) -> str:
    if status < 0:
        return f"ended by {signal.Signals(-status).name}: did it run out of memory?"
    return f"the process ended early, with status {status}" if status else ""


def _end(worker: subprocess.Popen[bytes]) -> None:
    """End the process and all that it has started."""
    with suppress(OSError):  # it has ended by itself
        if hasattr(os, "killpg"):
            os.killpg(worker.pid, signal.SIGKILL)
        else:
            worker.kill()
    worker.wait()


def _read_notes(notes: Path, ended: str) -> tuple[dict[str, str], str]:
    outcomes: dict[str, str] = {}
    failed: list[str] = []
    for line in notes.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            note = json.loads(line)
        except ValueError:
            continue  # the process was ended while it wrote
        outcomes |= note["outcomes"]
        failed += [note["error"]] if note["error"] else []
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return outcomes, ended or (f"{failed[0]}{more}" if failed else "")
