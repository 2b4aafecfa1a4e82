"""The glossary: its page, and a discreet link where a chapter first uses a term of another one."""

import re
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from .pages import COMPUTED
from .project import ROOT, chapter_sources

SOURCE = ROOT / "book/glossary.yml"
PAGE = "glossary"
NO_PROSE = {"exercise", "solution", "l2g-quiz", "cell"}  # boxes without running prose
APART = (nodes.reference, pending_xref, nodes.literal, nodes.math, nodes.footnote_reference)


Entry = dict[str, Any]
Terms = dict[str, Entry]  # by spelling, in lower case


def entries(path: Path) -> list[Entry]:
    """Returns the terms in alphabetical order, as `book/glossary.yml` describes them.

    Raises:
        ValueError: an entry lacks a field, or a spelling belongs to two terms.
    """
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    seen: dict[str, str] = {}
    for entry in found:
        if lacking := {"term", "ko", "is", "at"} - entry.keys():
            raise ValueError(f"book/{path.name}: {entry} lacks {', '.join(sorted(lacking))}")
        for spelling in spellings(entry):
            if spelling.lower() in seen:
                raise ValueError(f"book/{path.name}: {spelling!r} is there twice")
            seen[spelling.lower()] = entry["term"]
    return sorted(found, key=lambda entry: entry["term"].lower())


def spellings(entry: Entry) -> list[str]:
    return [entry["term"], *entry.get("also", [])]


def anchor(entry: Entry) -> str:
    return nodes.make_id(entry["term"])


def pattern(terms: list[str]) -> re.Pattern[str]:
    """Finds whole words, singular or plural, in any case, and the longest term first."""
    longest = sorted(terms, key=len, reverse=True)
    ways = "|".join(re.escape(term).replace("'", "['’]").replace(r"\ ", r"\s+") for term in longest)
    return re.compile(rf"(?<![\w-])({ways})(?:e?s)?(?![\w-])", re.IGNORECASE)


def linked() -> tuple[Terms, re.Pattern[str]]:
    """The terms that chapters link, and what finds them."""
    terms = {s.lower(): e for e in entries(SOURCE) if e.get("link", True) for s in spellings(e)}
    return terms, pattern(list(terms))


class Glossary(SphinxDirective):
    """All terms, each with its Korean one, its definition, and where a chapter introduces it."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(SOURCE))
        listed = nodes.definition_list(classes=["l2g-glossary"])
        initials = nodes.paragraph(classes=["l2g-initials"])
        for entry in entries(SOURCE):
            item = self.item(entry)
            if entry["term"][0].upper() not in initials.astext().split():
                first = nodes.reference("", entry["term"][0].upper(), refid=anchor(entry))
                initials += [first, nodes.Text(" ")]
            listed += item
        return [initials, listed]

    def item(self, entry: Entry) -> nodes.definition_list_item:
        name = nodes.term("", "", nodes.strong("", entry["term"]), ids=[anchor(entry)])
        korean = nodes.inline("", entry["ko"], classes=["l2g-korean", "language-ko"])
        name += [nodes.Text(" "), korean]
        line = nodes.definition()
        text = StringList([f"{entry['is']} {self.where(entry['at'])}"], str(SOURCE))
        self.state.nested_parse(text, self.content_offset, line)
        return nodes.definition_list_item("", name, line)

    def where(self, place: str) -> str:
        """A link to the section, named by the number of its chapter."""
        page, _, section = place.partition("#")
        number = int(page[:2])
        known = page in self.env.found_docs
        return (
            f"[→\u00a0chapter\u00a0{number}]({page}.md#{section})"
            if known
            else f"(chapter {number})"
        )


def name_anchors(app: Sphinx, doctree: nodes.document) -> None:
    """Lets `[text](glossary.md#term)` lead to a term as it would to a heading."""
    if app.env.docname == PAGE:
        names = app.env.metadata[PAGE].setdefault("myst_slugs", {})
        for term in doctree.findall(nodes.term):
            names[term["ids"][0]] = (term.line, term["ids"][0], term[0].astext())


def link_first_uses(app: Sphinx, doctree: nodes.document) -> None:
    """Links the first use of each term, unless the section that introduces it comes before."""
    name = app.env.docname
    if name not in {path.stem for path in chapter_sources()} or PAGE not in app.env.found_docs:
        return
    app.env.note_dependency(str(SOURCE))
    slugs = app.env.metadata[name].get("myst_slugs", {})
    terms, finder = linked()
    done: set[str] = set()
    for node in list(doctree.findall(nodes.Element)):
        if isinstance(node, nodes.section):
            here = {f"{name}#{slug}" for slug, (_, id_, _) in slugs.items() if id_ in node["ids"]}
            done |= {entry["term"] for entry in terms.values() if entry["at"] in here}
        elif isinstance(node, nodes.paragraph) and is_prose(node):
            link_within(node, terms, finder, done)


def is_prose(node: nodes.Element) -> bool:
    """Whether a paragraph stands in no table, no reference, and no box such as an exercise."""
    while node.parent is not None:
        if isinstance(
            node, nodes.table | nodes.footnote | nodes.citation
        ) or not NO_PROSE.isdisjoint(node["classes"]):
            return False
        node = node.parent
    return True


def link_within(node: nodes.Element, terms: Terms, finder: re.Pattern[str], done: set[str]) -> None:
    """Links terms in the text of a node, but not in links, code and formulas."""
    children: list[nodes.Node] = []
    for kind, group in groupby(node.children, key=type):
        if kind is nodes.Text:  # each line is one
            children += split("".join(group), terms, finder, done)
            continue
        for child in group:
            if isinstance(child, nodes.Element) and not isinstance(child, APART):
                link_within(child, terms, finder, done)
            children.append(child)
    node.children = []
    node += children


def split(text: str, terms: Terms, finder: re.Pattern[str], done: set[str]) -> list[nodes.Node]:
    """Cuts a text at the terms that are not done yet, and links these."""
    parts: list[nodes.Node] = []
    start = 0
    for match in finder.finditer(text):
        entry = terms[" ".join(match[1].lower().replace("’", "'").split())]
        if entry["term"] in done:
            continue
        done.add(entry["term"])
        link = nodes.reference(
            "",
            match[0],
            internal=True,
            refuri=f"{PAGE}.html#{anchor(entry)}",
            reftitle=f"{entry['term']} · {entry['ko']}: {entry['is']}",
            classes=["l2g-term"],
        )
        parts += [nodes.Text(text[start : match.start()]), link]
        start = match.end()
    return [*parts, nodes.Text(text[start:])]


def setup(app: Sphinx) -> None:
    COMPUTED.add(PAGE)  # its links are checked again when a chapter has changed
    app.add_directive("glossary-terms", Glossary)
    app.connect("doctree-read", name_anchors)
    app.connect("doctree-read", link_first_uses)
