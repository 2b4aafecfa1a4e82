"""Pages that are computed: map of the course, run times, environment of this build."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from .execution import KERNEL_ENVIRONMENT, versions
from .kernels import FROM_NOTHING
from .project import PLAN, ROOT, chapter_sources, chapters, course

logger = logging.getLogger(__name__)

COMPUTED = {"index", "environment"}


class CourseMap(SphinxDirective):
    """All chapters by part; those without a source are marked as planned."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(PLAN))
        return [node for part in course() for node in self.part(part)]

    def part(self, part: dict[str, Any]) -> list[nodes.Node]:
        cards = nodes.bullet_list(classes=["l2g-map"])
        cards += [self.card(chapter) for chapter in part["chapters"]]
        return [nodes.paragraph("", part["part"], classes=["l2g-part"]), cards]

    def card(self, chapter: dict[str, str]) -> nodes.list_item:
        name, number = chapter["name"], int(chapter["name"][:2])
        published = name in self.env.found_docs
        title: nodes.Node = nodes.strong("", chapter["title"])
        if published:
            title = nodes.reference("", "", title, refuri=f"{name}.html", internal=True)
        line = nodes.paragraph("", "", nodes.inline("", f"{number}", classes=["number"]), title)
        if not published:
            line += nodes.inline("", "planned", classes=["planned"])
        card = nodes.list_item("", line, nodes.paragraph("", chapter["question"]))
        card["classes"] = ["published" if published else "planned-chapter"]
        return card


def numbered(chapter: dict[str, Any]) -> str:
    return f"{int(chapter['name'][:2])} · {chapter['title']}"


def heading(name: str, title: str) -> nodes.paragraph:
    """Stands above what is told of one page, and leads to it."""
    link = nodes.reference("", title, refuri=f"{name}.html", internal=True)
    return nodes.paragraph("", "", link, classes=["l2g-part"])


class run_times_node(nodes.General, nodes.Element):
    """Stands for the run times until all chapters have been executed."""


class RunTimes(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [run_times_node()]


def fill_run_times(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in doctree.findall(run_times_node):
        names = sorted(app.env.found_docs)
        seconds = {name: s for name in names if (s := run_time(app.env, name)) is not None}
        longest, total = max(seconds.values(), default=1), sum(seconds.values())
        rows: list[tuple[Cell, Cell]] = [
            (page_title(app, name), with_bar(f"{s:.1f} s", s / longest))
            for name, s in seconds.items()
        ]
        rows.append(("Together", f"{total:.1f} s"))
        node.replace_self([table(("Page", "Executed in"), rows), *from_nothing(set(seconds))])


def run_time(env: BuildEnvironment, name: str) -> float | None:
    """How long a page's cells ran, in seconds; None if it has none."""
    data = NbMetadataCollector.get_exec_data(env, name)
    return data["runtime"] if data else None


def page_title(app: Sphinx, name: str) -> str:
    return "Landing page" if name == app.config.root_doc else app.env.titles[name].astext()


def with_bar(text: str, share: float) -> nodes.paragraph:
    bar = f'<span class="l2g-bar" style="width: {share:.0%}"></span>'
    return nodes.paragraph("", text, nodes.raw("", bar, format="html"))


def from_nothing(names: set[str]) -> list[nodes.Node]:
    """How long it took to execute all of these pages at once, if that was ever done."""
    last = json.loads(FROM_NOTHING.read_text("utf-8")) if FROM_NOTHING.exists() else {"pages": []}
    if set(last["pages"]) != names:
        return []
    count = "1 kernel" if last["kernels"] == 1 else f"{last['kernels']} kernels"
    text = f"When nothing was cached, {count} did it in {last['seconds']:.0f} s."
    return [nodes.paragraph("", text)]


class Environment(SphinxDirective):
    """Versions and hardware of this build."""

    def run(self) -> list[nodes.Node]:
        import torch

        rows = [
            *versions().items(),
            ("Commit of the course", commit()),
            ("System", platform.platform()),
            ("Processor", f"{platform.machine()}, {os.cpu_count()} cores"),
            ("Threads of torch", KERNEL_ENVIRONMENT["OMP_NUM_THREADS"]),
            ("Accelerator", torch.cuda.get_device_name() if torch.cuda.is_available() else "none"),
        ]
        return [table(("What", "In this build"), rows)]


def commit() -> str:
    """The commit that the pages were built from, if this is a clone."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


Cell: TypeAlias = str | nodes.paragraph


def table(head: Sequence[Cell], rows: Iterable[Sequence[Cell]]) -> nodes.table:
    """The first of two columns is the wider one; more share the width."""
    widths = (70, 30) if len(head) == 2 else [1] * len(head)
    group = nodes.tgroup("", *[nodes.colspec(colwidth=w) for w in widths], cols=len(head))
    group += [nodes.thead("", row(head)), nodes.tbody("", *map(row, rows))]
    return nodes.table("", group)


def row(cells: Sequence[Cell]) -> nodes.row:
    paragraphs = [nodes.paragraph("", c) if isinstance(c, str) else c for c in cells]
    return nodes.row("", *[nodes.entry("", paragraph) for paragraph in paragraphs])


def find_outdated(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Where a chapter is gone, the pages computed from all chapters are outdated."""
    return sorted(COMPUTED & env.found_docs) if removed else []


def read_computed_too(app: Sphinx, env: BuildEnvironment, names: list[str]) -> None:
    """Whenever a page is read again, for whatever reason, those computed from all pages are too."""
    if names:
        names += sorted(COMPUTED & env.found_docs - {*names})


def warn_of_unlisted(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """A chapter that the plan or the table of contents forgets would vanish without a word."""
    planned = {chapter["name"] for chapter in chapters()}
    for path in chapter_sources():
        for names, place in ((planned, "course.yml"), (env.found_docs, "_toc.yml")):
            if path.stem not in names:
                logger.warning(f"book/{path.name} is missing from book/{place}")
    return []


def setup(app: Sphinx) -> None:
    app.add_directive("course-map", CourseMap)
    app.add_directive("build-environment", Environment)
    app.add_directive("run-times", RunTimes)
    app.add_node(run_times_node)
    app.connect("doctree-resolved", fill_run_times)
    app.connect("env-get-outdated", find_outdated)
    app.connect("env-before-read-docs", read_computed_too, priority=400)  # before execution
    app.connect("env-get-outdated", warn_of_unlisted)
