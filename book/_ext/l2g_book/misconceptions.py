"""The index of misconceptions: every belief that a chapter puts to the test, with its verdict.

A belief is a box {belief}, and its verdict is what the page's cells print (see questions.py). In
the older form a belief is the title of a box of class `misconception`, or a heading in quotation
marks; its verdict is the next **Verdict: ...**. A short form stands in one paragraph: *“belief”*
... **Verdict: ...**
"""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from .ledger import marked
from .pages import COMPUTED, heading, numbered
from .project import chapter_sources, chapters
from .questions import asked, closing

PAGE = "misconceptions"
Found = dict[str, str]  # belief, verdict, sentence (or nothing), anchor

VERDICT = re.compile(r"Verdict:\s*(.+?)[.:]?\s*", re.DOTALL)


def collect_misconceptions(app: Sphinx, doctree: nodes.document) -> None:
    """Reads beliefs and verdicts off a chapter; they stay with the page's metadata."""
    name = app.env.docname
    if name in {path.stem for path in chapter_sources()}:
        app.env.metadata[name][PAGE] = [*tested(doctree), *judged(name, doctree)]


def tested(doctree: nodes.document) -> Iterator[Found]:
    """The beliefs that cells have judged."""
    verdicts = {record["of"]: record for record in closing(doctree)}
    for box in asked(doctree):
        if "belief" in box["classes"]:
            verdict = verdicts[box["question"]]
            belief = next(p for p in box.findall(nodes.paragraph)).astext()
            yield found(belief, verdict["judgement"], box, verdict["sentence"])


def judged(name: str, doctree: nodes.document) -> Iterator[Found]:
    """Pairs each belief with its verdict.

    Raises:
        ExtensionError: a belief has no verdict, or a verdict no belief.
    """
    waiting: tuple[str, nodes.Element] | None = None
    for node in doctree.findall(nodes.Element):
        if title := belief(node):
            if waiting:
                raise ExtensionError(f"{name}: the misconception {waiting[0]} has no verdict")
            waiting = title, node
        elif isinstance(node, nodes.strong) and (match := VERDICT.fullmatch(node.astext())):
            if beside := quoted_beside(node):
                yield found(beside, match[1], node.parent)
            elif waiting:
                yield found(waiting[0], match[1], waiting[1])
                waiting = None
            else:
                raise ExtensionError(f"{name}: the verdict “{match[1]}” belongs to no belief")
    if waiting:
        raise ExtensionError(f"{name}: the misconception {waiting[0]} has no verdict")


def belief(node: nodes.Element) -> str:
    """The belief that a box or a section puts to the test, or nothing."""
    if isinstance(node, nodes.Admonition | nodes.section):
        title = next(iter(node.findall(nodes.title)), nodes.title()).astext()
        if "misconception" in node["classes"]:
            return title
        if isinstance(node, nodes.section) and title.startswith("“"):
            return title
    return ""


def quoted_beside(verdict: nodes.Element) -> str:
    """The belief that stands in italics and quotation marks before its verdict."""
    before = verdict.parent.children[: verdict.parent.index(verdict)]
    quoted = [n.astext() for n in before if isinstance(n, nodes.emphasis)]
    return next((text for text in reversed(quoted) if text.startswith("“")), "")


def found(title: str, verdict: str, place: nodes.Element, sentence: str = "") -> Found:
    if not place["ids"]:
        place["ids"].append(f"belief-{nodes.make_id(title)[:60].strip('-')}")
    belief, verdict = (" ".join(text.split()) for text in (title, verdict))
    return {"belief": belief, "verdict": verdict, "sentence": sentence, "anchor": place["ids"][0]}


class misconceptions_node(nodes.General, nodes.Element):
    """Stands for the index until all chapters have been read."""


class Misconceptions(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [misconceptions_node()]


def fill_misconceptions(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in doctree.findall(misconceptions_node):
        parts: list[nodes.Node] = []
        for chapter in chapters():
            name = chapter["name"]
            if beliefs := app.env.metadata.get(name, {}).get(PAGE):
                listed = nodes.bullet_list(classes=["l2g-beliefs"])
                listed += [item(name, belief) for belief in beliefs]
                parts += [heading(name, numbered(chapter)), listed]
        node.replace_self(parts)


def item(name: str, belief: Found) -> nodes.list_item:
    place = f"{name}.html#{belief['anchor']}"
    link = nodes.reference("", belief["belief"], refuri=place, internal=True)
    verdict = nodes.inline("", belief["verdict"], classes=["l2g-judged"])
    line = nodes.paragraph("", "", link, nodes.Text(" "), verdict, *marked(belief["sentence"]))
    return nodes.list_item("", line)


def setup(app: Sphinx) -> None:
    COMPUTED.add(PAGE)
    app.add_directive(PAGE, Misconceptions)
    app.add_node(misconceptions_node)
    app.connect("doctree-read", collect_misconceptions)
    app.connect("doctree-resolved", fill_misconceptions)
