"""The command line: python -m l2g.grade FOLDER."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from l2g.files import write_atomically
from l2g.grade import Row, grade, table


def main(arguments: Sequence[str] | None = None) -> int:
    """Mark the notebooks, say how each stands, write the table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m l2g.grade", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="where the notebooks lie, also in folders of it")
    parser.add_argument("--out", type=Path, help="the table (default: grades.csv in the folder)")
    parser.add_argument("--seconds", type=float, default=600, help="for each notebook (600)")
    given = parser.parse_args(arguments)
    out = given.out or given.folder / "grades.csv"
    rows: list[Row] = []
    try:
        for row in grade(given.folder, given.seconds):
            rows.append(row)
            problem = f"; {row.problem}" if row.problem else ""
            print(
                f"{row.notebook}: {row.solved} of {len(row.outcomes)} solved{problem}", flush=True
            )
        # With a mark at its start, by which spreadsheets know the encoding of names.
        write_atomically(out, table(rows).encode("utf-8-sig"))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"written to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
