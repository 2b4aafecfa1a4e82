"""The built site in a real browser: every page on a desktop, in the dark and on a phone."""

import functools
import http.server
import io
import re
import threading
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import matplotlib.image
import pytest
from built import CHAPTERS, LOAD_IMAGES, NEEDS_SITE, PAGES, PHONE, ROOT, SITE, UNFOLD

pytestmark = NEEDS_SITE

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
SCREENS = {
    "desktop": DESKTOP,
    "dark": DESKTOP | {"color_scheme": "dark"},
    "phone": PHONE,
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of the site, served from a folder below the root as on GitHub Pages."""
    www = tmp_path_factory.mktemp("www")
    (www / "l2g").symlink_to(SITE)
    handler = functools.partial(Quiet, directory=www)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/l2g/"
        server.shutdown()


@pytest.fixture(scope="module")
def contexts(browser):
    """One context for each screen: its pages share a cache."""
    found = {
        name: browser.new_context(reduced_motion="reduce", **options)
        for name, options in SCREENS.items()
    }
    yield found
    for context in found.values():
        context.close()


@pytest.fixture(
    scope="module",
    params=[(name, screen) for name in PAGES for screen in SCREENS],
    ids=lambda param: "-".join(param),
)
def sheet(request, contexts, site, watch):
    """Each page on each screen, loaded once for all tests that only look at it."""
    name, screen = request.param
    problems = []
    sheet = watch(contexts[screen].new_page(), problems)
    sheet.problems = problems
    sheet.goto(site + name)
    sheet.evaluate(LOAD_IMAGES)
    yield sheet
    sheet.close()


FIGURE = "main .cell_output img"


def width(sheet):
    return sheet.evaluate("document.documentElement.scrollWidth")


def test_the_page_never_scrolls_sideways(sheet):
    assert width(sheet) <= sheet.viewport_size["width"]
    sheet.evaluate(UNFOLD)
    assert width(sheet) <= sheet.viewport_size["width"]


def test_math_is_rendered(sheet):
    left = """() => [...document.querySelectorAll(".tex")]
        .filter(e => !e.querySelector(".katex") || e.querySelector(".katex-error"))
        .map(e => e.textContent)"""
    assert sheet.evaluate(left) == []


def test_no_line_begins_with_the_comma_behind_a_formula(sheet):
    wrapped = """() => [...document.querySelectorAll(".tex-joined")].filter(joined => {
        const comma = document.createRange();
        comma.selectNodeContents(joined.lastChild);
        const formula = [...joined.querySelectorAll(".katex-base")].at(-1);
        const [right, left] = [comma, formula].map(e => e.getBoundingClientRect());
        return right.width && right.left < left.left;
    }).map(joined => joined.textContent)"""
    assert sheet.evaluate(wrapped) == []


def test_nothing_that_can_break_scrolls(sheet):
    """Formulas and printed lines break, wide tables are cards on a phone."""
    scrolling = """() => [...document.querySelectorAll(
        "article :is(.tex[data-display], .cell_output pre, .pst-scrollable-table-container, "
        + ".l2g-table-place)"
    )].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.dataset.tex ?? e.textContent)"""
    assert sheet.evaluate(scrolling) == []


def test_what_scrolls_says_so_and_is_in_reach_of_the_keyboard(sheet):
    silent = """() => [...document.querySelectorAll("article *")].filter(e => {
        if (e.scrollWidth <= e.clientWidth + 1 || e.closest(".l2g-explorable")) return false;
        if (!["auto", "scroll"].includes(getComputedStyle(e).overflowX)) return false;
        const fades = e.matches("figure") || getComputedStyle(e).maskImage.includes("gradient");
        return !(fades && e.dataset.more === "right" && e.tabIndex === 0 && e.ariaLabel);
    }).map(e => e.outerHTML.slice(0, 200))"""
    assert sheet.evaluate(silent) == []


def test_folds_look_alike(sheet):
    """Code, checks, solutions and what goes deeper: one frame, one line of text as title."""
    looks = """() => [...document.querySelectorAll("article details:not(.l2g-choice)")
    ].map(fold => {
        const frame = getComputedStyle(fold);
        const title = getComputedStyle(fold.querySelector("summary"));
        return [frame.borderColor, frame.borderWidth, frame.borderRadius, frame.backgroundColor,
                title.fontSize, title.color, title.paddingTop].join(" ");
    })"""
    assert len(set(sheet.evaluate(looks))) <= 1


def test_questions_look_alike(sheet):
    looks = """() => [...document.querySelectorAll(
        "article :is(.predict, .belief, .misconception)"
    )].map(box => {
        const { borderLeft, backgroundColor } = getComputedStyle(box);
        const title = getComputedStyle(box.firstElementChild).color;
        return [borderLeft, backgroundColor, title].join(" ");
    })"""
    assert len(set(sheet.evaluate(looks))) <= 1


MARKUP = re.compile(r"\$[^$\n]+\$|\{[\w:+-]+\}`|\{footcite|:::|```|\]\(|\\[a-z]+\{")
PROSE = """() => {
    const article = document.querySelector("article")?.cloneNode(true);
    const other = "code, pre, script, style, .tex, .l2g-explorable";
    article?.querySelectorAll(other).forEach(e => e.remove());
    return article?.textContent ?? "";
}"""


def test_no_markup_is_left_in_the_text(sheet):
    assert MARKUP.findall(sheet.evaluate(PROSE)) == []


def test_images_are_loaded_and_described(sheet):
    look = """() => [...document.querySelectorAll("main img")].map(image => ({
        width: image.naturalWidth,
        alt: image.alt,
        figure: image.closest(".cell_output") !== null,
        caption: image.closest("figure")?.querySelector("figcaption")?.textContent.trim(),
    }))"""
    for image in sheet.evaluate(look):
        assert image["width"] > 0, image
        assert image["alt"], image
        if image["figure"]:
            assert "/" not in image["alt"].split()[0], image  # a path, the default
            assert len(image["alt"]) > 40, image
            assert image["caption"], image


def ground_and_ink(page, selector):
    """The lightness of most of an element's pixels, and that of the pixel farthest from it."""
    element = page.locator(selector).first
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    screen = page.viewport_size
    box["width"] = min(box["width"], screen["width"] - box["x"])
    box["height"] = min(box["height"], screen["height"] - box["y"])
    picture = matplotlib.image.imread(io.BytesIO(page.screenshot(clip=box)))
    lightness = sorted(picture[..., :3].mean(axis=2).flatten().tolist())
    ground = lightness[len(lightness) // 2]
    return ground, max(lightness[0], lightness[-1], key=lambda ink: abs(ink - ground))


def test_figures_follow_the_theme(sheet):
    drawn = f"{FIGURE}:not(.l2g-keep-colours)"  # maps, whose colours are numbers
    if sheet.locator(drawn).count():
        ground, ink = ground_and_ink(sheet, drawn)
        if sheet.evaluate("matchMedia('(prefers-color-scheme: dark)').matches"):
            assert ground < 0.15
            assert ink > 0.8
        else:
            assert ground > 0.95
            assert ink < 0.2


def test_nothing_goes_wrong(sheet):
    """Last, because it judges what the tests above have done to the page, too."""
    assert sheet.problems == []


# The files: where links lead --------------------------------------------------------------------


class Links(HTMLParser):
    """The ids of a page, and what it refers to."""

    def __init__(self, name):
        super().__init__()
        self.ids, self.targets = set(), []
        self.feed((SITE / name).read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids |= {attrs[key] for key in ("id", "name") if key in attrs}
        found = [attrs[key] for key in ("href", "src") if attrs.get(key)]
        self.targets += [target for target in found if not target.startswith("data:")]


@pytest.fixture(scope="module")
def links():
    return {name: Links(name) for name in PAGES}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(links, name):
    for target in links[name].targets:
        address = urlsplit(target)
        if address.scheme or address.netloc:
            assert address.scheme == "https", target
            assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", address.netloc), target
            assert not re.search(r"[\s<>\"{}]", target), target
            continue
        assert not address.path.startswith("/"), f"{target} leaves the folder of the site"
        goal = unquote(address.path) or name
        assert (SITE / goal).is_file(), target
        if address.fragment and goal in links:
            assert unquote(address.fragment) in links[goal].ids, target


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_leads_to_its_notebook(links, name):
    stem = name.removesuffix(".html")
    colab = [t for t in links[name].targets if t.startswith("https://colab.research.google.com/")]
    assert len(set(colab)) == 1  # a live lab leads there as well
    assert re.fullmatch(rf".*/github/[^/]+/[^/]+/blob/main/chapters/{stem}\.ipynb", colab[0])
    downloads = [t for t in links[name].targets if t.endswith(".ipynb") and t not in colab]
    assert len(downloads) == 1
    current = (ROOT / f"chapters/{stem}.ipynb").read_bytes()
    assert (SITE / downloads[0]).read_bytes() == current, "older than chapters/: run make book"


# What a reader does -----------------------------------------------------------------------------


@pytest.fixture
def page(contexts, problems, watch):
    """An empty page on a desktop. A test that uses it fails when anything goes wrong in it."""
    page = watch(contexts["desktop"].new_page(), problems)
    yield page
    page.close()
    assert problems == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_quiz_answers_to_the_keyboard(page, site, name):
    page.goto(site + name)
    for quiz in page.locator(".l2g-quiz").all():
        verdicts = []
        for answer in quiz.locator("details").all():
            verdict = answer.locator(".l2g-reply")
            assert not verdict.is_visible()
            answer.locator("summary").focus()
            page.keyboard.press("Enter")
            verdicts.append(verdict.inner_text()[0])
            assert len(answer.inner_text().splitlines()) > 2  # answer, verdict, explanation
        assert sorted(verdicts) == ["✓"] + ["✗"] * (len(verdicts) - 1)


@pytest.mark.parametrize("name", CHAPTERS)
def test_solutions_are_folded_and_open_by_keyboard(page, site, name):
    page.goto(site + name)
    texts = page.locator(".admonition.solution").all()
    cells = page.locator(".tag_solution details").all()
    assert len(texts) + len(cells) > 1
    for box, handle, content in [
        *((box, "summary", ":scope > :nth-child(2)") for box in texts),
        *((box, "summary", "pre") for box in cells),
    ]:
        assert not box.locator(content).first.is_visible()
        box.locator(handle).first.focus()
        page.keyboard.press("Enter")
        assert box.locator(content).first.is_visible()


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_solution_speaks_for_the_reader(page, site, name):
    page.goto(site + name)
    printed = "\n".join(page.locator(".cell_output").all_inner_texts())
    assert "not started yet" in printed
    assert not re.search(r"✓ \w+: passed", printed)
    assert "solved so far" not in printed  # by whoever built the book


def loss_of(lab):
    return float(lab.locator(".value").inner_text())


def use_the_lab(page):
    """Drag a score with the mouse, move another with the keyboard; the loss follows."""
    lab = page.get_by_role("group", name="Softmax lab")
    slider = lab.get_by_label("Score of class 1")
    slider.scroll_into_view_if_needed()
    before, box = loss_of(lab), slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.65, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, middle, steps=3)
    page.mouse.up()
    dragged = loss_of(lab)
    assert dragged > before + 5
    slider.press("ArrowRight")
    assert loss_of(lab) == pytest.approx(dragged - 0.1, abs=0.02)


def test_the_softmax_lab_works_in_the_page(page, site):
    page.goto(site + "06_cross_entropy.html")
    use_the_lab(page)


def test_text_waits_for_its_formulas_but_not_for_ever(browser, site):
    page = browser.new_page()
    page.route("**/katex.min.js*", lambda route: route.abort())
    page.goto(site + "18_batchnorm.html")
    text = page.locator("article p:has(.tex)").first
    assert not text.is_visible()
    assert page.locator("article p:not(:has(.tex))").first.is_visible()
    text.wait_for(timeout=10_000)  # to read TeX is better than to read nothing
    page.close()
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(site + "18_batchnorm.html")
        assert page.locator("article p:has(.tex)").first.is_visible()


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_works_from_disk(page, name):
    page.goto((SITE / name).as_uri())
    assert page.locator(".tex:has(.katex)").count() == page.locator(".tex").count() > 0
    page.evaluate(LOAD_IMAGES)
    figures = page.locator(FIGURE).evaluate_all("all => all.map(image => image.naturalWidth)")
    assert figures
    assert all(figures)
    assert all(lab.locator(".try").is_visible() for lab in page.locator(".l2g-explorable").all())
    if name.startswith("06"):
        use_the_lab(page)
    mode = page.locator("html").get_attribute("data-mode")
    page.get_by_role("button", name="Color mode").click()
    assert page.locator("html").get_attribute("data-mode") != mode


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_can_be_printed(page, site, name):
    page.goto(site + name)
    page.evaluate(LOAD_IMAGES)
    pages = re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))
    assert 5 < len(pages) < 60


@pytest.mark.parametrize("name", CHAPTERS)
def test_paper_is_white_and_shows_the_solutions(browser, site, name):
    page = browser.new_page(color_scheme="dark")
    page.goto(site + name)
    state = """() => ({
        theme: document.documentElement.dataset.theme,
        folded: document.querySelectorAll(
            ".tag_solution details:not([open]), .l2g-fold:not([open])"
        ).length,
    })"""
    on_screen = page.evaluate(state)
    assert on_screen["theme"] == "dark"
    page.pdf()  # tells the page before and after
    assert page.evaluate(state) == on_screen

    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(state) == {"theme": "light", "folded": 0}
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    solutions = page.locator(".admonition.solution > :nth-child(2), .tag_solution pre")
    assert solutions.count() > 2
    assert all(solution.is_visible() for solution in solutions.all())
    useless = """() => [...document.querySelectorAll(
        ".bd-header-article, .bd-sidebar-primary, .prev-next-footer, article button, "
        + ".hide:not([open])"
    )].filter(e => e.checkVisibility({ opacityProperty: true })).map(e => e.outerHTML)"""
    assert page.evaluate(useless) == []
    assert page.evaluate("document.getAnimations().length") == 0  # nothing is caught half-way
    page.close()


def test_the_theme_switch(browser, site):
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    page.goto(site + "index.html")
    html = page.locator("html")
    assert html.get_attribute("data-theme") == "light"
    page.get_by_role("button", name="Color mode").click()
    assert html.get_attribute("data-theme") == "dark"
    for selector in ("article h1", FIGURE):
        ground, ink = ground_and_ink(page, selector)
        assert ground < 0.15
        assert ink > 0.8
    page.reload()
    assert html.get_attribute("data-theme") == "dark"
    context.close()


def test_the_map_shows_all_chapters_and_leads_to_the_finished_ones(page, site):
    page.goto(site + "index.html")
    cards = page.locator("ul.l2g-map > li")
    assert cards.count() == 21
    numbers = [int(text) for text in cards.locator(".number").all_inner_texts()]
    assert numbers == list(range(1, 22))
    found = [card.get_attribute("href") for card in cards.locator("a").all()]
    assert found == CHAPTERS
    planned = cards.filter(has_text="planned")
    assert planned.count() == 21 - len(CHAPTERS)
    assert planned.locator("a").count() == 0


def test_the_first_link_leads_to_a_finished_chapter(page, site):
    page.goto(site + "index.html")
    page.locator("article a:not(.headerlink)").first.click()
    assert page.url.removeprefix(site) in CHAPTERS
    assert page.locator("article h1").is_visible()


@pytest.mark.parametrize("name", ["Launch interactive content", "Download this page"])
def test_a_menu_opens_and_closes(page, site, name):
    page.goto(site + CHAPTERS[0])
    button = page.get_by_role("button", name=name)
    entry = button.locator("xpath=following-sibling::ul").get_by_role("listitem").first
    for close in (
        lambda: page.keyboard.press("Escape"),
        lambda: page.keyboard.press("Enter"),
        lambda: page.keyboard.press("Shift+Tab"),
        lambda: page.mouse.click(5, 500),
    ):
        assert not entry.is_visible()
        button.focus()
        page.keyboard.press("Enter")
        assert entry.is_visible()
        assert button.get_attribute("aria-expanded") == "true"
        close()
        assert button.get_attribute("aria-expanded") == "false"
    assert not entry.is_visible()


@pytest.mark.parametrize("name", CHAPTERS)
def test_an_outcome_of_a_solution_is_folded_with_it(page, site, name):
    page.goto(site + name)
    for output in page.locator(".tag_solution .cell_output").all():
        assert not output.is_visible()


def test_search_from_the_keyboard(page, site):
    page.goto(site + "index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("softmax")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=softmax")
    result = page.locator("#search-results li a").first
    result.wait_for()
    found = [link.get_attribute("href") for link in page.locator("#search-results li a").all()]
    assert any(link.startswith("06_cross_entropy.html") for link in found)


def test_the_magnifier_stands_beside_what_is_typed(page, site):
    page.goto(site + "search.html?q=softmax")
    place = page.locator("main .bd-search")
    icon = place.locator("i").bounding_box()
    field = place.locator("input")
    start = float(field.evaluate("e => parseFloat(getComputedStyle(e).paddingLeft)"))
    assert icon["x"] + icon["width"] < field.bounding_box()["x"] + start


def lightness(colour):
    """Relative luminance of a CSS colour, as WCAG defines it."""
    parts = [int(c) / 255 for c in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_way_to_the_top_is_readable_and_soon_out_of_the_way(contexts, site):
    page = contexts["phone"].new_page()
    page.goto(site + CHAPTERS[0])
    button = page.locator("#pst-back-to-top")
    for y in (4000, 3500):
        page.evaluate(f"scrollTo(0, {y})")
        page.wait_for_timeout(200)
    button.wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        style = "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
        dark, light = sorted(map(lightness, button.evaluate(style)))
        assert (light + 0.05) / (dark + 0.05) > 4.5
    button.wait_for(state="hidden")
    page.close()


def test_korean_words_stay_whole(page, site):
    page.goto(site + "glossary.html")
    korean = page.locator("article [lang=ko]")
    assert korean.count() > 50
    assert korean.first.evaluate("e => getComputedStyle(e).wordBreak") == "keep-all"


def test_the_keyboard_can_skip_to_the_text(page, site):
    page.goto(site + CHAPTERS[0])
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to main content")
    assert skip.evaluate("link => link === document.activeElement")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
