"""Where results lie: each page has a cache for each state of the code that it depends on."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jupyter_cache import get_cache
from jupyter_cache.base import JupyterCacheAbstract
from myst_nb.core.config import NbParserConfig
from myst_nb.core.read import create_nb_reader
from myst_parser.config.main import MdParserConfig
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from .execution import CACHES, versions
from .project import ROOT
from .uses import Package, digest

STATE = "l2g_state"  # in a page's metadata: the state of the code that its results are of


class Page(NamedTuple):
    """A page with code: its name, its source and, as soon as it is executed, its outputs."""

    name: str
    path: Path
    notebook: Any

    @property
    def cells(self) -> list[str]:
        return [cell.source for cell in self.notebook.cells if cell.cell_type == "code"]

    def code(self) -> str:
        """A hash of its own code."""
        return hashed("\0".join(self.cells))

    def package(self, package: Package) -> str:
        """A hash of the files of the package that its code uses."""
        return hashed(digest(package.files(self.cells), ROOT))

    def state(self, package: Package) -> str:
        """A hash of what its results depend on beside its own code."""
        return hashed(f"{versions()}{digest(package.files(self.cells), ROOT)}")


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def pages_with_code(env: BuildEnvironment, names: Iterable[str]) -> Iterator[Page]:
    config = env.myst_config, env.mystnb_config  # type: ignore[attr-defined]
    for name in names:
        if page := read_page(Path(env.doc2path(name)), *config):
            yield page


def read_page(path: Path, *config: Any) -> Page | None:
    """Returns a page with code; None if it has none."""
    text = path.read_text(encoding="utf-8")
    reader = create_nb_reader(str(path), *(config or (MdParserConfig(), NbParserConfig())), text)
    return Page(path.stem, path, reader.read(text)) if reader else None


def whole_package() -> Package:
    return Package(ROOT / "src/l2g", ROOT / "results")


def is_cached(cache: JupyterCacheAbstract, notebook: Any) -> bool:
    try:
        cache.merge_match_into_notebook(notebook)
    except KeyError:  # also where an interrupted build has left a record without its notebook
        return False
    return True


class Caches:
    """The caches of the pages as they stand when Sphinx looks for what is outdated."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}

    def find_outdated(
        self, app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set
    ) -> list[str]:
        """Names the pages whose results are of another state of the package."""
        package = whole_package()
        pages = pages_with_code(env, env.found_docs)
        self.states = {page.name: page.state(package) for page in pages}
        known = {name: env.metadata.get(name, {}).get(STATE) for name in self.states}
        return [name for name, state in self.states.items() if known[name] != state]

    def lead_to(self, app: Sphinx, name: str, source: list[str]) -> None:
        """Lets Sphinx, which is about to read a page, find its results."""
        if name in self.states:
            path = str(self.folder(name))
            env: Any = app.env
            env.mystnb_config = env.mystnb_config.copy(execution_cache_path=path)
            env.metadata[name][STATE] = self.states[name]

    def open(self, name: str) -> JupyterCacheAbstract:
        """Returns the cache of a page, which counts as used now; older ones make room."""
        folder = self.folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        drop_stale(folder.parent)
        return get_cache(str(folder))

    def folder(self, name: str) -> Path:
        return CACHES / name / self.states[name]


def drop_stale(caches: Path, kept: int = 2) -> None:
    """Keeps the caches used last: this one, and one to go back to."""
    found = sorted(caches.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for stale in found[kept:]:
        shutil.rmtree(stale)
