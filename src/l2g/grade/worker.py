"""Runs the cells of one notebook, and notes after each what its checks have said.

    python -P -m l2g.grade.worker NOTES FOLDER < cells.json

Lines of IPython's own, which begin with % or !, are left out. A cell that fails does not keep the
others from running, as when a reader goes on by hand.
"""

import json
import linecache
import os
import re
import sys
import types
from pathlib import Path
from typing import Any

from l2g.exercises import ANSWERS

MAGIC = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)


def run_cell(number: int, source: str, namespace: dict[str, Any]) -> str:
    """Run one cell; "" or one sentence on the exception that it raised."""
    source = MAGIC.sub(r"\1pass", source)
    file = f"<cell {number}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    try:
        exec(compile(source, file, "exec"), namespace)
    except (Exception, SystemExit) as error:
        message = (str(error).strip().splitlines() or [""])[0]
        return f"cell {number} raised {type(error).__name__}: {message}".rstrip(": ")
    return ""


def main(notes: Path, folder: Path) -> None:
    """Run the cells on standard input, [number, source] each, in their folder."""
    os.chdir(folder)
    sys.path.append(str(folder))  # last: a file named random.py there is no obstacle
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    with open(notes, "a", encoding="utf-8") as file:
        for number, source in json.load(sys.stdin):
            error = run_cell(number, source, vars(module))
            outcomes = {name: verdict.status for name, (_, verdict) in ANSWERS.items()}
            file.write(json.dumps({"outcomes": outcomes, "error": error}) + "\n")
            file.flush()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
