"""Predictions and beliefs: what closes them, and what a reader's browser remembers."""

import html
import json
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from built import ROOT
from l2g_book import misconceptions
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import docutils_namespace, patch_docutils

PREDICT = """
:::{predict} start-loss
How large is the loss of $K$ classes?

- about 0
- about $\\ln K$, as “all” are alike
- more
:::
"""
OPEN = "\n:::{predict} open\nWhich way?\n:::\n"
BELIEF = """
:::{belief} sigmoid
“A sigmoid makes the *outputs*
proper.”

How low can the loss go?

- as low as before
- not below 3 nats
:::
"""


def closed(kind, of, **more):
    record = {"kind": kind, "of": of, "sentence": "3 < 4, *so*.", **more}
    data = html.escape(json.dumps(record, ensure_ascii=False))
    box = f'<div class="l2g-claim l2g-{kind}" data-claim="{data}">✓ 3 &lt; 4</div>'
    return f"\n```{{raw}} html\n{box}\n```\n"


ANSWERS = closed("answer", "start-loss") + closed("answer", "open")
VERDICT = closed("verdict", "sigmoid", judgement="half true")
CHAPTER = f"# One\n{PREDICT}{OPEN}{BELIEF}\n{'Text. ' * 2000}\n{ANSWERS}{VERDICT}"


def build(folder, chapter):
    """Builds a book with one chapter and the index; returns its folder and the warnings."""
    book = folder / "book"
    book.mkdir()
    (book / "01_generalization.md").write_text(chapter, encoding="utf-8")
    (book / "misconceptions.md").write_text("# Index\n\n```{misconceptions}\n```\n")
    (book / "index.md").write_text("# Book\n\n```{toctree}\n:glob:\n\n*\n```\n")
    settings = {
        "extensions": ["myst_parser", *(f"l2g_book.{part}" for part in PARTS)],
        "myst_enable_extensions": ["colon_fence", "dollarmath"],
        "html_static_path": [str(ROOT / "book/_ext/l2g_book/static"), str(ROOT / "book/_static")],
        "html_css_files": ["l2g.css"],
        "html_math_renderer": "katex",
    }
    with pytest.MonkeyPatch.context() as patch, patch_docutils(), docutils_namespace():
        patch.setattr(misconceptions, "chapter_sources", lambda: [book / "01_generalization.md"])
        with (folder / "warnings").open("w+") as stream:
            folders = (book, None, folder / "html", folder / "trees", "html")
            Sphinx(*folders, confoverrides=settings, status=None, warning=stream).build()
    pages = {path.stem: path.read_text("utf-8") for path in (folder / "html").glob("*.html")}
    trees = {name: BeautifulSoup(text, "html.parser") for name, text in pages.items()}
    return SimpleNamespace(
        chapter=trees.get("01_generalization"),
        index=trees.get("misconceptions"),
        address=(folder / "html/01_generalization.html").as_uri(),
        warnings=(folder / "warnings").read_text(),
    )


PARTS = ("questions", "misconceptions", "katex")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    built = build(tmp_path_factory.mktemp("questions"), CHAPTER)
    assert built.warnings == ""
    return built


# ---- what the build makes of them


def test_questions_are_boxes_with_choices(built):
    boxes = built.chapter.select(".admonition.l2g-question")
    assert [box["id"] for box in boxes] == ["predict-start-loss", "predict-open", "belief-sigmoid"]
    assert [box.p.get_text() for box in boxes] == ["Predict", "Predict", "Belief"]
    assert [len(box.select(".l2g-options input[type=radio]")) for box in boxes] == [3, 0, 2]
    group = boxes[0].select_one("[role=radiogroup]")
    assert group["aria-label"]
    assert {radio["name"] for radio in group("input")} == {"start-loss"}
    assert len({radio["value"] for radio in group("input")}) == 3
    assert boxes[2].select_one(".l2g-belief").get_text().startswith("“A sigmoid makes")


def test_index_lists_a_belief_with_its_verdict(built):
    (item,) = built.index.select(".l2g-beliefs li")
    assert item.a.get_text() == "“A sigmoid makes the outputs proper.”"
    assert item.a["href"] == "01_generalization.html#belief-sigmoid"
    assert item.select_one(".l2g-judged").get_text() == "half true"
    assert item.get_text().endswith("3 < 4, so.")
    assert item.em.get_text() == "so"


@pytest.mark.parametrize(
    ("chapter", "message"),
    [
        (
            CHAPTER.replace(VERDICT, ""),
            r"01_generalization: no verdict\('sigmoid', ...\) closes it",
        ),
        (PREDICT + OPEN, r"no answer\('start-loss', ...\).*; no answer\('open', ...\) closes it"),
        (ANSWERS, r"answer\('start-loss', ...\) closes nothing; answer\('open', ...\) closes"),
        (CHAPTER + ANSWERS, r"answer\('open', ...\) closes nothing"),
        (CHAPTER + OPEN, "open is asked twice"),
        (
            OPEN + closed("verdict", "open", judgement="wrong"),
            r"no answer\('open'.*verdict\('open'",
        ),
    ],
)
def test_questions_and_answers_come_in_pairs(tmp_path, chapter, message):
    with pytest.raises(ExtensionError, match=message):
        build(tmp_path, f"# Wrong\n{chapter}")


@pytest.mark.parametrize(
    ("chapter", "message"),
    [
        (BELIEF.replace("“", "").replace("”", ""), "a belief starts with a paragraph in quotation"),
        (PREDICT.replace("start-loss", "Start_loss"), "a name is made of a-z"),
        (":::{predict} open\n:::", "{predict} open asks nothing"),
        (":::{predict} open\nWhy?\n\n- one\n:::", "{predict} open has two options or more"),
        (":::{predict} open\nWhy?\n\n- a\n\n  b\n- c\n:::", "{predict} open has two options or"),
    ],
)
def test_bad_question_is_named(tmp_path, chapter, message):
    assert message in build(tmp_path, f"# Wrong\n\n{chapter}").warnings


# ---- what a reader does


def said(page, name):
    """What the answer to a question repeats of the reader's choice, with its formulas rendered."""
    line = page.locator(f"[data-claim*='\"{name}\"'] .l2g-said")
    return " ".join(line.inner_text().split()) if line.count() else None


@pytest.mark.parametrize("viewport", [(1100, 800), (390, 800)])
def test_choice_is_remembered_and_repeated(page, built, viewport):
    page.goto(built.address)
    assert said(page, "start-loss") is None
    hint = page.locator("#predict-start-loss .l2g-hint:visible")
    assert hint.inner_text().startswith("Choose")
    page.get_by_text("as “all” are alike").click()
    assert hint.inner_text().startswith("Noted")
    radios = page.locator("#belief-sigmoid input")
    radios.first.focus()
    page.keyboard.press("Space")
    assert said(page, "sigmoid") == "You said: as low as before"
    page.keyboard.press("ArrowDown")
    page.reload()
    assert radios.last.is_checked()
    assert said(page, "sigmoid") == "You said: not below 3 nats"
    assert said(page, "start-loss").startswith("You said: about ln")
    assert page.locator(".l2g-said .katex").count() == 1
    assert said(page, "open") is None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_option_that_is_gone_is_not_remembered(page, built):
    page.goto(built.address)
    page.evaluate("localStorage.setItem('l2g:01_generalization:sigmoid', 'an older option')")
    page.reload()
    assert page.locator("input:checked").count() == 0
    assert said(page, "sigmoid") is None


def test_page_works_where_nothing_can_be_kept(page, built):
    page.add_init_script("""for (const method of ["getItem", "setItem"]) {
        const plain = Storage.prototype[method];
        Storage.prototype[method] = function (key, ...more) {
            if (key.startsWith("l2g:")) throw new DOMException("denied", "SecurityError");
            return plain.call(this, key, ...more);
        };
    }""")
    page.goto(built.address)
    page.get_by_text("not below 3 nats").click()
    assert said(page, "sigmoid") == "You said: not below 3 nats"


def test_without_scripts_the_options_are_a_list(browser, built):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(built.address)
        options = page.locator("#belief-sigmoid li")
        assert [option.is_visible() for option in options.all()] == [True, True]
        assert not page.locator("#belief-sigmoid input").first.is_visible()
