"""What axe-core finds on every page, in light and in dark, with everything unfolded."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "book/_build/html"
pytestmark = pytest.mark.skipif(
    not (SITE / "index.html").exists(), reason="the site is not built: run make book"
)
PAGES = sorted(path.name for path in SITE.glob("*.html")) or ["index.html"]
UNFOLD = """() => {
    for (const details of document.querySelectorAll("details")) details.open = true;
    for (const button of document.querySelectorAll(".toggle-button-hidden")) button.click();
    for (const fading of document.getAnimations()) fading.finish();
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_no_serious_violation(browser, name, scheme):
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto((SITE / name).as_uri(), wait_until="networkidle")
    page.evaluate(UNFOLD)
    found = Axe().run(page).response["violations"]
    context.close()
    grave = [
        f"{violation['id']}: {violation['help']}: {node['html'][:200]}"
        for violation in found
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"][:3]
    ]
    assert grave == []
