"""What axe-core finds on every page with everything unfolded; in the dark, only colours differ."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from built import NEEDS_SITE, PAGES, SITE, UNFOLD

pytestmark = NEEDS_SITE


OPTIONS = {
    "light": {"resultTypes": ["violations"]},
    "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast"]},
}


@pytest.fixture(params=OPTIONS)
def scheme(request):
    return request.param


@pytest.fixture
def page(browser, scheme):
    page = browser.new_page(color_scheme=scheme, reduced_motion="reduce")
    yield page
    page.close()


def grave(page, scheme, part=None):
    """What is serious or critical on the page, or in the part of it that a selector names."""
    page.evaluate(UNFOLD)
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:200]}"
        for violation in Axe().run(page, part, OPTIONS[scheme]).response["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"][:3]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_no_serious_violation(page, scheme, name):
    page.goto((SITE / name).as_uri())
    assert grave(page, scheme) == []


@pytest.mark.parametrize("pale", [".l2g-reply", ".cell_input pre *", "figcaption p"])
def test_pale_text_is_found(page, scheme, pale):
    page.goto((SITE / "06_cross_entropy.html").as_uri())
    page.add_style_tag(content=f"{pale} {{ color: #888 !important; background: #999 }}")
    assert grave(page, scheme, pale.split()[0])


def test_pale_text_is_found_in_an_explorable(page, scheme):
    page.goto((SITE / "06_cross_entropy.html").as_uri())
    legend = page.locator(".l2g-explorable .legend")
    legend.evaluate("e => { e.style.color = '#888'; e.style.background = '#999'; }")
    assert grave(page, scheme, ".l2g-explorable")
