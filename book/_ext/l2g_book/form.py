"""Measures the form of each chapter, as STYLE.md describes it: make form.

Prints a line a chapter and what is not in the form. A chapter that the plan marks `edition: 1` is
still in the form of the first edition: the mark has to go when its chapter is in the form.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # where the package l2g_book lies

from l2g_book.project import ROOT, chapter_sources, chapters
from l2g_book.source import BOXES, Directive, SourceError, parse, read_directive

LINES, OBJECT, CELLS = (
    12,
    40,
    14,
)  # a visible cell; the one that may be longer; how many are visible
FEWEST_WORDS, MOST_WORDS = 2000, 3500
DEEPER = 4  # folds titled "Going deeper"
EXERCISES = range(6, 9)
KINDS = ("recall", "apply", "derive", "build", "explore")
FOLDED = {"claims", "hide-cell", "hide-input", "remove-input", "solution"}
PROVING = {"claims", "solution"}  # the cells that may hold a claim
CLAIMS = ("claim", "answer", "verdict")

WORD = re.compile(r"[A-Za-z가-힣’']+")
TITLE = re.compile(rf"Exercise (\d+) · ({'|'.join(KINDS)}) · (\d+) minutes(?: · .+)?")
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Cell:
    """A code cell: its source without its options, and its tags."""

    source: str
    tags: frozenset[str]
    line: int

    @property
    def visible(self) -> bool:
        return FOLDED.isdisjoint(self.tags)

    @property
    def length(self) -> int:
        """Its lines without comments and blank ones."""
        stripped = (line.strip() for line in self.source.split("\n"))
        return sum(bool(line) and not line.startswith("#") for line in stripped)

    def nodes(self) -> list[ast.AST]:
        try:
            return list(ast.walk(ast.parse(self.source)))
        except SyntaxError:
            return []  # the error may be the point

    def calls(self, *names: str) -> list[ast.Call]:
        found = [node for node in self.nodes() if isinstance(node, ast.Call)]
        return [call for call in found if called(call) in names]


@dataclass
class Form:
    """What a chapter is made of. Words, formulas, figures and folds: before its exercises."""

    words: int = 0  # without code, formulas and folds
    formulas: int = 0
    figures: int = 0
    played: int = 0  # explorables and live labs
    folds: list[str] = field(default_factory=list)  # their titles
    visible: list[Cell] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    exercises: list[str] = field(default_factory=list)  # their titles
    quizzes: int = 0
    predictions: list[str] = field(default_factory=list)
    beliefs: list[str] = field(default_factory=list)
    old: list[str] = field(default_factory=list)  # forms of the first edition that it uses

    @property
    def reading(self) -> int:
        """Minutes: 130 words, a formula or a figure take one."""
        return round(self.words / 130) + self.formulas + self.figures + self.played

    @property
    def exercising(self) -> int:
        """The minutes that the titles of the exercises say."""
        return sum(int(match[3]) for match in map(TITLE.fullmatch, self.exercises) if match)


def measure(text: str) -> Form:
    """Reads a chapter's source.

    Raises:
        SourceError: a construct is unknown.
    """
    form, practising = Form(), False
    for token, box, hidden in blocks(text):
        if token.type == "heading_open" and not box:
            practising = practising or text.split("\n")[token.map[0]] == "## Exercises"
        if box:
            note_box(form, box, practising)
        elif token.type == "inline" and not practising and not hidden:
            shown = [t.content for t in token.children if t.type in ("text", "code_inline")]
            form.words += sum(len(WORD.findall(part)) for part in shown)
        elif token.type.startswith("math_block") and not practising and not hidden:
            form.formulas += 1
        form.old += ["**Verdict: ...**"] * ("**Verdict:" in token.content)
    return form


def blocks(text: str, first: int = 1, hidden: bool = False) -> Iterator[tuple[Any, Any, bool]]:
    """Each block with its directive, or None, and whether it lies in a fold; boxes are entered."""
    for token in parse(text, first):
        line = first + token.map[0] if token.map else first
        box = read_directive(token, line)
        yield token, box, hidden
        if box and box.name in BOXES:
            yield from blocks(box.body, box.line, hidden or folded(box))


def folded(box: Directive) -> bool:
    return box.name == "quiz" or "dropdown" in classes(box)


def classes(box: Directive) -> list[str]:
    return str(box.options.get("class", "")).split()


def note_box(form: Form, box: Directive, practising: bool) -> None:
    """Counts a directive: a cell, a quiz, a prediction, an exercise or a fold."""
    if box.name == "code-cell":
        note_cell(form, box, practising)
    elif box.name == "predict":
        form.predictions.append(box.argument)
    elif box.name == "belief":
        form.beliefs.append(box.argument)
    elif box.name == "quiz":
        form.quizzes += 1
    elif "exercise" in classes(box):
        form.exercises.append(box.argument)
    elif "dropdown" in classes(box) and not practising:
        form.folds.append(box.argument)
    form.old += [f":class: {name}" for name in ("predict", "misconception") if name in classes(box)]


def note_cell(form: Form, box: Directive, practising: bool) -> None:
    cell = Cell(box.body.strip("\n"), frozenset(box.options.get("tags", [])), box.line)
    form.cells.append(cell)
    if not practising:
        form.visible += [cell] * cell.visible
        form.figures += "image" in box.options.get("mystnb", {})
        form.played += len(cell.calls("Explorable", "live"))


def called(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


# What a reader has to decode: its name, and how it is recognized.
GOLF: dict[str, Callable[[Any], bool]] = {
    "map(...)": lambda node: isinstance(node, ast.Call) and called(node) == "map",
    "zip(*...)": lambda node: (
        isinstance(node, ast.Call)
        and called(node) == "zip"
        and any(isinstance(given, ast.Starred) for given in node.args)
    ),
    "dict(zip(...))": lambda node: (
        isinstance(node, ast.Call)
        and called(node) == "dict"
        and any(isinstance(given, ast.Call) and called(given) == "zip" for given in node.args)
    ),
    "lambda": lambda node: isinstance(node, ast.Lambda),
    "two loops in one expression": lambda node: (
        isinstance(node, COMPREHENSIONS)
        and sum(isinstance(inner, ast.comprehension) for inner in ast.walk(node)) > 1
    ),
    "x[...][..., i]": lambda node: (
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Subscript | ast.List)
        and any(getattr(inner, "value", 0) is ... for inner in ast.walk(node.slice))
    ),
}


def golf(cell: Cell) -> list[str]:
    """The patterns of GOLF in a cell, one entry for each place."""
    return [name for node in cell.nodes() for name, matches in GOLF.items() if matches(node)]


def faults(form: Form) -> list[str]:
    """Says of all that is not in the form what it is and what the form wants."""
    found = [fault for part in (of_code, of_evidence, of_text) for fault in part(form)]
    return list(dict.fromkeys(found))


def of_code(form: Form) -> Iterator[str]:
    long = [cell for cell in form.visible if cell.length > LINES]
    if len(form.visible) > CELLS:
        yield f"{len(form.visible)} visible cells before the exercises, at most {CELLS}"
    for cell in sorted(long, key=lambda cell: cell.length)[:-1]:
        yield f"line {cell.line}: a second cell of more than {LINES} lines ({cell.length})"
    for cell in long:
        if cell.length > OBJECT:
            yield f"line {cell.line}: a visible cell of {cell.length} lines, at most {OBJECT}"
    for cell in form.visible:
        for name in golf(cell):
            yield f"line {cell.line}: {name} in a visible cell; write plain statements"


def of_evidence(form: Form) -> Iterator[str]:
    for cell in form.cells:
        if cell.calls(*CLAIMS) and PROVING.isdisjoint(cell.tags):
            yield f"line {cell.line}: a claim in a cell without the tag claims"
    for old in form.old:
        yield f"{old}: write :::{{predict}} name or :::{{belief}} name, closed by answer or verdict"
    for names, closing, what in (
        (form.predictions, "answer", "prediction"),
        (form.beliefs, "verdict", "belief"),
    ):
        calls = [call for cell in form.cells for call in cell.calls(closing)]
        closed = [call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)]
        if not names:
            yield f"no {what}; write :::{{{'predict' if what == 'prediction' else what}}} name"
        for name in names:
            if name not in closed:
                yield f'the {what} {name} is never closed by {closing}("{name}", ...)'


def of_text(form: Form) -> Iterator[str]:
    if form.words > MOST_WORDS:
        yield f"{form.words} words before the exercises, at most {MOST_WORDS}"
    for title in form.folds:
        if not title.startswith("Going deeper"):
            yield f"a fold titled {title!r} before the exercises; write Going deeper: ..."
    if len(form.folds) > DEEPER:
        yield f"{len(form.folds)} folds before the exercises, at most {DEEPER}"
    kinds = [match[2] for match in map(TITLE.fullmatch, form.exercises) if match]
    if len(kinds) < len(form.exercises):
        yield f"an exercise is titled: Exercise 1 · {' or '.join(KINDS)} · 10 minutes"
    if len(form.exercises) not in EXERCISES:
        yield f"{len(form.exercises)} exercises, {EXERCISES[0]} to {EXERCISES[-1]} wanted"
    if "build" not in kinds:
        yield "no exercise of the kind build"
    if not form.quizzes:
        yield "no quiz"


def row(name: str, edition: Any, form: Form, wrong: int) -> list[str]:
    lengths = [cell.length for cell in form.visible]
    few = "*" if form.words < FEWEST_WORDS else ""
    counts = [len(lengths), max(lengths, default=0), sum(n > LINES for n in lengths)]
    counts += [sum(len(golf(cell)) for cell in form.visible), form.formulas, form.figures]
    counts += [form.played, len(form.folds), len(form.predictions), len(form.beliefs)]
    counts += [len(form.exercises), form.quizzes, form.reading, form.exercising, wrong]
    return [name, str(edition), f"{form.words}{few}", *map(str, counts)]


HEAD = ["chapter", "edition", "words", "cells", "longest", f">{LINES}", "golf", "formulas"]
HEAD += ["figures", "played", "folds", "predict", "belief", "exercises", "quiz", "read", "practise"]
HEAD += ["faults"]


def main(root: Path = ROOT) -> int:
    """Prints the table; returns 1 if a chapter and its mark in the plan do not agree."""
    editions = {chapter["name"]: chapter.get("edition", 2) for chapter in chapters(root)}
    rows, said, status = [HEAD], [], 0
    for path in chapter_sources(root):
        try:
            form = measure(path.read_text(encoding="utf-8"))
        except SourceError as error:
            print(f"book/{path.name}:{error.line}: {error}", file=sys.stderr)
            return 1
        wrong, edition = faults(form), editions.get(path.stem, 2)
        rows.append(row(path.stem, edition, form, len(wrong)))
        if edition != 1:
            said += [f"book/{path.name}: {fault}" for fault in wrong]
        elif not wrong:
            said.append(f"book/{path.name} is in the form: take edition: 1 off book/course.yml")
        status = int(bool(said))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)))
    print(f"read and practise in minutes; * fewer than {FEWEST_WORDS} words")
    print("\n".join(said))
    return status


if __name__ == "__main__":
    sys.exit(main())
