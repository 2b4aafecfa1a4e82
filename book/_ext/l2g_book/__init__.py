"""The book's one Sphinx extension: everything that Jupyter Book does not do by itself."""

from typing import Any

from sphinx.application import Sphinx

from . import (
    api,
    aria,
    execution,
    figures,
    folds,
    glossary,
    instructors,
    katex,
    kernels,
    lean,
    ledger,
    links,
    minutes,
    misconceptions,
    pages,
    questions,
    quiz,
    sharing,
    tables,
)

PARTS = [aria, execution, figures, folds, kernels, katex, lean, links]
PARTS += [minutes, pages, questions, quiz, sharing, tables]
APPENDICES = [api, glossary, instructors, ledger, misconceptions]


def setup(app: Sphinx) -> dict[str, Any]:
    for part in (*PARTS, *APPENDICES):
        part.setup(app)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
