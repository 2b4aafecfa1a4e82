"""Reading: nothing jumps, search finds, strangers see a preview."""

import re
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from built import CHAPTERS, NEEDS_SITE, PHONE, SITE
from l2g_book import glossary
from l2g_book.project import chapters

pytestmark = NEEDS_SITE
WATCH = """() => {
    window.shift = 0;
    new PerformanceObserver(list => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
}"""
# Fonts that come late have come, and what they moved has been painted and noted.
SETTLE = """async () => {
    await document.fonts.ready;
    for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
}"""
SCROLL = """async () => {
    for (let y = 0; y < document.documentElement.scrollHeight; y += 600) {
        scrollTo(0, y);
        await new Promise(resolve => setTimeout(resolve, 30));
    }
}"""


def term(name):
    """What a reader may look for: a term that the glossary says this chapter explains.

    The longest one, since no other chapter is likely to use it; the title if there is none.
    """
    stem = name.removesuffix(".html")
    titles = {chapter["name"]: chapter["title"] for chapter in chapters()}
    home = [e["term"] for e in glossary.entries(glossary.SOURCE) if e["at"].startswith(stem)]
    return max(home or [titles[stem]], key=len)


@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", CHAPTERS)
def test_nothing_jumps(browser, name, screen):
    """Neither while the page loads at a quarter of the speed, nor while it is read to its end."""
    context = browser.new_context(**screen)
    page = context.new_page()
    page.add_init_script(f"({WATCH})()")
    slow = context.new_cdp_session(page)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    page.goto((SITE / name).as_uri(), wait_until="load")
    page.evaluate(SETTLE)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    page.evaluate(SCROLL)
    shift = page.evaluate("shift")
    context.close()
    assert shift < 0.1


@pytest.mark.parametrize("name", CHAPTERS)
def test_search_finds_a_term_of_every_chapter(browser, name):
    page = browser.new_page()
    page.goto((SITE / "search.html").as_uri() + f"?q={quote_plus(term(name))}")
    page.get_by_text("Search finished").wait_for()
    found = page.eval_on_selector_all(
        "#search-results li > a", "links => links.map(a => a.getAttribute('href').split('?')[0])"
    )
    page.close()
    pages = list(dict.fromkeys(re.sub(r".*/|#.*", "", href) for href in found))
    assert name in pages[:4], pages[:6]


def test_a_preview_for_messengers():
    html = (SITE / CHAPTERS[0]).read_text(encoding="utf-8")
    tags = dict(re.findall(r'<meta property="(og:\w+)" content="([^"]*)"', html))
    assert "Generalization" in tags["og:title"]
    assert len(tags["og:description"]) > 30
    assert tags["og:url"].endswith(f"/{CHAPTERS[0]}")
    image = (SITE / "_static" / Path(tags["og:image"]).name).read_bytes()
    width, height = (int.from_bytes(image[i : i + 4], "big") for i in (16, 20))  # PNG's header
    assert (width, height) == (1200, 630)
    assert len(image) < 100_000
    assert f'<link rel="canonical" href="{tags["og:url"]}"' in html


def test_a_missing_page_leads_back_from_any_depth():
    html = (SITE / "404.html").read_text(encoding="utf-8")
    links = re.findall(r'(?:href|src)="(?!data:)([^"]+)"', html)
    assert links
    site = re.search(r'"og:url" content="(.*)index.html"', (SITE / "index.html").read_text())[1]
    for link in links:
        assert link.startswith(site), link
        assert (SITE / link.removeprefix(site)).exists(), link
