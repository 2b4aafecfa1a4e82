"""Folds: boxes and solutions that wait for a click. All are <details>, and need no script."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.writers.html5 import HTML5Translator

FOLDED = {"dropdown", "solution"}


class fold(nodes.Admonition, nodes.Element):
    """A box whose title opens it: the first child is the title."""


def fold_boxes(app: Sphinx, doctree: nodes.document) -> None:
    for box in list(doctree.findall(nodes.admonition)):
        if not FOLDED.isdisjoint(box["classes"]):
            classes = [name for name in box["classes"] if name != "dropdown"]
            box.replace_self(fold("", *box.children, classes=[*classes, "l2g-fold"]))


def fold_outcomes(app: Sphinx, doctree: nodes.document) -> None:
    """What a solution prints is folded with it, and says nothing about the reader's own try."""
    for cell in doctree.findall(nodes.container):
        if "tag_solution" in cell["classes"]:
            cell["hide_mode"] = "all"


def fold_checks(app: Sphinx, doctree: nodes.document) -> None:
    """A cell tagged `deeper` proves what the fold before it says: it moves into that fold.

    Raises:
        ExtensionError: no fold stands right before the cell.
    """
    for cell in list(doctree.findall(nodes.container)):
        if "tag_deeper" not in cell["classes"]:
            continue
        place = cell.parent.index(cell) - 1
        before = cell.parent[place] if place >= 0 else None
        if not isinstance(before, fold):
            raise ExtensionError(
                f"{cell.source}:{cell.line}: a cell tagged deeper follows a fold, and this one "
                f"follows {before.tagname if before else 'nothing'}"
            )
        cell.parent.remove(cell)
        before.append(cell)


def visit_fold(self: HTML5Translator, node: fold) -> None:
    self.body.append(self.starttag(node, "details", CLASS="admonition"))
    title, *others = node.children
    self.body.append("<summary>")
    title.walkabout(self)
    self.body.append("</summary>\n")
    for child in others:
        child.walkabout(self)
    self.body.append("</details>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_node(fold, html=(visit_fold, None))
    app.connect("doctree-read", fold_boxes)
    app.connect("doctree-read", fold_checks, priority=510)  # the boxes are folds by now
    app.connect("doctree-read", fold_outcomes, priority=600)  # after execution.py's own fold
