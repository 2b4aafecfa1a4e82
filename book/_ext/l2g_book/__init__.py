"""The book's one Sphinx extension: everything that Jupyter Book does not do by itself."""

from typing import Any

from sphinx.application import Sphinx

from . import (
    api,
    aria,
    execution,
    folds,
    glossary,
    instructors,
    katex,
    kernels,
    lean,
    links,
    misconceptions,
    pages,
    questions,
    quiz,
    sharing,
    tables,
)

PARTS = (
    aria,
    execution,
    folds,
    kernels,
    katex,
    lean,
    links,
    pages,
    questions,
    quiz,
    sharing,
    tables,
)
APPENDICES = (api, glossary, instructors, misconceptions)


def setup(app: Sphinx) -> dict[str, Any]:
    for part in (*PARTS, *APPENDICES):
        part.setup(app)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
