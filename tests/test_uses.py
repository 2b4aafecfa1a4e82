"""Which pages are executed again when a file of the package changes: those whose code uses it."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book/_ext"))

from l2g_book.project import ROOT, chapter_sources
from l2g_book.uses import Package, digest

FILES = {
    "__init__.py": """
        from importlib import import_module
        HOMES = {"fit": "training", "check": "evidence", "Explorable": "explore"}
        def __getattr__(name): return import_module(f"l2g.{HOMES[name]}")
    """,
    "data.py": "import torch",
    "losses.py": "",
    "training.py": "from l2g.data import load",
    "evidence.py": "def check(name, f):\n    from l2g import exercises",
    "explore.py": "from importlib import resources",
    "layers/__init__.py": "from .dropout import Dropout",
    "layers/dropout.py": "from .. import losses",
    "layers/norm.py": "",
    "loader.py": "import importlib\nimportlib.import_module('l2g.data')",
    "study/__init__.py": "",
    "exercises/__init__.py": "import importlib, pkgutil\nimportlib.import_module('x')",
    "exercises/ch01.py": "from l2g.exercises import find\nEXERCISES = [Exercise(name='gap')]",
    "exercises/ch02.py": "import l2g.losses as losses\nEXERCISES = [Exercise('bias')]",
    "explorables/_frame.html": "",
    "explorables/one.html": "",
    "explorables/two.html": "",
}
TOP = {"__init__.py"}
EXERCISES = {*TOP, "evidence.py", "exercises/__init__.py"}
LAYERS = {*TOP, "layers/__init__.py", "layers/dropout.py", "losses.py"}
ONE_AND_TWO = {"explorables/one.html", "explorables/two.html"}
EXPLORE = {*TOP, "explore.py", "explorables/_frame.html"}
BOTH = {*EXERCISES, "exercises/ch01.py", "exercises/ch02.py", "losses.py"}


@pytest.fixture
def package(tmp_path):
    for path, text in FILES.items():
        file = tmp_path / "src/l2g" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(re.sub(r"^ {8}", "", text.strip("\n"), flags=re.MULTILINE))
    (tmp_path / "results/part").mkdir(parents=True)
    (tmp_path / "results/part/run.json").write_text("{}")
    return Package(tmp_path / "src/l2g", tmp_path / "results")


def used(package, *cells):
    found = [path.as_posix() for path in package.files(cells)]
    return {re.sub(f"^{package.folder.parents[1]}/(src/l2g/)?", "", path) for path in found}


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("import torch, l2github", set()),
        ("import l2g.losses as losses", {*TOP, "losses.py"}),
        ("from l2g import losses", {*TOP, "losses.py"}),
        ("from l2g.losses import softmax as s", {*TOP, "losses.py"}),
        ("def f():\n    from l2g import losses", {*TOP, "losses.py"}),
        ("from l2g import fit", {*TOP, "training.py", "data.py"}),
        ("from l2g.layers import Dropout", LAYERS),
        ("from l2g.layers import norm", {*LAYERS, "layers/norm.py"}),
        ("from l2g.layers.norm import mean", {*LAYERS, "layers/norm.py"}),
        ("model.eval()\nfrom l2g import losses", {*TOP, "losses.py"}),
        ("from l2g import check\ncheck('gap', f)", {*EXERCISES, "exercises/ch01.py"}),
        (
            "from l2g import check\ncheck('bias', f)",
            {*EXERCISES, "exercises/ch02.py", "losses.py"},
        ),
        ("from l2g import check\ncheck('gap', f); check('bias', g)", BOTH),
        ("from l2g import check\nfor n in names: check(n, f)", BOTH),
        ("from l2g import check\ncheck('gap', f); check(name, g)", BOTH),
        ("from l2g import check\ncheck('gap', f); check('unknown', f)", BOTH),
        ("from l2g import check as c\nc('gap', f)", BOTH),
        ("from l2g import evidence\nevidence.check('gap', f)", BOTH),
        ("from l2g import Explorable\nExplorable('one', x=1)", {*EXPLORE, "explorables/one.html"}),
        (
            "from l2g import Explorable\nExplorable(name)",
            {*EXPLORE, *ONE_AND_TWO},
        ),
        ("from l2g import explore\nexplore.live(draw, x=(0, 1))", {*TOP, "explore.py"}),
        ("from l2g import Explorable as E\nE('one')", {*EXPLORE, *ONE_AND_TWO}),
        ("from l2g import study", {*TOP, "study/__init__.py", "results/part/run.json"}),
    ],
)
def test_files_that_a_page_uses(package, code, files):
    assert used(package, code) == files


@pytest.mark.parametrize(
    "code",
    [
        "import l2g",
        "import l2g as course",
        "import l2g.losses",
        "from l2g import *",
        "from l2g.layers import *",
        "from l2g import nothing",
        "import importlib\nimportlib.import_module(name)",
        "from importlib import import_module as load",
        "__import__('l2g.losses')",
        "exec('import l2g')",
        "import subprocess",
        "!python -m l2g.study",
        "from l2g import loader",
    ],
)
def test_page_that_cannot_be_sure_uses_everything(package, code):
    assert package.files([code]) == package.everything
    assert len(package.everything) == len(FILES) + 1


def test_cells_are_read_together(package):
    assert used(package, "from l2g import losses", "from l2g import data") == {
        *TOP,
        "data.py",
        "losses.py",
    }


def test_digest_sees_names_and_contents(package):
    files = package.files(["from l2g import losses"])
    root = package.folder.parents[1]
    before = digest(files, root)
    assert digest(set(files), root) == before
    assert digest(package.files(["from l2g import data"]), root) != before
    (package.folder / "losses.py").write_text("x = 1")
    assert digest(files, root) != before


# ---- the course itself

REAL = Package(ROOT / "src/l2g", ROOT / "results")


def cells(path):
    found = re.findall(r"^```\{code-cell\}.*?\n(.*?)^```$", path.read_text("utf-8"), re.S | re.M)
    return [re.sub(r"^---\n.*?^---\n|^:[^\n]*\n", "", c, flags=re.S | re.M) for c in found]


USED = {int(path.stem[:2]): REAL.files(cells(path)) for path in chapter_sources()}
STANDING = set(USED)


def stale(changed):
    """The chapters that a change in one file, or in one module, executes again."""
    path = REAL.file(changed) or ROOT / changed
    return {number for number, files in USED.items() if path in files}


@pytest.mark.parametrize(
    ("changed", "executed", "spared"),
    [
        ("l2g.layers.normalization", {18}, {6, 9, 10, 11, 12}),
        ("l2g.exercises.ch06", {6}, STANDING - {6}),
        ("src/l2g/explorables/softmax_lab.html", {6}, STANDING - {6}),
        ("src/l2g/explorables/_frame.html", {6, 9, 10, 11, 12}, set()),
        ("l2g.study.records", {19}, STANDING - {19}),
        ("results/README.md", set(), STANDING),
        ("l2g.evidence", STANDING, set()),
        ("l2g.losses", {6, 9, 10, 11, 12, 18}, set()),
    ],
)
def test_change_in_the_package_executes_the_chapters_that_use_it(changed, executed, spared):
    found = stale(changed)
    assert executed & STANDING <= found
    assert found.isdisjoint(spared)


def test_new_record_executes_chapter_19_only():
    record = next(iter(sorted(REAL.recorded)))
    assert stale(record.relative_to(ROOT).as_posix()) == {19}


def test_no_chapter_falls_back_to_everything():
    assert [number for number, files in USED.items() if files == REAL.everything] == []
