"""Tables on phones: a wide one becomes a list of cards, each row one, each cell with its name.

Tables that a cell shows by `l2g.tables` look the same.
"""

import html

from docutils import nodes
from sphinx.application import Sphinx


def deal_cards(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    from l2g.tables import is_narrow

    for table in doctree.findall(nodes.table):
        names = [cell.astext() for head in table.findall(nodes.thead) for cell in cells(head)]
        rows = [cells(row) for body in table.findall(nodes.tbody) for row in body]
        columns = zip(names, *([cell.astext() for cell in row] for row in rows), strict=False)
        if not is_narrow([max(map(len, texts)) for texts in columns]):
            table["classes"].append("l2g-cards")
            for row in rows:
                name_cells(row, names)


def cells(part: nodes.Element) -> list[nodes.entry]:
    return list(part.findall(nodes.entry))


def name_cells(row: list[nodes.entry], names: list[str]) -> None:
    """Puts the name of the column before each cell but the first, which is the card's title."""
    from l2g.tables import LABEL

    for cell, name in zip(row[1:], names[1:], strict=False):
        if cell.astext():
            label = nodes.raw("", LABEL.format(html.escape(name)), format="html")
            cell.children[0].insert(0, label)
        else:
            cell["classes"].append("l2g-empty")


def setup(app: Sphinx) -> None:
    app.connect("doctree-resolved", deal_cards, priority=600)  # after tables that are computed
