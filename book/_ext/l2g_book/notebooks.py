"""Writes chapters/NN_name.ipynb, for Colab, JupyterLab and CI, from book/NN_name.md.

    python book/_ext/l2g_book/notebooks.py [--check] [--without-solutions FOLDER]

The same sources give the same bytes. If one chapter cannot be read, nothing is written. With
--without-solutions, notebooks to hand out go to a folder of yours, whose other files stay.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # where the package l2g_book lies

from l2g_book.bibliography import read_bibliography
from l2g_book.markdown import convert
from l2g_book.page import Page
from l2g_book.project import (
    ROOT,
    chapter_sources,
    colab_url,
    git_ref,
    repository_url,
    site_url,
)
from l2g_book.source import Directive, SourceError, parse, read_directive, refuse_others

FOLDED = {"claims", "hide-cell", "hide-input", "remove-input", "solution"}
TITLES = {"solution": "Solution", "claims": "Check"}
TAGS = FOLDED | {"deeper", "raises-exception", "stub"}
FORM = {"cellView": "form", "jupyter": {"source_hidden": True}}

BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
HEAD = """\
[![Open in Colab]({badge})]({colab})

Read this chapter [on the site]({site}{name}.html). \
This notebook is generated from `book/{name}.md`: edit that file, not this one."""

# A failing %pip line would not stop the notebook. --no-deps leaves Colab's own torch alone.
INSTALL = """\
# @title Setup: install l2g where it is missing
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("l2g") is None:
    package = "l2g @ git+{address}"
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "--no-deps", package])
    importlib.invalidate_caches()"""


def generate(root: Path = ROOT, *, solutions: bool = True) -> dict[str, bytes]:
    """Returns the content of every notebook by the name of its file, with or without solutions.

    Raises:
        ValueError: a chapter or the bibliography cannot be read, or two chapters give the same
            label; the message names file and line.
    """
    works = read_bibliography(root / "book/references.bib")
    pages = frozenset(path.stem for path in (root / "book").glob("*.md"))
    notebooks: dict[str, bytes] = {}
    named: dict[str, str] = {}
    for path in chapter_sources(root):
        page = Page(path.stem, site_url(root), pages, works, solutions)
        try:
            cells = [*opening(path.stem, root), *chapter_cells(page, path.read_text("utf-8"))]
        except SourceError as error:
            raise ValueError(f"book/{path.name}:{error.line}: {error}") from error
        refuse_shared_names(page, named)
        notebooks[f"{path.stem}.ipynb"] = notebook_bytes(path.stem, cells)
    return notebooks


def refuse_shared_names(page: Page, named: dict[str, str]) -> None:
    """On the site all pages share their labels: adds those of a page to what is `named` so far."""
    for name, line in page.named.items():
        place = f"book/{page.name}.md:{line}"
        if name in named:
            raise ValueError(f"{place}: {name} is given twice, first at {named[name]}")
        named[name] = place


def opening(name: str, root: Path) -> list[dict[str, Any]]:
    head = HEAD.format(badge=BADGE, colab=colab_url(name, root), site=site_url(root), name=name)
    return [markdown_cell(head), code_cell(INSTALL.format(address=package_url(root)), FORM)]


def package_url(root: Path) -> str:
    """Where pip finds the package: the repository, in a release at its tag."""
    ref = git_ref(root)
    return repository_url(root) + ("" if ref == "main" else f"@{ref}")


def chapter_cells(page: Page, text: str) -> Iterator[dict[str, Any]]:
    """Cuts a chapter at its headings and code cells, and converts the pieces."""
    tokens = parse(text, 1)
    if not tokens or tokens[0].type != "front_matter":
        raise SourceError(1, "a chapter starts with its front matter: jupytext and kernelspec")
    page.survey(text)
    lines = text.split("\n")
    start = 0
    for token in tokens:
        if token.level or not token.map:
            continue
        directive = read_directive(token, token.map[0] + 1)
        is_code = directive is not None and directive.name == "code-cell"
        if is_code or token.type == "heading_open":
            yield from text_cells(page, lines[start : token.map[0]], start + 1)
            start = token.map[0]
        if directive and is_code:
            yield from run_cells(page, directive, start + 1)
            start = token.map[1]
    yield from text_cells(page, lines[start:], start + 1)
    if page.cited:
        raise SourceError(len(lines), "citations need a {footbibliography} after them")


def text_cells(page: Page, lines: list[str], line: int) -> Iterator[dict[str, Any]]:
    if text := convert(page, "\n".join(lines), line):
        yield markdown_cell(text)


def run_cells(page: Page, cell: Directive, line: int) -> Iterator[dict[str, Any]]:
    """A code cell, folded if the site folds it, and below it the caption of its figure."""
    tags = cell.options.get("tags", [])
    if cell.argument != "ipython3" or not isinstance(tags, list):
        raise SourceError(line, "a code cell starts ```{code-cell} ipython3, :tags: is a [list]")
    refuse_others(tags, TAGS, "tag", line)
    if "solution" in tags and not page.solutions:
        return
    metadata: dict[str, Any] = {"tags": tags} if tags else {}
    source = cell.body.strip("\n")
    if not FOLDED.isdisjoint(tags):
        metadata |= FORM
        title = next((TITLES[tag] for tag in TITLES if tag in tags), "Code")
        source = f"# @title {title}\n{source}"
    yield code_cell(source, metadata)
    if caption := cell.options.get("mystnb", {}).get("figure", {}).get("caption"):
        yield markdown_cell(f"*{page.inline(str(caption).strip(), line)}*")


def markdown_cell(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def code_cell(source: str, metadata: dict[str, Any]) -> dict[str, Any]:
    cell = {"cell_type": "code", "metadata": metadata, "source": source}
    return cell | {"execution_count": None, "outputs": []}


def notebook_bytes(name: str, cells: list[dict[str, Any]]) -> bytes:
    for position, cell in enumerate(cells):
        content = f"{position}\n{cell['cell_type']}\n{cell['source']}"
        cell["id"] = hashlib.sha256(content.encode()).hexdigest()[:12]
        cell["source"] = cell["source"].splitlines(keepends=True)
    metadata = {
        "colab": {"name": f"{name}.ipynb", "toc_visible": True},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def differences(notebooks: dict[str, bytes], folder: Path) -> dict[str, str]:
    """Says of each file that is not as it should be whether it is missing, stale or orphaned."""
    found = {path.name: path.read_bytes() for path in folder.glob("*.ipynb")}
    states = dict.fromkeys(found.keys() - notebooks.keys(), "orphaned")
    for name, content in notebooks.items():
        if found.get(name) != content:
            states[name] = "stale" if name in found else "missing"
    return dict(sorted(states.items()))


def mend(folder: Path, notebooks: dict[str, bytes], states: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, state in states.items():
        if state == "orphaned":
            (folder / name).unlink()
        else:
            beside = folder / f".{name}.part"
            beside.write_bytes(notebooks[name])
            os.replace(beside, folder / name)


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Writes what is not current, or says so with --check; returns the exit status."""
    parser = argparse.ArgumentParser(prog="notebooks.py")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if not current")
    parser.add_argument(
        "--without-solutions", metavar="FOLDER", type=Path, help="write notebooks to hand out there"
    )
    given = parser.parse_args(arguments)
    check, handouts = given.check, given.without_solutions
    try:
        notebooks = generate(root, solutions=handouts is None)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    folder = handouts or root / "chapters"
    states = differences(notebooks, folder)
    if handouts:
        states = {name: state for name, state in states.items() if state != "orphaned"}
    if not check:
        mend(folder, notebooks, states)
    for name, state in states.items():
        done = "run: make notebooks" if check else "removed" if state == "orphaned" else "written"
        print(f"{folder.name}/{name}: {state}; {done}")
    return int(check and bool(states))


if __name__ == "__main__":
    sys.exit(main())
