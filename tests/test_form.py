"""The form of chapters: what is measured, what is refused, and which chapters are still to move."""

import io

import pytest
from l2g_book import form, markdown, notebooks, readme, source
from l2g_book.page import ROLES, Page
from l2g_book.project import ROOT, chapter_sources, chapters, course
from l2g_book.source import SourceError
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils
from sphinx.util.matching import patmatch
from sphinx_external_toc.parsing import parse_toc_yaml

SOURCES = {path.stem: path for path in chapter_sources()}
# Written in the form of the first edition. None is added; one leaves with its mark in course.yml.
FIRST_EDITION = {"09_gradient_descent", "10_momentum", "11_adaptive", "12_schedules"}
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


# ---- what is measured and refused

CHAPTER = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3, language: python}
---
# 3 · A chapter

Four plain words here.

```{code-cell} ipython3
---
tags: [hide-input]
mystnb:
  image: {alt: "A line."}
---
pairs = [(a, b) for a in range(9) for b in range(9)]
```

:::{predict} scatter
How much less?

- half
- a quarter
:::

```{code-cell} ipython3
:tags: [hide-input]
Explorable("softmax_lab")
```

$$
a = b
$$ (eq:one)

```{code-cell} ipython3
# The mean of each row.

total = 0
for row in rows:
    total += row  # one at a time
```

```{code-cell} ipython3
:tags: [claims]
claim("it holds", total == 1)
answer("scatter", "half", True)
```

:::{belief} twice
“Twice as many.”

- yes
- no
:::

```{code-cell} ipython3
:tags: [claims]
verdict("twice", "wrong", "no", True)
```

:::{admonition} Going deeper: the proof
:class: dropdown

Words in a fold are not read by all.
:::

## Exercises

:::{admonition} Exercise 1 · build · 20 minutes · By hand
:class: exercise

Words of an exercise are not counted.
:::

EXERCISES
:::{admonition} Solution 2
:class: solution dropdown

Twelve.
:::

## Quiz

:::{quiz}
One?

- [x] Yes.

  Yes.
:::
"""
FIVE = "".join(
    f":::{{admonition}} Exercise {n} · derive · 10 minutes\n:class: exercise\n\nTwo.\n:::\n\n"
    for n in range(2, 7)
)
CHAPTER = CHAPTER.replace("EXERCISES\n", FIVE)


def test_what_is_measured():
    found = form.measure(CHAPTER)
    assert form.faults(found) == []
    assert found.words == 2 + 4 + 3 + 3 + 3 + 2
    assert (found.formulas, found.figures, found.played, found.quizzes) == (1, 1, 1, 1)
    assert [cell.length for cell in found.visible] == [3]
    assert (len(found.cells), len(found.exercises)) == (5, 6)
    assert (found.predictions, found.beliefs) == (["scatter"], ["twice"])
    assert found.folds == ["Going deeper: the proof"]
    assert (found.reading, found.exercising) == (3, 70)


def code(source, tags=""):
    return f"```{{code-cell}} ipython3\n{tags and f':tags: [{tags}]'}\n{source}\n```\n\n"


TWELVE = "total = 0\n" + "total += 1\n# not counted\n\n" * 11
FOLD = ":::{admonition} Going deeper: more\n:class: dropdown\n\nMore.\n:::\n\n"


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        (code(TWELVE) * 13, None),
        (code("1") * 14, "15 visible cells before the exercises, at most 14"),
        (code("1", "hide-input") * 14 + code("1", "stub"), None),
        (code(TWELVE + "1\n" * 28), None),
        (code(TWELVE + "1\n" * 29), "a visible cell of 41 lines, at most 40"),
        (code(TWELVE + "1") * 2, "a second cell of more than 12 lines (13)"),
        (code("list(map(f, x))"), "map(...) in a visible cell"),
        (code("a = list(zip(*rows))"), "zip(*...) in a visible cell"),
        (code("a = list(zip(x, y, strict=True))"), None),
        (code("a = dict(zip(x, y))"), "dict(zip(...)) in a visible cell"),
        (code("f = lambda x: x"), "lambda in a visible cell"),
        (code("a = [x for x in y for z in x]"), "two loops in one expression"),
        (code("a = [[z for z in x] for x in y]"), "two loops in one expression"),
        (code("a = x[0][..., 1]"), "x[...][..., i] in a visible cell"),
        (code("a = x[..., 1]"), None),
        (code("f = lambda x: x", "hide-input"), None),
        (code("this is no Python", "raises-exception"), None),
        (code('evidence.claim("x", True)'), "a claim in a cell without the tag claims"),
        (code('claim("x", True)', "hide-input"), "a claim in a cell without the tag claims"),
        (code('claim("x", True)', "solution, hide-cell"), None),
        (":::{predict} open\nWhat?\n:::\n\n", "the prediction open is never closed by answer"),
        (":::{belief} open\n“So.”\n\nWhat?\n:::\n\n", "the belief open is never closed by verdict"),
        (":::{admonition} “So”\n:class: misconception\n\nIs it?\n:::\n\n", ":class: misconception"),
        (":::{admonition} Predict\n:class: predict\n\nIs it?\n:::\n\n", ":class: predict"),
        ("*“So”*. **Verdict: wrong.**\n\n", "**Verdict: ...**"),
        (FOLD * 3, None),
        (FOLD * 4, "5 folds before the exercises, at most 4"),
        (FOLD.replace("Going deeper", "By the way"), "a fold titled 'By the way: more'"),
        ("word " * 3484 + "\n\n", "3501 words before the exercises, at most 3500"),
    ],
)
def test_what_is_refused(added, fault):
    found = form.faults(
        form.measure(CHAPTER.replace(":::{belief} twice", f"{added}:::{{belief}} twice"))
    )
    assert len(found) == (fault is not None), found
    assert fault is None or fault in found[0]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "· derive · 10 minutes",
            "· derive",
            "an exercise is titled: Exercise 1 · recall or apply",
        ),
        ("· derive · 10", "· ponder · 10", "an exercise is titled: Exercise 1 · recall or apply"),
        ("· build ·", "· apply ·", "no exercise of the kind build"),
        (FIVE[: len(FIVE) // 5], "", "5 exercises, 6 to 8 wanted"),
        ('answer("scatter", ', 'answer("other", ', "the prediction scatter is never closed"),
        (":::{quiz}", ":::{admonition} Quiz", "no quiz"),
    ],
)
def test_what_is_missing(old, new, fault):
    found = form.faults(form.measure(CHAPTER.replace(old, new, 1)))
    assert [text.startswith(fault) for text in found] == [True], found


def test_a_chapter_without_questions_is_no_chapter():
    found = form.faults(form.measure("# 3 · Empty\n\n## Exercises\n"))
    for what in ("no prediction", "no belief", "0 exercises", "no exercise of", "no quiz"):
        assert any(text.startswith(what) for text in found), what


@pytest.mark.parametrize(
    ("text", "edition", "status", "said"),
    [
        (CHAPTER, 2, 0, ""),
        (CHAPTER, 1, 1, "book/01_x.md is in the form: take edition: 1 off book/course.yml"),
        (CHAPTER + code("claim()"), 1, 0, ""),
        (CHAPTER + code("claim()"), 2, 1, "book/01_x.md: line 120: a claim in a cell without"),
    ],
)
def test_table_and_marks(tmp_path, capsys, text, edition, status, said):
    plan(tmp_path, [])
    path = tmp_path / "book/course.yml"
    path.write_text(path.read_text().replace("01_x}", f"01_x, edition: {edition}}}"))
    (tmp_path / "book/01_x.md").write_text(text, encoding="utf-8")
    assert form.main(tmp_path) == status
    head, row, _, rest = capsys.readouterr().out.split("\n", 3)
    cells = dict(zip(head.split(), row.split(), strict=True))
    assert cells["chapter"] == "01_x"
    assert (cells["words"], cells["exercises"], cells["practise"]) == ("17*", "6", "70")
    assert rest.strip().startswith(said)
    assert bool(rest.strip()) == bool(said)


# ---- the page that says so

STYLE = (ROOT / "STYLE.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "said",
    [
        f"{form.FEWEST_WORDS:,} to {form.MOST_WORDS:,} words",
        f"at most {form.LINES} lines without comments",
        f"one cell of up to {form.OBJECT}",
        f"At most {form.CELLS} cells are visible",
        "at most four folds titled *Going deeper*",
        "**Exercises**, six to eight",
        f"the kinds are {', '.join(form.KINDS[:-1])} and {form.KINDS[-1]}",
    ],
)
def test_style_says_what_is_measured(said):
    assert said in " ".join(STYLE.split())
    assert form.DEEPER == 4
    assert list(form.EXERCISES) == [6, 7, 8]


def test_style_lists_what_chapters_may_use():
    known = {f"{{{name}}}" for name in [*source.DIRECTIVES, *ROLES]}
    known |= {f"`{name}`" for name in [*notebooks.TAGS, *markdown.CLASSES]}
    known -= {"`predict`", "`misconception`"}  # boxes of the first edition
    assert {name for name in known if name not in STYLE} == set()


# ---- the minutes in the box


def test_minutes_stand_in_the_notebook():
    page = Page("03_x", "https://x/", frozenset(), {})
    page.survey(CHAPTER + "word " * 2600)
    said = page.inline("{minutes}`reading` to read, {minutes}`exercises` more", 1)
    assert said == "5 minutes to read, 70 minutes more"
    page = Page("03_x", "https://x/", frozenset(), {})
    page.survey(CHAPTER.replace("Four", "word " * 2600))
    assert page.inline("{minutes}`reading`", 1) == "25 minutes"
    with pytest.raises(SourceError, match="minutes of 'all'; known are reading and exercises"):
        page.inline("{minutes}`all`", 1)


def test_minutes_stand_on_the_site(tmp_path):
    (tmp_path / "index.md").write_text("# T\n\n{minutes}`reading`, {minutes}`all`\n")
    settings = {"extensions": ["myst_parser", "l2g_book.minutes"]}
    warnings = io.StringIO()
    with patch_docutils(), docutils_namespace():
        folders = (tmp_path, None, tmp_path / "out", tmp_path / "trees", "text")
        Sphinx(*folders, confoverrides=settings, status=None, warning=warnings).build()
    assert (tmp_path / "out/index.txt").read_text().startswith("T\n*\n\n5 minutes,")
    assert "index.md:3: ERROR: minutes of 'all'; known are reading" in warnings.getvalue()
