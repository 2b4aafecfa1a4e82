"""A real browser for tests: Debian's Chromium, driven by Playwright, downloading nothing."""

import os
import re
import shutil

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other host can be reached
]
ELSEWHERE = re.compile(r"^(https?|wss?)://(?!(localhost|127\.0\.0\.1)[:/])")


@pytest.fixture(scope="session")
def browser():
    """Chromium, started once; set L2G_CHROMIUM to use another executable."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="browser tests need Playwright: pip install playwright"
    )
    names = ("chromium", "chromium-browser", "google-chrome")
    found = [os.environ.get("L2G_CHROMIUM"), *map(shutil.which, names)]
    executable = next(filter(None, found), None)
    if executable is None:
        pytest.skip("browser tests need Chromium: apt install chromium, or set L2G_CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def watch():
    """watch(page, problems) notes errors, warnings and requests to other hosts in ``problems``."""

    def watch(page, problems):
        def note(kind, text):
            problems.append(f"{kind}: {text}")

        def read(message):
            if message.type in ("error", "warning"):
                note(message.type, message.text)

        page.on("console", read)
        page.on("pageerror", lambda error: note("uncaught", error))
        page.on("request", lambda r: ELSEWHERE.match(r.url) and note("another host", r.url))
        return page

    return watch


@pytest.fixture
def viewport():
    """Width and height in CSS pixels; override it with ``parametrize("viewport", ...)``."""
    return 1100, 800


@pytest.fixture
def problems():
    """Console errors and warnings, uncaught errors and requests to other hosts, as they happen."""
    return []


@pytest.fixture
def page(browser, viewport, problems, watch):
    """An empty page. A test that uses it fails when anything is left in ``problems``."""
    width, height = viewport
    page = browser.new_page(
        viewport={"width": width, "height": height}, reduced_motion="reduce", has_touch=width < 600
    )
    yield watch(page, problems)
    page.close()
    assert problems == []
