"""What a reader downloads: every page, with all it loads, compressed as a server would."""

import gzip
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from built import LOAD_IMAGES, NEEDS_SITE, PAGES, SITE
from fontTools.ttLib import TTFont

pytestmark = NEEDS_SITE
LIMIT = 350  # KB
THEME = SITE / "_static/styles/pydata-sphinx-theme.css"
PACKAGE = "pydata_sphinx_theme"
COMPRESSED = {".png", ".woff", ".woff2"}
KINDS = ["document", "stylesheet", "script", "font", "image", "other"]
BLOCKING = """() => [...document.querySelectorAll("script[src]:not([defer], [async])")]
    .map(script => script.src)"""
ICONS = """() => [...document.querySelectorAll("[class*='fa-'], .admonition-title")].flatMap(e =>
    ["::before", "::after"].map(part => getComputedStyle(e, part).content.match(/^"(.)"$/)?.[1]))
    .filter(Boolean)"""

# Of the theme's rules as it comes, those that match an element now, but are not in `kept`.
LOST = """([whole, kept]) => {
    const selectors = (css) => {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync(css);
        const rules = [...sheet.cssRules];
        return rules.flatMap(rule => [rule, ...rule.cssRules ?? []])
            .map(rule => rule.selectorText).filter(Boolean);
    };
    const left = new Set(selectors(kept));
    const state = /::?[\\w-]+(?![\\w(-])/g;  // :hover, ::before
    const matches = (selector) => {
        try { return document.querySelector(selector.replace(state, "")); }
        catch { return false; }
    };
    return [...new Set(selectors(whole))].filter(s => !left.has(s) && matches(s));
}"""


def weight(path):
    data = path.read_bytes()
    return len(data if path.suffix in COMPRESSED else gzip.compress(data, 6)) / 1000


class Visit:
    """A first visit to a page: what is loaded at once, and what as the reader goes on."""

    def __init__(self, browser, name, style_sheets):
        self.name, self.files = name, {}
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("request", self.note)
        page.goto((SITE / name).as_uri(), wait_until="networkidle")
        page.evaluate("document.fonts.ready")  # a promise, which is awaited
        self.at_once = sum(self.kilobytes())
        self.blocking = page.evaluate(BLOCKING)
        self.icons = set(page.evaluate(ICONS))
        page.evaluate(LOAD_IMAGES)
        for button in page.locator("[data-bs-toggle=dropdown]").all():
            button.click()
        page.keyboard.press("Control+k")
        self.lost = page.evaluate(LOST, style_sheets)
        page.close()

    def note(self, request):
        address = urlsplit(request.url)
        if address.scheme == "file":
            self.files[Path(unquote(address.path))] = request.resource_type

    def kilobytes(self, kind=None):
        return [weight(path) for path, found in self.files.items() if kind in (None, found)]


@pytest.fixture(scope="module")
def style_sheets():
    """The theme's as it comes, and as it is served."""
    package = Path(find_spec(PACKAGE).origin).parent
    whole = package / "theme" / PACKAGE / "static/styles" / THEME.name
    return [css.read_text(encoding="utf-8") for css in (whole, THEME)]


@pytest.fixture(scope="module")
def visits(browser, style_sheets):
    return [Visit(browser, name, style_sheets) for name in PAGES]


def test_no_page_weighs_more_than_the_limit(visits, capsys):
    lines = [f"{'KB compressed':28}{'at once':>9}{'all':>9}" + "".join(f"{k:>11}" for k in KINDS)]
    for visit in visits:
        parts = "".join(f"{sum(visit.kilobytes(kind)):11.0f}" for kind in KINDS)
        whole = sum(visit.kilobytes())
        lines.append(f"{visit.name:28}{visit.at_once:9.0f}{whole:9.0f}{parts}")
    with capsys.disabled():
        print("", *lines, sep="\n")
    assert {visit.name: sum(visit.kilobytes()) for visit in visits if visit.at_once > LIMIT} == {}


def test_no_script_holds_up_the_first_picture(visits):
    """But on the search page, whose own scripts need the others at once."""
    assert {v.name: v.blocking for v in visits if v.name != "search.html" and v.blocking} == {}


def test_no_element_has_lost_its_rules(visits, style_sheets):
    """Unused rules are cut off the theme; those that match an element must still be there."""
    whole, kept = map(len, style_sheets)
    assert kept < whole / 3
    assert {v.name: v.lost for v in visits if v.lost} == {}


def test_every_icon_is_in_the_fonts(visits):
    glyphs = {
        chr(code)
        for font in (SITE / "_static/vendor/fontawesome/webfonts").glob("*.woff")
        for code in TTFont(font).getBestCmap()
    }
    assert len(set().union(*(visit.icons for visit in visits))) > 10
    assert {v.name: v.icons - glyphs for v in visits if v.icons - glyphs} == {}
