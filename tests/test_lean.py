"""What the site leaves out: rules that no page uses, and digits of figures that nobody sees."""

import pytest
from l2g_book import lean

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
