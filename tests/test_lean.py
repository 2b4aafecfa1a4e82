"""What the site leaves out: rules that no page uses, and digits of figures that nobody sees."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from l2g_book import lean
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

USED = {"box", "title", "sm:wide", "main", "a"}


@pytest.mark.parametrize(
    "rule",
    [
        ".box{color:red}",
        "p,.gone{color:red}",
        '.box .title:hover>a::before{content:".gone{}"}',
        ".box:not(.gone, :is(.gone)){color:red}",
        'a[href$=".gone"]{color:red}',
        "#main{color:red}",
        r".sm\:wide{color:red}",
        "@font-face{font-family:X;src:url(x.gone)}",
        "@media (width>9px){.box{color:red}}",
        "@keyframes gone{0%{top:0}to{top:1px}}",
        '@import "x.css";',
        ":root{--gone:1}",
    ],
)
def test_rule_that_may_apply_stays_as_it_is(rule):
    assert lean.prune(rule, USED) == rule
    assert lean.prune(f".gone{{}}{rule}.gone{{}}", USED) == rule


@pytest.mark.parametrize(
    ("css", "left"),
    [
        (".gone{color:red}", ""),
        (".box.gone{color:red}", ""),
        (".box .gone,#gone p{color:red}", ""),
        ("@media print{.gone{color:red}}", ""),
        ("@media print{.gone{color:red}.box{color:red}}", "@media print{.box{color:red}}"),
        ("/*! licence */.gone{color:red}", "/*! licence */"),
        ("/* {remark} */.box{color:red}", ".box{color:red}"),
    ],
)
def test_rule_that_cannot_apply_goes(css, left):
    assert lean.prune(css, USED) == left


def test_words_are_those_of_the_pages_and_their_scripts(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "part").mkdir()
    (tmp_path / "a.html").write_text(
        '<p class="box"><script defer src="_static/a.js?v=1"></script>'
    )
    (tmp_path / "part/b.html").write_text(
        '<p class="in-part"><script src="../_static/a.js"></script>'
    )
    (tmp_path / "_static/a.js").write_text('element.classList.add("is-open")')
    (tmp_path / "_static/b.js").write_text("unused")
    (tmp_path / "_static/b.html").write_text("<p class='template'>")
    found = lean.words(tmp_path)
    assert {"box", "in-part", "is-open"} <= found
    assert found.isdisjoint({"unused", "template"})


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        ("12.345678", "12.35"),
        ("-12.3", "-12.3"),
        ("7.0004", "7"),
        ("1.234e-05", "0"),
        ("scale(0.015625)", "scale(0.015625)"),
        ("translate(1.23456 7.891)", "translate(1.23 7.89)"),
    ],
)
def test_figure_keeps_two_digits_but_every_scale(number, kept):
    assert lean.NUMBER.sub(lean.rounded, number) == kept


# ---- without it

PAGES = {
    "index": "# A book\n\n```{toctree}\none\ntwo\n```\n",
    "one": "# One\n\nSee [two](two.md).\n\n```python\nx = (1, 2)\n```\n\n![A dot](dot.svg)\n",
    "two": "# Two\n\n## Part\n\n:::{note}\nBack to [one](one.md), [away](https://a.org).\n:::\n",
}
DOT = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><circle r="1.23456"/></svg>'


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A small book in the theme of the course, with all that the theme brings and without."""

    def build(is_lean):
        folder = tmp_path_factory.mktemp("lean" if is_lean else "whole")
        for name, text in PAGES.items():
            (folder / f"{name}.md").write_text(text)
        (folder / "dot.svg").write_text(DOT)
        settings = {
            "extensions": ["myst_parser", "sphinx_book_theme", "l2g_book.sharing", "l2g_book.lean"],
            "myst_enable_extensions": ["colon_fence"],
            "html_theme": "sphinx_book_theme",
            "l2g_lean": is_lean,
        }
        folders = (folder, None, folder / "html", folder / "trees", "html")
        with patch_docutils(), docutils_namespace():
            Sphinx(*folders, confoverrides=settings, status=None, warningiserror=True).build()
        return folder / "html"

    return build(True), build(False)


def soup(folder, name):
    return BeautifulSoup((folder / f"{name}.html").read_text("utf-8"), "html.parser")


@pytest.mark.parametrize("name", [*PAGES, "search", "404"])
def test_page_says_and_links_the_same_without_it(built, name):
    slim, whole = (soup(folder, name) for folder in built)
    for page in (slim, whole):
        for script in page(["script", "style"]):
            script.decompose()
    assert slim.body.get_text().split() == whole.body.get_text().split()
    assert [a["href"] for a in slim("a", href=True)] == [a["href"] for a in whole("a", href=True)]
    assert [i["alt"] for i in slim("img")] == [i["alt"] for i in whole("img")]


@pytest.mark.parametrize("name", PAGES)
def test_page_without_it_has_what_the_theme_brings(built, name):
    """Every file that it names is there, style sheets and fonts are as the theme ships them."""
    slim, whole = (soup(folder, name) for folder in built)
    for page, folder in zip((slim, whole), built, strict=True):
        names = [tag["src"] for tag in page("script", src=True)]
        names += [tag["href"] for tag in page("link", rel="stylesheet")]
        assert [n for n in names if not (folder / n.partition("?")[0]).exists()] == []
    theme = "_static/styles/pydata-sphinx-theme.css"
    slim_css, whole_css = (folder / theme for folder in built)
    package = Path(find_spec("pydata_sphinx_theme").origin).parent
    shipped = package / "theme/pydata_sphinx_theme/static/styles/pydata-sphinx-theme.css"
    assert whole_css.read_bytes() == shipped.read_bytes()
    assert slim_css.stat().st_size < whole_css.stat().st_size / 2
    scripts = [[tag["src"] for tag in page("script", src=True)] for page in (slim, whole)]
    assert len([s for s in scripts[0] if "bootstrap" in s]) == 0
    assert [s for s in scripts[1] if "bootstrap" in s]
    assert any("print.js" in s for s in scripts[1])
