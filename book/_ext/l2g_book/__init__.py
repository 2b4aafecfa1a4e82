"""The book's one Sphinx extension: everything that Jupyter Book does not do by itself."""

from typing import Any

from sphinx.application import Sphinx

from . import execution, katex, links, pages, quiz


def setup(app: Sphinx) -> dict[str, Any]:
    for part in (execution, katex, links, pages, quiz):
        part.setup(app)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
