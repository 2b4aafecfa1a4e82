"""The form of chapters: what is measured, what is refused, and which chapters are still to move."""

import pytest
from l2g_book import form, readme
from l2g_book.project import ROOT, chapter_sources, chapters, course
from sphinx.util.matching import patmatch
from sphinx_external_toc.parsing import parse_toc_yaml

SOURCES = {path.stem: path for path in chapter_sources()}
# Written in the form of the first edition. None is added; one leaves with its mark in course.yml.
FIRST_EDITION = {"01_generalization", "02_bias_variance", "06_cross_entropy"}
FIRST_EDITION |= {"09_gradient_descent", "10_momentum", "11_adaptive", "12_schedules"}
FIRST_EDITION |= {"18_batchnorm", "19_regularization_study"}
MARKED = {chapter["name"] for chapter in chapters() if "edition" in chapter}


# ---- the chapters


def test_first_edition_only_shrinks():
    assert MARKED <= FIRST_EDITION
    assert {chapter["edition"] for chapter in chapters() if "edition" in chapter} <= {1}


@pytest.mark.parametrize("name", SOURCES)
def test_chapter_is_in_the_form_unless_it_is_marked(name):
    found = form.faults(form.measure(SOURCES[name].read_text(encoding="utf-8")))
    if name in MARKED:
        assert found, "it is in the form: take edition: 1 off its line in book/course.yml"
    else:
        assert found == []


def test_every_chapter_of_the_plan_has_its_place_in_the_contents():
    toc = parse_toc_yaml(ROOT / "book/_toc.yml")
    trees = {tree.caption: list(map(str, tree.items)) for tree in toc.root.subtrees}
    patterns = [pattern for items in trees.values() for pattern in items]
    for part in course():
        for chapter in part["chapters"]:
            first = next(pattern for pattern in patterns if patmatch(chapter["name"], pattern))
            assert first in trees[part["part"]], chapter


# ---- the line in the README


def plan(root, standing, planned=21):
    (root / "book").mkdir()
    lines = "".join(f"  - {{name: {n:02}_x}}\n" for n in range(1, planned + 1))
    (root / "book/course.yml").write_text(f"- part: One\n  chapters:\n{lines}")
    for number in standing:
        (root / f"book/{number:02}_x.md").write_text("")


@pytest.mark.parametrize(
    ("standing", "sentence"),
    [
        ([], "Of 21 chapters, 0 stand: none yet."),
        ([4], "Of 21 chapters, 1 stands: 4."),
        ([1, 2], "Of 21 chapters, 2 stand: 1 and 2."),
        ([1, 2, 6, 9, 10, 11, 21], "Of 21 chapters, 7 stand: 1, 2, 6, 9–11 and 21."),
        (range(1, 22), "Of 21 chapters, 21 stand: 1–21."),
    ],
)
def test_readme_counts_the_chapters(tmp_path, capsys, standing, sentence):
    plan(tmp_path, standing)
    path = tmp_path / "README.md"
    path.write_text("# L\n\nOf 21 chapters, 2 stand: 5 and 6.\nMore.\n", encoding="utf-8")
    assert readme.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().out == "README.md: stale; run: make notebooks\n"
    assert "5 and 6" in path.read_text(encoding="utf-8")
    assert readme.main([], tmp_path) == 0
    assert path.read_text(encoding="utf-8") == f"# L\n\n{sentence}\nMore.\n"
    assert readme.main(["--check"], tmp_path) == 0


def test_our_readme_has_the_sentence_and_a_fork_needs_none(tmp_path):
    assert readme.sentence() in (ROOT / "README.md").read_text(encoding="utf-8").split("\n")
    plan(tmp_path, [1])
    assert readme.main([], tmp_path) == 0
    assert not (tmp_path / "README.md").exists()
