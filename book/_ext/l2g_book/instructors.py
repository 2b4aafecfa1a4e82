"""What teachers plan with, computed from the chapters: minutes, order, checked exercises."""

import re
from itertools import pairwise
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from l2g.exercises import chapters as exercises

from .form import measure
from .minutes import minutes
from .pages import COMPUTED, Cell, run_time, table
from .project import PLAN, ROOT, chapters

WEEKS = 12
FIRST_EDITION = re.compile(r"\*\*Time:\*\*\s+(\d+)\s+minutes\s+to\s+read")


def by_number() -> dict[int, dict[str, Any]]:
    return {int(chapter["name"][:2]): chapter for chapter in chapters()}


def times(name: str) -> tuple[str, str]:
    """Returns how long a chapter takes to read, and its exercises if their titles say so."""
    text = (ROOT / f"book/{name}.md").read_text(encoding="utf-8")
    said = FIRST_EDITION.search(text)
    read = f"{said[1] if said else minutes(text, 'reading')} min"
    return read, f"{minutes(text, 'exercises')} min" if measure(text).exercising else "—"


def checked(number: int) -> list[str]:
    """Returns the names of a chapter's exercises that check themselves, in their order."""
    return [exercise.name for exercise in exercises().get(number, ())]


def link(number: int, found: set[str]) -> list[nodes.Node]:
    """The number and the title of a chapter: a link if it stands, or else marked as planned."""
    chapter = by_number()[number]
    text = f"{number} {chapter['title']}"
    if chapter["name"] in found:
        return [nodes.reference("", text, refuri=f"{chapter['name']}.html", internal=True)]
    return [nodes.inline("", f"{text} (planned)", classes=["l2g-planned"])]


class Chapter(SphinxRole):
    """{chapter}`9`: a chapter by its number."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        if not self.text.isdigit() or int(self.text) not in by_number():
            message = self.inliner.reporter.error(f"the plan has no chapter {self.text!r}")
            return [], [message]
        self.env.note_dependency(str(PLAN))
        return link(int(self.text), self.env.found_docs), []


class run_time_node(nodes.Inline, nodes.Element):
    """Stands for the time that a chapter's cells took, until all have been executed."""


def fill_run_times(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in list(doctree.findall(run_time_node)):
        seconds = run_time(app.env, node["name"])
        node.replace_self(nodes.Text("—" if seconds is None else f"{seconds:.0f} s"))


class ChapterTable(SphinxDirective):
    """Of each chapter that stands: minutes to read and practise, seconds to run, what is first."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(PLAN))
        rows: list[list[Cell]] = []
        for number, name, title in standing(self.env.found_docs):
            read, practise = times(name)
            after = ", ".join(map(str, by_number()[number].get("needs", []))) or "—"
            run = nodes.paragraph("", "", run_time_node(name=name))
            rows.append([title, read, practise, run, after])
        return [table(("Chapter", "To read", "To practise", "To run", "After"), rows)]


class CheckedExercises(SphinxDirective):
    """Of each chapter that stands: the functions that `check` examines."""

    def run(self) -> list[nodes.Node]:
        rows: list[list[Cell]] = []
        for number, _, title in standing(self.env.found_docs):
            names = nodes.paragraph()
            for name in checked(number):
                names += [nodes.literal("", name), nodes.Text(" ")]
            rows.append([title, names])
        return [table(("Chapter", "Functions to write"), rows)]


class WholeCourse(SphinxDirective):
    """All chapters of the plan, spread evenly over the weeks of a term."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(PLAN))
        rows: list[list[Cell]] = []
        for week, numbers in enumerate(spread(list(by_number())), 1):
            links = nodes.paragraph()
            for i, number in enumerate(numbers):
                links += [nodes.Text(", " if i else ""), *link(number, self.env.found_docs)]
            rows.append([str(week), links])
        return [table(("Week", "Chapters"), rows)]


def spread(numbers: list[int]) -> list[list[int]]:
    """Cuts the numbers into weeks, in their order; no two weeks differ by more than one chapter."""
    ends = [round(week * len(numbers) / WEEKS) for week in range(WEEKS + 1)]
    return [numbers[a:b] for a, b in pairwise(ends)]


def standing(found: set[str]) -> list[tuple[int, str, nodes.paragraph]]:
    """Number, name and linked title of each chapter that stands."""
    known = [(n, c["name"]) for n, c in by_number().items() if c["name"] in found]
    return [(n, name, nodes.paragraph("", "", *link(n, found))) for n, name in known]


def setup(app: Sphinx) -> None:
    COMPUTED.add("instructors")
    app.add_role("chapter", Chapter())
    app.add_directive("chapter-table", ChapterTable)
    app.add_node(run_time_node)
    app.connect("doctree-resolved", fill_run_times)
    app.add_directive("checked-exercises", CheckedExercises)
    app.add_directive("whole-course", WholeCourse)
