"""Every explorable without a mouse, without sight, and without motion."""

from itertools import pairwise

import pytest
from explorable_page import PHONE, open_lab

# The labs, and those in which something moves by itself.
MOVING = {
    "softmax_lab": True,
    "bias_variance": False,
    "leak_simulator": False,
    "boosting_stepper": False,
    "schedule_designer": False,
    "threshold_dial": False,
    "optimizer_playground": True,
}
each_lab = pytest.mark.parametrize("name", MOVING)

# In `lab`: all controls, and the places among them of those that Tab stops at. Of radio buttons
# that is the chosen one; arrows lead to the others.
ALL = """const all = [...lab.shadowRoot.querySelectorAll("input, button, select")];
    const stops = [...all.keys()].filter(i => !all[i].disabled && all[i].getClientRects().length
        && (all[i].type !== "radio" || all[i].checked));"""
STOPS = f"lab => {{ {ALL} return stops; }}"
TOPS = f"lab => {{ {ALL} return stops.map(i => all[i].getBoundingClientRect().top); }}"
REACHED = f"lab => {{ {ALL} return all.indexOf(lab.shadowRoot.activeElement); }}"
BETWEEN_LINKS = """lab => {
    const link = () => Object.assign(document.createElement("a"), { href: "#", text: "link" });
    lab.before(link());
    lab.after(link());
    lab.previousSibling.focus();
}"""
LISTEN = """lab => {
    window.spoken = [];
    for (const region of lab.shadowRoot.querySelectorAll("[aria-live], output, [role=status]")) {
        if (region.getAttribute("aria-live") === "off") continue;
        new MutationObserver(() => spoken.push(region.textContent))
            .observe(region, { childList: true, characterData: true, subtree: true });
    }
}"""
COUNT_FRAMES = """() => {
    const request = window.requestAnimationFrame;
    window.frames_drawn = 0;
    window.requestAnimationFrame = draw => { frames_drawn++; return request(draw); };
}"""


def tab_through(page, lab, key):
    """The places of the controls that the focus stops at, until it leaves the lab."""
    stops = []
    page.keyboard.press(key)
    while (reached := lab.evaluate(REACHED)) >= 0 and len(stops) < 200:
        stops.append(reached)
        page.keyboard.press(key)
    return stops


@each_lab
@pytest.mark.parametrize("viewport", [(1100, 800), PHONE])
def test_tab_goes_from_control_to_control_and_out_again(page, tmp_path, viewport, name):
    lab = open_lab(page, tmp_path, name, {})
    expected = lab.evaluate(STOPS)
    assert len(expected) > 5
    lab.evaluate(BETWEEN_LINKS)
    assert tab_through(page, lab, "Tab") == expected
    assert tab_through(page, lab, "Shift+Tab") == expected[::-1]


@each_lab
@pytest.mark.parametrize("viewport", [PHONE])
def test_in_one_column_the_focus_only_goes_down(page, tmp_path, viewport, name):
    lab = open_lab(page, tmp_path, name, {})
    tops = lab.evaluate(TOPS)
    for above, below in pairwise(tops):
        assert below > above - 30  # unless they stand side by side


@each_lab
def test_a_drag_is_spoken_once_when_it_pauses(page, tmp_path, name):
    page.clock.install()
    lab = open_lab(page, tmp_path, name, {})
    page.clock.pause_at(page.evaluate("Date.now()") + 2000)  # from here time stands still
    slider = lab.locator("input[type=range]:enabled").first
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    lab.evaluate(LISTEN)
    before = slider.get_attribute("aria-valuetext") or slider.input_value()
    page.mouse.move(box["x"] + 0.3 * box["width"], middle)
    page.mouse.down()
    for i in range(20):
        page.mouse.move(box["x"] + (0.3 + 0.02 * i) * box["width"], middle)
        page.clock.run_for(20)
    page.mouse.up()
    assert (slider.get_attribute("aria-valuetext") or slider.input_value()) != before
    assert page.evaluate("spoken.length") == 0
    page.clock.run_for(1000)
    assert page.evaluate("spoken.length") == 1
    assert len(page.evaluate("spoken[0]")) > 30


@each_lab
@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_moves_by_itself_for_who_does_not_want_it(page, tmp_path, name, motion):
    page.emulate_media(reduced_motion=motion)
    page.add_init_script(f"({COUNT_FRAMES})()")
    lab = open_lab(page, tmp_path, name, {})
    for button in lab.locator("button:enabled").all():
        if button.is_enabled() and button.get_attribute("data-do") != "copy":
            button.click()
    moves = page.evaluate("frames_drawn > 0 || document.getAnimations().length > 0")
    assert moves == (MOVING[name] and motion == "no-preference")
