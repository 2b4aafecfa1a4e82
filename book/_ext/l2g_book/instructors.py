"""What teachers plan with, computed from the chapters: minutes, order, checked exercises."""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from l2g.exercises import chapters as exercises

from .pages import COMPUTED, PLAN, Cell, chapters, run_time, table
from .project import ROOT

MINUTES = re.compile(r"\*\*Time:\*\*\s+(\d+)\s+minutes\s+to\s+read,\s+([\w\s]+?)\s+to\s+run")


def by_number() -> dict[int, dict[str, Any]]:
    return {int(chapter["name"][:2]): chapter for chapter in chapters()}


def minutes(name: str) -> int:
    """Returns how many minutes a chapter takes to read, as its own box says.

    Raises:
        ValueError: the chapter has no such line.
    """
    match = MINUTES.search((ROOT / f"book/{name}.md").read_text(encoding="utf-8"))
    if match is None:
        raise ValueError(f"book/{name}.md does not say '**Time:** N minutes to read, ... to run'")
    return int(match[1])


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
    """Of each chapter that stands: minutes to read, seconds to run, and what comes first."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(PLAN))
        rows: list[list[Cell]] = []
        for number, name, title in standing(self.env.found_docs):
            try:
                read = f"{minutes(name)} min"
            except ValueError as error:
                raise self.error(str(error)) from error
            after = ", ".join(map(str, by_number()[number].get("needs", []))) or "—"
            rows.append([title, read, nodes.paragraph("", "", run_time_node(name=name)), after])
        return [table(("Chapter", "To read", "To run", "After"), rows)]


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
