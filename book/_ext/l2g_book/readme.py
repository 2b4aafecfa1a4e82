"""Writes into README.md which chapters of the plan stand.

python book/_ext/l2g_book/readme.py [--check]
"""

import re
import sys
from itertools import groupby
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # where the package l2g_book lies

from l2g_book.project import ROOT, chapter_sources, chapters

SENTENCE = re.compile(r"Of \d+ chapters, \d+ stands?: [^.]*\.")


def sentence(root: Path = ROOT) -> str:
    """Returns the sentence that counts the chapters: "Of 21 chapters, 9 stand: 1, 2, 9–12 and 18."

    Two neighbours stand apart, three or more are a range.
    """
    numbers = [int(path.name[:2]) for path in chapter_sources(root)]
    rows = [
        [number for _, number in row]
        for _, row in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    ]
    parts = [part for row in rows for part in shown(row)]
    listed = " and ".join([", ".join(parts[:-1]), *parts[-1:]] if parts[1:] else parts)
    verb = "stands" if len(numbers) == 1 else "stand"
    return f"Of {len(chapters(root))} chapters, {len(numbers)} {verb}: {listed or 'none yet'}."


def shown(row: list[int]) -> list[str]:
    return [f"{row[0]}–{row[-1]}"] if len(row) > 2 else [str(number) for number in row]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Renews the sentence, if there is one, or fails with --check; returns the exit status."""
    check = (sys.argv[1:] if arguments is None else arguments) == ["--check"]
    path = root / "README.md"
    text = path.read_text(encoding="utf-8") if path.exists() else ""  # a fork may need none
    current = SENTENCE.sub(sentence(root), text)
    if current == text:
        return 0
    print(f"README.md: stale; {'run: make notebooks' if check else 'written'}")
    if not check:
        path.write_text(current, encoding="utf-8")
    return int(check)


if __name__ == "__main__":
    sys.exit(main())
