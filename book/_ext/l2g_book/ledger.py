"""Claims on the pages, and the ledger of all of them."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from . import counts
from .pages import COMPUTED, heading, numbered
from .project import chapters

PAGE = "ledger"
BOX = re.compile(
    r'(?P<start><div class="l2g-claim[^"]*" data-claim="(?P<data>[^"]*)"[^>]*>)'
    r"(?P<text>.*?)(?=</div>)",
    re.DOTALL,
)
# Stands once on each page, after the first box that says how often its claim held.
MEANING = (
    '<p class="l2g-meaning"><em>Held in 5 of 5 other seed sets</em>: this whole chapter was '
    "executed five more times, each time with other random numbers (other draws of data, other "
    "splits, other initial weights), and the sentence was true every time. <em>The same</em>: not "
    "even its numbers changed.</p>"
)
FORMULA = re.compile(r"\$([^$]+)\$")
# The marks of a sentence, as l2g.evidence shows them in notebooks.
MARKS = re.compile(
    r"`(?P<literal>[^`]+)`|\$(?P<math>[^$]+)\$|(?<![\w*])\*\*(?P<strong>\S(?:[^*]*\S)?)\*\*(?!\w)"
    r"|(?<![\w*])\*(?P<emphasis>\S(?:[^*]*\S)?)\*(?![\w*])"
)

Claim = dict[str, Any]  # the record that the claim's output carries, and its section's anchor


def records(text: str) -> list[Claim]:
    """Returns the records of the claims that the HTML of an output shows."""
    return [record(box) for box in BOX.finditer(text)]


def record(box: re.Match[str]) -> Claim:
    return json.loads(html.unescape(box["data"]))


def collect_claims(app: Sphinx, doctree: nodes.document) -> None:
    """Reads the claims off the executed cells; they stay with the page's metadata.

    Their boxes get what the site adds: set formulas, and how often the claim held elsewhere.
    """
    outputs = [raw for raw in doctree.findall(nodes.raw) if BOX.search(raw.astext())]
    claims = [claim for raw in outputs for claim in records(raw.astext())]
    told = counts.of_page(app)
    lines = iter([told.get(key, "") for key in counts.keyed(claims)])

    def completed(box: re.Match[str]) -> str:
        line = next(lines)
        found.append(record(box) | {"section": section_of(raw), "counted": line})
        told = f' <a class="l2g-held" href="{PAGE}.html">{html.escape(line)}</a>'
        text = FORMULA.sub(r'<span class="tex">\1</span>', box["text"])
        return f"{box['start']}{text}{told if line else ''}"

    found: list[Claim] = []
    for raw in outputs:
        first = not any(claim["counted"] for claim in found)
        text = BOX.sub(completed, raw.astext())
        meaning = MEANING if first and any(claim["counted"] for claim in found) else ""
        raw.replace_self(nodes.raw("", text + meaning, **raw.attributes))
    app.env.metadata[app.env.docname][PAGE] = found


def refuse_captioned(app: Sphinx, doctree: nodes.document) -> None:
    """The caption of a cell stands under each of its outputs: a claim needs a cell of its own.

    Raises:
        ExtensionError: a claim stands in a cell with a caption.
    """
    editions = {chapter["name"]: chapter.get("edition") for chapter in chapters()}
    if editions.get(app.env.docname) == 1:
        return
    for figure in doctree.findall(nodes.figure):
        for raw in figure.findall(nodes.raw):
            for claim in records(raw.astext()):
                raise ExtensionError(
                    f"{app.env.docname}: a cell with a caption makes a claim, which needs a cell "
                    f"of its own, tagged claims: {claim['sentence']}"
                )


def section_of(node: nodes.Node) -> str:
    while not isinstance(node, nodes.section):
        node = node.parent
    return str(node["ids"][0])


class ledger_node(nodes.General, nodes.Element):
    """Stands for the ledger until all chapters have been executed."""


class Ledger(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [ledger_node()]


def fill_ledger(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in doctree.findall(ledger_node):
        home = app.config.root_doc
        parts = page_ledger(app, home, app.env.titles[home].astext())
        for chapter in chapters():
            name = chapter["name"]
            if name in app.env.found_docs:
                claims = page_ledger(app, name, numbered(chapter))
                if not claims:
                    raise ExtensionError(
                        f"{name} makes no claim: an empirical sentence must be one"
                    )
                parts += claims
        node.replace_self(parts)


def page_ledger(app: Sphinx, name: str, title: str) -> list[nodes.Node]:
    claims = app.env.metadata[name][PAGE]
    if not claims:
        return []
    listed = nodes.bullet_list(classes=["l2g-ledger"])
    listed += [nodes.list_item("", linked(name, claim)) for claim in claims]
    return [heading(name, title), listed]


def linked(name: str, claim: Claim) -> nodes.paragraph:
    """The sentence as its page shows it; it leads there."""
    place = f"{name}.html#{claim['section']}"
    link = nodes.reference("", "", *marked(claim["sentence"]), refuri=place, classes=["l2g-place"])
    if "judgement" in claim:
        link.insert(0, nodes.strong("", f"{claim['judgement'].capitalize()}. "))
    line = nodes.paragraph("", "", link)
    if claim["counted"]:
        line += nodes.Text(" ")
        line += nodes.inline("", claim["counted"], classes=["l2g-held"])
    return line


def marked(sentence: str) -> Iterator[nodes.Node]:
    """The text of a sentence with its emphasis, bold and code as nodes."""
    position = 0
    for match in MARKS.finditer(sentence):
        if before := sentence[position : match.start()]:
            yield nodes.Text(before)
        mark = str(match.lastgroup)
        yield getattr(nodes, mark)("", match[mark])
        position = match.end()
    yield nodes.Text(sentence[position:])


def setup(app: Sphinx) -> None:
    COMPUTED.add(PAGE)
    app.add_directive(PAGE, Ledger)
    app.add_node(ledger_node)
    app.connect("doctree-read", refuse_captioned)
    app.connect("doctree-read", collect_claims)
    app.connect("env-get-outdated", counts.find_outdated)
    app.connect("doctree-resolved", fill_ledger)
