"""`make chapter`: what it lays out passes every quick test, and it never writes over anything."""

import ast
import os
import re
import shutil
import subprocess
import sys

import pytest
from l2g_book import form, new_chapter, notebooks, readme
from l2g_book.project import ROOT, chapter_sources, chapters

STANDING = {path.stem for path in chapter_sources()}
PLANNED = [chapter for chapter in chapters() if chapter["name"] not in STANDING]
pytestmark = pytest.mark.skipif(not PLANNED, reason="every chapter of the plan stands")
BUILT = shutil.ignore_patterns("_build", "__pycache__", "*.pyc")


@pytest.fixture
def course(tmp_path):
    """The plan and the folders that a chapter is written to."""
    for name in ("book", "src/l2g/exercises"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("pyproject.toml", "book/course.yml", "book/references.bib", "book/notation.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "book/ledger.md").write_text("# Ledger\n")
    return tmp_path


def number(chapter):
    return int(chapter["name"][:2])


@pytest.mark.parametrize("chapter", PLANNED, ids=lambda chapter: chapter["name"])
def test_every_planned_chapter_is_laid_out_in_the_form(course, chapter):
    page, exercises = new_chapter.lay_out(number(chapter), course)
    assert page == course / f"book/{chapter['name']}.md"
    text = page.read_text(encoding="utf-8")
    assert f"\n# {number(chapter)} · {chapter['title']}\n" in text
    assert chapter["question"] in text
    assert "{{" not in text + exercises.read_text(encoding="utf-8")
    assert form.faults(form.measure(text)) == []
    assert list(notebooks.generate(course)) == [f"{chapter['name']}.ipynb"]
    ast.parse(exercises.read_text(encoding="utf-8"))


def test_two_chapters_share_no_label(course):
    for chapter in PLANNED[:2]:
        new_chapter.lay_out(number(chapter), course)
    assert len(notebooks.generate(course)) == 2


def test_box_names_what_comes_before(course):
    plan = course / "book/course.yml"
    text = plan.read_text(encoding="utf-8")
    name = PLANNED[-1]["name"]
    plan.write_text(text.replace(f"name: {name},", f"name: {name}, needs: [1, 6],"), "utf-8")
    page, _ = new_chapter.lay_out(number(PLANNED[-1]), course)
    box = re.search(r"\*\*You need:\*\*.*", page.read_text(encoding="utf-8"))[0]
    assert re.findall(r"\((\d\d)_\w+\.md\)", box) == ["01", "06"]


@pytest.mark.parametrize("standing", ["book/{name}.md", "src/l2g/exercises/ch{name:.2}.py"])
def test_nothing_is_written_over(course, capsys, standing):
    name = PLANNED[0]["name"]
    there = course / standing.format(name=name)
    there.write_text("mine")
    before = sorted(course.rglob("*"))
    assert new_chapter.main([name[:2]], course) == 1
    said = f"{there.relative_to(course)} stands already; nothing was written\n"
    assert capsys.readouterr().err == said
    assert there.read_text() == "mine"
    assert sorted(course.rglob("*")) == before


def test_unknown_chapter_is_named(course, capsys):
    assert new_chapter.main(["99"], course) == 1
    said = "N must be a chapter of book/course.yml, got 99; add a line there\n"
    assert capsys.readouterr().err == said
    with pytest.raises(SystemExit):
        new_chapter.main([""], course)
    assert "make chapter N=...: error: argument number" in capsys.readouterr().err


# ---- the tests, on a copy of the course with one chapter more


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the course with the first planned chapter, its notebook and its line in README."""
    root = tmp_path_factory.mktemp("copy")
    for folder in ("book", "src", "tests", "chapters"):
        shutil.copytree(ROOT / folder, root / folder, ignore=BUILT)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, root / path.name)
    (root / "results").symlink_to(ROOT / "results")
    new_chapter.lay_out(number(PLANNED[0]), root)
    assert (notebooks.main([], root), readme.main([], root)) == (0, 0)
    return root


def run(root, *command):
    """Runs Python in the copy, with the copy's package; returns what it prints."""
    env = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    env |= {"MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, *command], cwd=root, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_checks_pass(copy, capsys):
    assert notebooks.main(["--check"], copy) == 0
    assert readme.main(["--check"], copy) == 0
    assert form.main(copy) == 0
    pytest.importorskip("ruff", reason="ruff is not installed")
    for command in (["check"], ["format", "--check"]):
        run(copy, "-m", "ruff", *command, "--no-cache", "src/l2g/exercises")
    assert PLANNED[0]["name"] in capsys.readouterr().out


EXECUTE = """
import json, sys
cells = json.load(open(sys.argv[1], encoding="utf-8"))["cells"]
names = {}
for cell in cells:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), names)
"""


def test_its_notebook_runs_and_its_claims_hold(copy):
    out = run(copy, "-c", EXECUTE, f"chapters/{PLANNED[0]['name']}.ipynb")
    assert re.findall("^✓ (\\w+)", out, re.MULTILINE) == ["Ours", "Answer", "Verdict"]
    assert "○ standard_errors" in out  # not started; its solution is checked in silence


def test_quick_tests_pass(copy):
    names = ("form", "appendices", "exercises", "prose", "uses")
    files = [f"tests/test_{name}.py" for name in names]
    about = [PLANNED[0]["name"], f"[{number(PLANNED[0])}]", "standard_errors"]
    about += ["first_edition", "contents", "plans", "reference_has", "executes"]
    chosen = " or ".join(about)
    out = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", chosen)
    assert int(re.search(r"(\d+) passed", out)[1]) > 30
