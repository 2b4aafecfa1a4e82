"""Pages that are computed: map of the course, ledger of claims, environment of this build."""

import html
import json
import os
import platform
import re
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from .execution import versions
from .kernels import FROM_NOTHING
from .project import ROOT, chapter_sources

logger = logging.getLogger(__name__)

CLAIM = re.compile(r'class="l2g-claim" data-claim="([^"]*)"')
PLAN = ROOT / "book/course.yml"
COMPUTED = {"index", "ledger", "environment"}


def course() -> list[dict[str, Any]]:
    return yaml.safe_load(PLAN.read_text(encoding="utf-8"))


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


def collect_claims(app: Sphinx, doctree: nodes.document) -> None:
    """Read the claims off the executed cells; they stay with the page's metadata."""
    found = [match for raw in doctree.findall(nodes.raw) for match in CLAIM.findall(raw.astext())]
    app.env.metadata[app.env.docname]["claims"] = [json.loads(html.unescape(m)) for m in found]


class ledger_node(nodes.General, nodes.Element):
    """Stands for the ledger until all chapters have been executed."""


class Ledger(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [ledger_node()]


def fill_ledger(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in doctree.findall(ledger_node):
        home = app.config.root_doc
        parts = page_ledger(app, home, app.env.titles[home].astext())
        for chapter in (c for part in course() for c in part["chapters"]):
            name = chapter["name"]
            if name in app.env.found_docs:
                claims = page_ledger(app, name, f"{int(name[:2])} · {chapter['title']}")
                if not claims:
                    raise ExtensionError(
                        f"{name} makes no claim: an empirical sentence must be one"
                    )
                parts += claims
        node.replace_self(parts)


def page_ledger(app: Sphinx, name: str, title: str) -> list[nodes.Node]:
    claims = app.env.metadata[name]["claims"]
    if not claims:
        return []
    link = nodes.reference("", title, refuri=f"{name}.html", internal=True)
    heading = nodes.paragraph("", "", link, classes=["l2g-part"])
    rows = [(claim["sentence"], measured(claim["value"])) for claim in claims]
    return [heading, table(("Claim", "Measured in this build"), rows)]


def measured(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {measured(v)}" for key, v in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class run_times_node(nodes.General, nodes.Element):
    """Stands for the run times until all chapters have been executed."""


class RunTimes(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [run_times_node()]


def fill_run_times(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in doctree.findall(run_times_node):
        seconds = {
            app.env.titles[name].astext(): data["runtime"]
            for name in sorted(app.env.found_docs)
            if (data := NbMetadataCollector.get_exec_data(app.env, name))
        }
        longest, total = max(seconds.values(), default=1), sum(seconds.values())
        rows = [(title, with_bar(f"{s:.1f} s", s / longest)) for title, s in seconds.items()]
        rows.append(("Together", f"{total:.1f} s"))
        node.replace_self([table(("Page", "Executed in"), rows), *from_nothing(app)])


def with_bar(text: str, share: float) -> nodes.paragraph:
    bar = f'<span class="l2g-bar" style="width: {share:.0%}"></span>'
    return nodes.paragraph("", text, nodes.raw("", bar, format="html"))


def from_nothing(app: Sphinx) -> list[nodes.Node]:
    note = Path(app.config.nb_execution_cache_path) / FROM_NOTHING
    if not note.exists():
        return []
    last = json.loads(note.read_text(encoding="utf-8"))
    count = "1 kernel" if last["kernels"] == 1 else f"{last['kernels']} kernels"
    text = f"When nothing was cached, {count} did it in {last['seconds']:.0f} s."
    return [nodes.paragraph("", text)]


class Environment(SphinxDirective):
    """Versions and hardware of this build."""

    def run(self) -> list[nodes.Node]:
        import torch

        rows = [
            *versions().items(),
            ("Processor", f"{platform.machine()}, {os.cpu_count()} cores"),
            ("Threads of torch", str(torch.get_num_threads())),
            ("Accelerator", torch.cuda.get_device_name() if torch.cuda.is_available() else "none"),
        ]
        return [table(("What", "In this build"), rows)]


def table(head: tuple[str, str], rows: list[tuple[str, Any]]) -> nodes.table:
    group = nodes.tgroup("", *[nodes.colspec(colwidth=w) for w in (70, 30)], cols=2)
    group += nodes.thead("", row(head))
    group += nodes.tbody("", *[row(cells) for cells in rows])
    return nodes.table("", group)


def row(cells: tuple[str, Any]) -> nodes.row:
    paragraphs = [nodes.paragraph("", c) if isinstance(c, str) else c for c in cells]
    return nodes.row("", *[nodes.entry("", paragraph) for paragraph in paragraphs])


def refresh_computed(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Whenever a chapter is read again, the pages computed from all chapters are too."""
    return sorted(COMPUTED & env.found_docs) if added | changed | removed else []


def warn_of_unlisted(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """A chapter that the plan or the table of contents forgets would vanish without a word."""
    planned = {chapter["name"] for part in course() for chapter in part["chapters"]}
    for path in chapter_sources():
        for names, place in ((planned, "course.yml"), (env.found_docs, "_toc.yml")):
            if path.stem not in names:
                logger.warning(f"book/{path.name} is missing from book/{place}")
    return []


def setup(app: Sphinx) -> None:
    app.add_directive("course-map", CourseMap)
    app.add_directive("ledger", Ledger)
    app.add_directive("build-environment", Environment)
    app.add_directive("run-times", RunTimes)
    app.add_node(ledger_node)
    app.add_node(run_times_node)
    app.connect("doctree-read", collect_claims)
    app.connect("doctree-resolved", fill_ledger)
    app.connect("doctree-resolved", fill_run_times)
    app.connect("env-get-outdated", refresh_computed)
    app.connect("env-get-outdated", warn_of_unlisted)
