"""How chapters are executed and shown: cache, environment of the kernel, folded solutions."""

import hashlib
import os

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from .project import ROOT


def package_hash() -> str:
    digest = hashlib.sha256()
    sources = [p for p in (ROOT / "src").rglob("*") if p.suffix in {".py", ".html"}]
    for path in sorted([*sources, ROOT / "pyproject.toml"]):
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


# What the kernels inherit. No progress bars: they have no place in a finished page. One thread:
# the networks are too small for more, and threads that wait for each other on a busy machine make
# them many times slower; results then do not depend on the number of cores either.
KERNEL_ENVIRONMENT = {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}


def use_cache_of_this_package(app: Sphinx, config: Config) -> None:
    os.environ.update(KERNEL_ENVIRONMENT)
    # A change under src/ must execute every chapter again.
    config.nb_execution_cache_path = str(ROOT / "book/_build/.jupyter_cache" / package_hash())


def name_solutions(app: Sphinx, doctree: nodes.document) -> None:
    for cell in doctree.findall(nodes.container):
        if "tag_solution" in cell["classes"]:
            cell["prompt_show"], cell["prompt_hide"] = "Show the solution", "Hide the solution"


def setup(app: Sphinx) -> None:
    app.connect("config-inited", use_cache_of_this_package, priority=400)
    app.connect("doctree-read", name_solutions)
