"""Lays out a chapter of the plan in the form of STYLE.md, to be replaced part by part.

    make chapter N=03

It writes book/03_NAME.md and src/l2g/exercises/ch03.py. Both hold a small example that runs, so
that every test passes from the first minute on.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # where the package l2g_book lies

from l2g_book.project import ROOT, chapters

EXAMPLE = Path(__file__).parent / "chapter"
DONE = """\
{page} and {exercises} hold a small example in the form of a chapter.
Replace it part by part, by STYLE.md; `make book` shows the page, `make form` measures it."""


def lay_out(number: int, root: Path = ROOT) -> list[Path]:
    """Writes the sources of a chapter, and returns where they lie.

    Raises:
        ValueError: the plan has no such chapter.
        FileExistsError: one of its sources stands already; then nothing is written.
    """
    plan = chapters(root)
    chapter = next((c for c in plan if int(c["name"][:2]) == number), None)
    if chapter is None:
        raise ValueError(f"N must be a chapter of book/course.yml, got {number}; add a line there")
    texts = {
        root / f"book/{chapter['name']}.md": "chapter.md",
        root / f"src/l2g/exercises/ch{number:02}.py": "exercises.py.txt",
    }
    for path in texts:
        if path.exists():
            raise FileExistsError(f"{path.relative_to(root)} stands already; nothing was written")
    for path, example in texts.items():
        text = (EXAMPLE / example).read_text(encoding="utf-8")
        path.write_text(filled(text, chapter, plan), encoding="utf-8")
    return list(texts)


def filled(text: str, chapter: dict[str, Any], plan: list[dict[str, Any]]) -> str:
    """Puts the chapter's own words into the example; a number stands in names, too."""
    needs = [c for c in plan if int(c["name"][:2]) in chapter.get("needs", [])]
    words = {
        "number": str(int(chapter["name"][:2])),
        "title": chapter["title"],
        "question": chapter["question"],
        "needs": "".join(f"[{c['title'].lower()}]({c['name']}.md), " for c in needs),
    }
    for name, word in words.items():
        text = text.replace(f"{{{{{name}}}}}", word)
    return text


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Lays out the chapter, or says why not; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make chapter N=...")
    parser.add_argument("number", type=int, help="of a chapter of the plan, as in N=03")
    try:
        paths = lay_out(parser.parse_args(arguments).number, root)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    page, exercises = (path.relative_to(root) for path in paths)
    print(DONE.format(page=page, exercises=exercises))
    return 0


if __name__ == "__main__":
    sys.exit(main())
