"""What every explorable owes its readers: it fits, it follows the page's theme, it can be read."""

import pytest
from explorable_page import COLOURS, LAB, PHONE, contrast, luminance, open_lab

from l2g.explore import Explorable

PLAYERS = ["gd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw"]
# A state, a button to press and what is drawn in colour, so that as much as possible is on show.
LABS = {
    "softmax_lab": ({"sigmoid": True}, "Saturate", ".fill.p, .fill.g, .swatch:not(.reach)"),
    "bias_variance": (
        {"n": 10, "degree": 9, "sets": 950},  # impossible degrees, and no more sets to draw
        "Draw 100",
        ".bar:not(.none) .fill, .swatch:not(.gap), .frame path:not(.halo, .ring, .other)",
    ),
    "leak_simulator": (
        {"recordings": 5, "features": 60},
        "Twenty other studies",
        ".marks .mark, .legend .mark",
    ),
    "boosting_stepper": (
        {"round": 150, "flips": 0.1},
        "Ten rounds",
        ".points .point, .cut, .margin, .zero",
    ),
    "schedule_designer": (
        {"kind": "plateau", "patience": 20},  # with cuts to mark, and a dial for each parameter
        "Keep for comparison",
        "path",
    ),
    "threshold_dial": (
        {"prior": 0.01, "threshold": 7.0},  # few positives, and no alarm
        "Threshold of least cost",
        ".solid .fill, .swatch, path",
    ),
    "optimizer_playground": (
        {"surface": "noisy", "optimizers": PLAYERS, "selected": "adamw"},
        "Tune every rate",
        ".run",
    ),
}
each_lab = pytest.mark.parametrize("name", LABS)


def open_busy(page, tmp_path, name, **attributes):
    state, button, marks = LABS[name]
    lab = open_lab(page, tmp_path, name, state, **attributes)
    lab.get_by_role("button", name=button).click()
    return lab, marks


@each_lab
@pytest.mark.parametrize("viewport", [(328, 740), PHONE, (700, 800), (760, 800), (1100, 800)])
def test_nothing_sticks_out_and_everything_can_be_tapped(page, tmp_path, viewport, name):
    lab, _ = open_busy(page, tmp_path, name, body='style="overflow-wrap: anywhere"')
    lab.locator(".try").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport[0]
    outside = lab.evaluate(
        """lab => {
            const card = lab.shadowRoot.querySelector(".lab").getBoundingClientRect();
            return [...lab.shadowRoot.querySelectorAll(".lab *")].filter(e => {
                const box = e.getBoundingClientRect();
                const clipped = e.closest(".clip *");
                return box.width && !clipped && (box.left < card.left || box.right > card.right);
            }).map(e => e.outerHTML);
        }"""
    )
    assert outside == []
    sizes = lab.evaluate(
        """lab => [...lab.shadowRoot.querySelectorAll("input, button")].map(e => {
            const box = (e.closest("label") ?? e).getBoundingClientRect();
            return Math.min(box.width, box.height);
        })"""
    )
    assert min(sizes) >= 24


@each_lab
@pytest.mark.parametrize("viewport", [PHONE])
def test_for_fingers_what_is_dragged_or_pressed_is_larger(page, tmp_path, name):
    lab, _ = open_busy(page, tmp_path, name)
    heights = lab.evaluate(
        """lab => [...lab.shadowRoot.querySelectorAll(".dial, .presets button, .axis input")]
            .filter(e => e.getClientRects().length).map(e => e.getBoundingClientRect().height)"""
    )
    assert min(heights) >= 44


@each_lab
@pytest.mark.parametrize(
    ("system", "html", "body", "is_dark"),
    [
        ("light", "", "", False),
        ("dark", "", "", True),
        ("light", 'data-theme="dark"', "", True),
        ("dark", 'data-theme="light"', "", False),
        ("light", "", 'data-jp-theme-light="false"', True),
        ("dark", "", 'data-jp-theme-light="true"', False),
        ("light", 'theme="dark"', "", True),
        ("dark", 'theme="light"', "", False),
    ],
)
def test_colours_follow_the_page_and_can_be_read(page, tmp_path, system, html, body, is_dark, name):
    page.emulate_media(color_scheme=system)
    lab, marks = open_busy(page, tmp_path, name, html=html, body=body)
    colours = lab.evaluate(COLOURS, marks)
    assert (luminance(colours["card"]) < 0.05) == is_dark
    assert len(colours["texts"]) > 50
    assert len(colours["shapes"]) > 10
    for text, ink, ground in colours["texts"]:
        assert contrast(ink, ground) >= 4.5, text
    for shape, ink, ground in colours["shapes"]:
        assert contrast(ink, ground) >= 3, shape


@each_lab
def test_the_theme_can_be_switched_while_the_page_is_open(page, tmp_path, name):
    lab, marks = open_busy(page, tmp_path, name, html='data-theme="light"')
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert luminance(lab.evaluate(COLOURS, marks)["card"]) < 0.05


@each_lab
def test_the_page_cannot_restyle_the_lab(page, tmp_path, name):
    lab = open_lab(page, tmp_path, name, {})
    boxes = "lab => [...lab.shadowRoot.querySelectorAll('*')].map(e => e.getBoundingClientRect())"
    before = lab.evaluate(boxes)
    page.add_style_tag(
        content=".lab div, span, i, b, td, p, svg, path, input { padding: 12px; stroke-width: 9 }"
    )
    assert lab.evaluate(boxes) == before


@each_lab
def test_focus_is_visible(page, tmp_path, name):
    lab, _ = open_busy(page, tmp_path, name)
    controls = lab.locator("input:enabled, button:enabled")
    assert controls.count() > 3
    for control in controls.all():
        control.focus()
        page.keyboard.press("Shift")  # the keyboard is in use, so focus must be seen
        assert control.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


@each_lab
def test_copies_on_one_page_are_drawn_each(page, tmp_path, name):
    open_lab(page, tmp_path, name, {}, {})
    labs = page.locator(LAB).all()
    assert [lab.locator(".try").is_visible() for lab in labs] == [True, True]
    assert labs[0].get_attribute("id") == labs[1].get_attribute("id")
    texts = [lab.locator(".lab").inner_text() for lab in labs]
    assert texts[0] == texts[1]
    assert len(texts[0]) > 300


@each_lab
def test_without_scripts_a_sentence_says_what_is_missing(browser, tmp_path, name):
    context = browser.new_context(java_script_enabled=False)
    lab = open_lab(context.new_page(), tmp_path, name, {})
    text = lab.inner_text()
    assert Explorable(name).about in text
    assert "JavaScript is switched off" in text
    assert "Try:" not in text
    context.close()


def test_every_explorable_is_tested_here():
    with pytest.raises(ValueError) as unknown:
        Explorable("")
    assert f"one of {', '.join(sorted(LABS))};" in str(unknown.value)
