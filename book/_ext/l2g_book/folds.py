"""Folds: boxes and solutions that wait for a click. All are <details>, and need no script."""

from docutils import nodes
from sphinx.application import Sphinx
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
    app.connect("doctree-read", fold_outcomes, priority=600)  # after execution.py's own fold
