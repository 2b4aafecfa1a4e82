"""How chapters are executed and shown: cache, environment of the kernel, folded solutions."""

import hashlib
import os
import platform
import re
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

from .project import ROOT

CACHES = ROOT / "book/_build/.jupyter_cache"
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "matplotlib", "jupyter-book")


def versions() -> dict[str, str]:
    return {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def code_hash() -> str:
    digest = hashlib.sha256(repr(versions()).encode())
    sources = [p for p in (ROOT / "src").rglob("*") if p.suffix in {".py", ".html"}]
    records = (ROOT / "results").rglob("*.json")
    for path in sorted([*sources, *records, ROOT / "pyproject.toml"]):
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


# What the kernels inherit. No progress bars: they have no place in a finished page. One thread:
# the networks are too small for more, and threads that wait for each other on a busy machine make
# them many times slower; results then do not depend on the number of cores either.
KERNEL_ENVIRONMENT = {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}


def use_cache_of_this_code(app: Sphinx, config: Config) -> None:
    os.environ.update(KERNEL_ENVIRONMENT)
    # A change under src/, a new record, a new release of PyTorch: every chapter is executed again.
    cache = CACHES / code_hash()
    cache.mkdir(parents=True, exist_ok=True)
    os.utime(cache)
    drop_stale(CACHES)
    config.nb_execution_cache_path = str(cache)


def drop_stale(caches: Path, kept: int = 2) -> None:
    """Keeps the caches used last: this one, and one to go back to."""
    found = [path for path in caches.iterdir() if re.fullmatch(r"[0-9a-f]{16}", path.name)]
    for stale in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[kept:]:
        shutil.rmtree(stale)


def fold_solutions(app: Sphinx, doctree: nodes.document) -> None:
    for cell in doctree.findall(nodes.container):
        if "tag_solution" in cell["classes"]:
            cell.setdefault("hide_mode", "input")
            cell["prompt_show"], cell["prompt_hide"] = "Show the solution", "Hide the solution"


def end_with_the_cause(app: Sphinx, error: Exception | None) -> None:
    """Say what is wrong with the book last, and not above Jupyter Book's own tracebacks."""
    if isinstance(error, ExtensionError) and not error.orig_exc:
        sys.exit(str(error))


def setup(app: Sphinx) -> None:
    app.connect("config-inited", use_cache_of_this_code, priority=400)
    app.connect("doctree-read", fold_solutions)
    app.connect("build-finished", end_with_the_cause, priority=900)
