"""How chapters are executed and shown: environment of the kernel, folded cells."""

import os
import platform
import sys
from importlib.metadata import version

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

from .project import ROOT, git_ref, repository_url

CACHES = ROOT / "book/_build/.jupyter_cache"
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "matplotlib", "jupyter-book")


def versions() -> dict[str, str]:
    return {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


# What the kernels inherit. No progress bars and no sliders (l2g.labs): they have no place in a
# finished page. One thread: the networks are too small for more, and threads that wait for each
# other on a busy machine make them many times slower; results then do not depend on the number of
# cores either. Figures are drawn for phones, too. No record of solved exercises: it belongs to
# whoever builds the book.
KERNEL_ENVIRONMENT = {
    "TQDM_DISABLE": "1",
    "L2G_STATIC": "1",
    "L2G_PHONE": "1",
    "OMP_NUM_THREADS": "1",
    "L2G_HOME": "",
}


def prepare(app: Sphinx, config: Config) -> None:
    os.environ.update(KERNEL_ENVIRONMENT)
    config.nb_execution_cache_path = str(CACHES)
    config.l2g_surroundings = versions(), repository_url(), git_ref()


FOLDED = {"tag_solution": "the solution", "tag_claims": "the check"}


def fold_cells(app: Sphinx, doctree: nodes.document) -> None:
    """Solutions and claims are folded, and the bar says what it hides."""
    for cell in doctree.findall(nodes.container):
        for tag in FOLDED.keys() & set(cell["classes"]):
            cell.setdefault("hide_mode", "input")
            cell["prompt_show"], cell["prompt_hide"] = f"Show {FOLDED[tag]}", f"Hide {FOLDED[tag]}"


def end_with_the_cause(app: Sphinx, error: Exception | None) -> None:
    """Say what is wrong with the book last, and not above Jupyter Book's own tracebacks."""
    if isinstance(error, ExtensionError) and not error.orig_exc:
        sys.exit(str(error))


def setup(app: Sphinx) -> None:
    # A new release, or another address of the repository or tag: every page is read again.
    app.add_config_value("l2g_surroundings", None, "env", tuple)
    app.connect("config-inited", prepare, priority=400)
    app.connect("doctree-read", fold_cells)
    app.connect("build-finished", end_with_the_cause, priority=900)
