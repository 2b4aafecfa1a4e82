"""The links of the optimizer playground: what they hold, and what must not break."""

from urllib.parse import parse_qs

import pytest
from explorable_page import LAB, state_of
from playground_page import DEFAULTS, button, open_lab, slider

from l2g.explore import Explorable

LINK = (
    "#playground?surface=rosenbrock&start=-1.5,0.5&optimizers=nesterov,adam&selected=adam"
    "&lr_adam=0.25&beta2_adam=0.99&steps=400&step=120"
)


def hash_of(page):
    return page.evaluate("location.hash")


@pytest.mark.parametrize("how", ["load", "hashchange"])
def test_a_link_sets_the_race_up(page, tmp_path, how):
    lab = open_lab(page, tmp_path)
    page.goto(page.url + LINK)
    if how == "load":
        page.reload()
    page.wait_for_function("document.querySelector('.l2g-explorable').l2g.get().steps === 400")
    state = state_of(lab)
    assert state["surface"] == "rosenbrock"
    assert state["start"] == [-1.5, 0.5]
    assert state["optimizers"] == ["nesterov", "adam"]
    assert (state["lr_adam"], state["beta2_adam"], state["step"]) == (0.25, 0.99, 120)
    suited = state_of(open_lab(page, tmp_path, {"surface": "rosenbrock"}))
    assert state["lr_nesterov"] == suited["lr_nesterov"]


def test_what_is_changed_is_kept_in_the_address_and_survives_a_reload(page, tmp_path):
    lab = open_lab(page, tmp_path)
    assert hash_of(page) == ""
    lab.get_by_role("radio", name="Himmelblau").check()
    lab.get_by_label("Race GD").uncheck()
    slider(lab, "Memory β₂").count()
    slider(lab, "Steps").fill("310")
    lab.evaluate("lab => lab.l2g.set({ start: [1.25, -2], eps_adam: 1e-5 })")
    page.wait_for_function("location.hash.includes('eps_adam')")
    text = hash_of(page)
    assert text.startswith("#playground?")
    assert parse_qs(text.partition("?")[2]) == {
        "surface": ["himmelblau"],
        "start": ["1.25,-2"],
        "optimizers": ["momentum,adam"],
        "steps": ["310"],
        "eps_adam": ["0.00001"],
    }
    before = state_of(lab)
    page.reload()
    assert state_of(page.locator(LAB)) == before
    button(page.locator(LAB), "Reset").click()
    page.wait_for_function("location.hash === ''")


def test_every_field_makes_the_round_trip(page, tmp_path):
    lab = open_lab(page, tmp_path)
    state = {
        "surface": "noisy",
        "condition": 12.0,
        "angle": -30.0,
        "noise": 1.5,
        "seed": 4000000000,
    }
    state |= {"start": [0.125, -1.5], "steps": 90, "step": 7, "tolerance": 1e-5}
    state |= {"optimizers": [], "selected": "adadelta"}
    state |= {key: 0.5 for key in DEFAULTS if "_" in key}
    assert state.keys() == DEFAULTS.keys()
    lab.evaluate("(lab, state) => lab.l2g.set(state)", state)
    page.wait_for_function("location.hash.includes('tolerance')")
    page.reload()
    assert state_of(page.locator(LAB)) == state


@pytest.mark.parametrize(
    "bad",
    [
        "surface=bowl",
        "steps=5",
        "steps=20.5",
        "steps=",
        "seed=-1",
        "start=1",
        "start=1,2,3",
        "start=1,x",
        "start=NaN,1",
        "start=Infinity,1",
        "optimizers=gd,sgd",
        "selected=lion",
        "lr_gd=-1",
        "lr_gd=1e999",
        "beta1_adam=1",
        "tolerance=%F0%9F%92%A9",
        "__proto__=1",
        "constructor=1",
        "nonsense",
        "&&&===",
    ],
)
def test_what_a_link_gets_wrong_is_left_out(page, tmp_path, bad):
    lab = open_lab(page, tmp_path)
    before = state_of(lab)
    page.goto(f"{page.url}#playground?{bad}&noise=3")
    page.wait_for_function("document.querySelector('.l2g-explorable').l2g.get().noise === 3")
    assert state_of(lab) == before | {"noise": 3}


def test_other_anchors_are_left_alone(page, tmp_path):
    page.clock.install()
    lab = open_lab(page, tmp_path, {"steps": 50})
    before = state_of(lab)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p id=playground>Here</p>')")
    for anchor in ("#playground", "#surface=beale", "#playgrounds?surface=beale"):
        page.goto(page.url.partition("#")[0] + anchor)
        page.clock.run_for(50)
        assert state_of(lab) == before
        assert hash_of(page) == anchor
    button(lab, "Reset").click()  # nothing to keep
    page.clock.run_for(600)
    assert hash_of(page) == anchor


def test_the_first_copy_takes_the_link(page, tmp_path):
    page.clock.install()
    open_lab(page, tmp_path, {}, {"steps": 50})
    page.goto(page.url + LINK)
    page.reload()
    labs = page.locator(LAB).all()
    assert [state_of(lab)["steps"] for lab in labs] == [400, 50]
    page.clock.run_for(600)
    before = hash_of(page)
    slider(labs[1], "Steps").fill("60")
    page.clock.run_for(600)
    assert hash_of(page) == before


def test_the_link_of_a_second_copy_holds_all_of_it(page, tmp_path):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_lab(page, tmp_path, {}, {"surface": "saddle", "steps": 50, "lr_gd": 0.3})
    second = page.locator(LAB).nth(1)
    button(second, "Copy link").click()
    second.get_by_text("The link is copied").wait_for()
    page.goto(page.evaluate("navigator.clipboard.readText()"))
    page.reload()
    assert state_of(page.locator(LAB).first) == state_of(second)


def test_the_link_is_copied(page, tmp_path):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab = open_lab(page, tmp_path)
    slider(lab, "Steps").fill("70")
    button(lab, "Copy link").click()
    lab.get_by_text("The link is copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.url.partition("#")[0] + "#playground?steps=70"


def test_where_the_address_must_not_change_nothing_breaks(page, tmp_path):
    page.clock.install()
    page.add_init_script("history.replaceState = () => { throw new Error('not here') }")
    lab = open_lab(page, tmp_path)
    slider(lab, "Steps").fill("80")
    page.clock.run_for(600)
    assert (state_of(lab)["steps"], hash_of(page)) == (80, "")


def test_in_a_closed_frame_nothing_breaks_and_the_link_can_be_selected(page, tmp_path):
    """As in Colab: no address of its own, no clipboard."""
    page.clock.install()
    inner = Explorable("optimizer_playground")._repr_html_()
    page.set_content("<iframe sandbox='allow-scripts' width='900' height='1600'></iframe>")
    page.evaluate("html => { document.querySelector('iframe').srcdoc = html }", inner)
    lab = page.frame_locator("iframe").locator(LAB)
    slider(lab, "Steps").fill("80")
    page.clock.run_for(600)  # the address would have been changed by now
    button(lab, "Copy link").click()
    link = lab.get_by_label("Link to this state")
    link.wait_for()
    assert link.input_value().endswith("#playground?steps=80")
    length = link.evaluate("e => e.selectionEnd - e.selectionStart")
    assert length == len(link.input_value())
