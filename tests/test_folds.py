"""Folds: what proves a fold is folded with it."""

import pytest
from docutils import nodes
from docutils.utils import new_document
from l2g_book.folds import fold, fold_boxes, fold_checks
from sphinx.errors import ExtensionError


def page(*parts):
    """A page with a fold (two children), a check that belongs to it, and what else is given."""
    box = nodes.admonition(
        "", nodes.title("", "Going deeper"), nodes.paragraph("", "So."), classes=["dropdown"]
    )
    doctree = new_document("page.md")
    doctree += [box, *parts]
    fold_boxes(None, doctree)
    fold_checks(None, doctree)
    return doctree


def cell(*tags):
    return nodes.container("", classes=["cell", *(f"tag_{tag}" for tag in tags)])


def test_checks_tagged_deeper_move_into_the_fold_before_them():
    first, second, other = cell("claims", "deeper"), cell("claims", "deeper"), cell("claims")
    doctree = page(first, second, other)
    box, last = doctree.children
    assert isinstance(box, fold)
    assert box.children[2:] == [first, second]
    assert last is other


def test_a_check_tagged_deeper_without_a_fold_before_it_is_refused():
    with pytest.raises(ExtensionError, match="follows a fold, and this one follows paragraph"):
        page(nodes.paragraph("", "Between."), cell("claims", "deeper"))
