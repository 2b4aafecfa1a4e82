"""The built site: where it is, its pages, and what is done to a page before it is judged."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "book/_build/html"
NEEDS_SITE = pytest.mark.skipif(
    not (SITE / "index.html").exists(), reason="the site is not built: run make book"
)
PAGES = sorted(path.name for path in SITE.glob("*.html")) or ["index.html"]
CHAPTERS = [name for name in PAGES if re.match(r"\d\d_", name)]

PHONE = {"viewport": {"width": 360, "height": 780}, "is_mobile": True, "has_touch": True}

LOAD_IMAGES = """() => Promise.all([document.fonts.ready, ...[...document.images].map(image => {
    image.loading = "eager";
    return image.decode().catch(() => {});
})])"""
UNFOLD = """() => {
    for (const details of document.querySelectorAll("details")) details.open = true;
    for (const fading of document.getAnimations()) fading.finish();
}"""
