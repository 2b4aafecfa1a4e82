"""What a learner has solved so far.

    python -m l2g.progress

`check` notes each exercise that it has seen solved, in a small file on this machine. It is sent
nowhere; delete it to begin anew. ``L2G_HOME`` chooses its folder; set to nothing, none is kept.
"""

import argparse
import sys
from collections.abc import Sequence

from l2g.exercises import chapters
from l2g.exercises.record import read, record_path, trouble


def overview(solved: set[str]) -> str:
    """Every chapter that has exercises, how many of them are solved, and which."""
    lines = []
    for number, exercises in chapters().items():
        marks = [f"{'✓' if e.name in solved else '○'} {e.name}" for e in exercises]
        done = sum(e.name in solved for e in exercises)
        lines.append(f"Chapter {number:2}  {done} of {len(exercises)}  {'  '.join(marks)}")
    known = [e.name for exercises in chapters().values() for e in exercises]
    return "\n".join([*lines, f"solved so far: {len(solved & {*known})} of {len(known)}"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the overview; the exit status is 1 where the record cannot be read."""
    description = "What you have solved so far, by chapter; the record never leaves this machine."
    argparse.ArgumentParser(prog="python -m l2g.progress", description=description).parse_args(
        arguments
    )
    path = record_path()
    if path is None:
        print("no record of solved exercises is kept here: L2G_HOME is empty, or this is CI")
        return 0
    try:
        print(overview(read(path)))
    except (OSError, ValueError) as error:
        print(trouble(path, error), file=sys.stderr)
        return 1
    print(f"kept in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
