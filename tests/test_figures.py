"""Figures on the site: a phone gets the twin that was drawn for it, dark mode keeps heat maps."""

import zlib
from base64 import b64encode

import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

SVG = '<svg%s xmlns="http://www.w3.org/2000/svg" width="%s" height="%s"><g/></svg>\n'
TWIN = SVG % ("", 34, 60.123456)
COMMENT = f"<!--l2g-phone {b64encode(zlib.compress(TWIN.encode())).decode()}-->\n"
FIGURES = {
    "both": SVG % ("", 76, 32) + COMMENT,
    "map": SVG % (' class="l2g-keep-colours"', 76, 32) + COMMENT,
    "plain": SVG % ("", 76, 32),
}
SHARED = [f"l2g_book.{part}" for part in ("sharing", "figures", "lean")]
SETTINGS = {
    "extensions": ["myst_parser", "sphinx_book_theme", *SHARED],
    "html_theme": "sphinx_book_theme",
}


@pytest.fixture(scope="module", params=[True, False], ids=["lean", "whole"])
def site(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    for name, svg in FIGURES.items():
        (folder / f"{name}.svg").write_text(svg)
    text = "\n\n".join(f"![Alt of {name}]({name}.svg)" for name in FIGURES)
    (folder / "index.md").write_text(f"# Figures\n\n{text}\n")
    folders = (folder, None, folder / "html", folder / "trees", "html")
    settings = {**SETTINGS, "l2g_lean": request.param}
    for again in (False, True):  # read again, a page finds its figures without their twins
        with patch_docutils(), docutils_namespace():
            args = {"status": None, "warningiserror": True, "freshenv": again}
            Sphinx(*folders, confoverrides=settings, **args).build(force_all=again)
    return folder / "html"


def images(site):
    page = BeautifulSoup((site / "index.html").read_text("utf-8"), "html.parser")
    return {image["src"].split("/")[-1][:-4]: image for image in page.article("img")}


def test_a_narrow_screen_chooses_the_twin(site):
    found = images(site)
    assert {name: image.parent.name == "picture" for name, image in found.items()} == {
        "both": True,
        "map": True,
        "plain": False,
    }
    (source,) = found["both"].parent("source")
    assert source["media"] == "(max-width: 576px)"
    assert (source["width"], source["height"]) == ("34", "60")
    assert source["srcset"] == "_images/both-phone.svg"
    assert 'height="60.12' in (site / source["srcset"]).read_text()
    assert all(image["alt"] == f"Alt of {name}" for name, image in found.items())


def test_the_figure_itself_does_not_carry_it(site):
    for name, image in images(site).items():
        assert "l2g-phone" not in (site / image["src"]).read_text(), name


def test_heat_maps_are_marked_for_dark_mode(site):
    marked = {name: "l2g-keep-colours" in i.get("class", []) for name, i in images(site).items()}
    assert marked == {"both": False, "map": True, "plain": False}
