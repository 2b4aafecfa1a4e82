"""The optimizer playground in a real browser: its controls, its experiments, its words."""

import math

import pytest
import torch
from explorable_page import LAB, PHONE, state_of
from playground_page import (
    DEFAULTS,
    NAMES,
    SURFACES,
    arrival,
    button,
    cells,
    compute,
    double,
    number,
    open_lab,
    points,
    run_of,
    slider,
)

from l2g.explore import Explorable

# The start


def spot(lab, x, y):
    """The place of (x, y) of a quadratic on the screen."""
    lab.locator(".map").scroll_into_view_if_needed()
    box = lab.locator(".map .lines").bounding_box()
    return box["x"] + box["width"] * (x + 4) / 8, box["y"] + box["height"] * (0.5 - y * 1.2 / 8)


@pytest.mark.parametrize("viewport", [(1100, 800), PHONE])
def test_the_start_is_clicked_and_dragged(page, tmp_path, viewport):
    lab = open_lab(page, tmp_path)
    page.mouse.click(*spot(lab, 2, 1))
    assert state_of(lab)["start"] == pytest.approx([2, 1], abs=0.06)
    page.mouse.move(*spot(lab, 2, 1))
    page.mouse.down()
    page.mouse.move(*spot(lab, -1, -2), steps=5)
    page.mouse.up()
    assert state_of(lab)["start"] == pytest.approx([-1, -2], abs=0.06)
    page.mouse.move(*spot(lab, 3, 3))  # the button is up
    assert state_of(lab)["start"] == pytest.approx([-1, -2], abs=0.06)
    page.mouse.down()
    page.mouse.move(*spot(lab, 3.5, 9), steps=5)  # outside the map: its edge
    page.mouse.up()
    assert state_of(lab)["start"] == pytest.approx([3.5, 4 / 1.2], abs=0.06)


@pytest.mark.parametrize("viewport", [PHONE])
def test_a_finger_taps_or_drags_the_start_and_may_scroll_over_the_map(page, tmp_path):
    lab = open_lab(page, tmp_path)
    touch = page.context.new_cdp_session(page)

    def send(kind, *places):
        place = [dict(zip("xy", at, strict=True)) for at in places]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": place})

    page.touchscreen.tap(*spot(lab, 1, 2))
    assert state_of(lab)["start"] == pytest.approx([1, 2], abs=0.03)
    send("touchStart", spot(lab, 1, 2))
    for x, y in ((0, 1), (-2, 0), (-2, -1)):
        send("touchMove", spot(lab, x, y))
    send("touchEnd")
    assert state_of(lab)["start"] == pytest.approx([-2, -1], abs=0.03)
    before = page.evaluate("scrollY")
    x, y = spot(lab, 2, 0)
    send("touchStart", (x, y))
    for step in range(1, 8):
        send("touchMove", (x, y - 20 * step))
    send("touchEnd")
    page.wait_for_function("before => scrollY > before + 60", arg=before)
    assert state_of(lab)["start"] == pytest.approx([-2, -1], abs=0.03)


def test_the_start_is_moved_with_the_keyboard(page, tmp_path):
    lab = open_lab(page, tmp_path, {"start": [1.0, 1.0]})
    page.mouse.click(*spot(lab, 1, 1))  # the map takes the focus
    lab.evaluate("lab => lab.l2g.set({ start: [1, 1] })")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowLeft"):
        page.keyboard.press(key)
    assert state_of(lab)["start"] == [1.38, 1.2]
    assert lab.locator(".handle").get_attribute("aria-label").startswith("Start at 1.38, 1.2: drag")
    slider(lab, "Start x").focus()
    page.keyboard.press("ArrowLeft")
    slider(lab, "Start y").focus()
    page.keyboard.press("End")
    assert state_of(lab)["start"] == pytest.approx([1.37, 4 / 1.2], abs=0.01)


def test_the_start_turns_with_the_valley(page, tmp_path):
    """So that what does not depend on the axes stays the same."""
    lab = open_lab(page, tmp_path, {"angle": 0.0, "start": [-2.0, 1.5], "optimizers": NAMES})
    before = cells(lab)
    slider(lab, "Valley turned by").fill("40")
    after = cells(lab)
    assert state_of(lab)["start"] == pytest.approx([-1.9409, -0.6623], abs=1e-4)
    for name in ("gd", "momentum", "nesterov"):
        assert after[name][2] == before[name][2] != "–"
    for name in ("adagrad", "rmsprop", "adam"):
        assert after[name][2] == "–" or int(after[name][2]) > 1.5 * int(before[name][2]), name


# Choosing who races, and how


def test_optimizers_enter_and_leave_the_race(page, tmp_path):
    lab = open_lab(page, tmp_path)
    lab.get_by_label("Race RMSprop").check()
    assert state_of(lab)["optimizers"] == ["gd", "momentum", "adam", "rmsprop"]
    assert state_of(lab)["selected"] == "rmsprop"
    lab.get_by_label("Race GD").uncheck()
    assert state_of(lab)["optimizers"] == ["momentum", "adam", "rmsprop"]
    assert lab.locator(".map .lines .gd .run").get_attribute("d") == ""
    button(lab, "Dials of Nesterov").click()
    assert state_of(lab)["selected"] == "nesterov"
    assert lab.get_by_label("Race Nesterov").is_checked()
    for name in ("Momentum", "Nesterov", "RMSprop", "Adam"):
        lab.get_by_label(f"Race {name}", exact=True).uncheck()
    assert lab.locator(".answer").inner_text() == "Nobody races"
    lab.get_by_text("Tick an optimizer to let it race").wait_for()


DIALS = {
    "gd": ["Learning rate η", "Weight decay λ"],
    "nesterov": ["Learning rate η", "Momentum μ", "Weight decay λ"],
    "adagrad": ["Learning rate η", "Epsilon ε", "Weight decay λ"],
    "adadelta": ["Learning rate η", "Memory ρ", "Epsilon ε", "Weight decay λ"],
    "rmsprop": ["Learning rate η", "Memory α", "Epsilon ε", "Weight decay λ"],
    "adamw": ["Learning rate η", "Memory β₁", "Memory β₂", "Epsilon ε", "Weight decay λ"],
}


@pytest.mark.parametrize("name", DIALS)
def test_every_hyperparameter_has_a_dial_and_each_optimizer_its_own(page, tmp_path, name):
    lab = open_lab(page, tmp_path, {"selected": name, "optimizers": [name]})
    dials = lab.locator(".optimizer input")
    assert [dial.get_attribute("aria-label") for dial in dials.all()] == DIALS[name]
    before = state_of(lab)
    for label in DIALS[name]:
        slider(lab, label).focus()
        page.keyboard.press("Home")
        page.keyboard.press("PageUp")
    after = state_of(lab)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {key for key in DEFAULTS if key.endswith(f"_{name}")}


def test_dials_reach_the_values_that_matter(page, tmp_path):
    lab = open_lab(page, tmp_path, {"selected": "adam"})
    for label, place, value in (
        ("Memory β₂", "4", 0.9999),
        ("Memory β₂", "3", 0.999),
        ("Memory β₂", "0", 0),
    ):
        slider(lab, label).fill(place)
        assert state_of(lab)["beta2_adam"] == value
    slider(lab, "Epsilon ε").fill("-3")
    assert state_of(lab)["eps_adam"] == 0.001
    slider(lab, "Learning rate η").fill("-1.5")
    assert state_of(lab)["lr_adam"] == 0.0316
    assert slider(lab, "Learning rate η").get_attribute("aria-valuetext") == "0.0316"
    slider(lab, "Condition number κ").fill("3")
    assert state_of(lab)["condition"] == 1000
    slider(lab, "Goal as a share of the first loss").fill("-6")
    assert state_of(lab)["tolerance"] == 1e-6


def test_arrows_go_from_racer_to_racer(page, tmp_path):
    lab = open_lab(page, tmp_path)
    seen = []
    for _ in range(3):
        button(lab, "Next optimizer").click()
        seen.append(state_of(lab)["selected"])
    button(lab, "Previous optimizer").click()
    assert seen == ["adam", "gd", "momentum"]
    assert state_of(lab)["selected"] == "gd"
    assert lab.locator(".optimizer h3").inner_text() == "GD"


def test_a_surface_brings_its_start_and_rates_and_keeps_the_rest(page, tmp_path):
    lab = open_lab(page, tmp_path, {"momentum_momentum": 0.8, "steps": 300})
    for surface in SURFACES[1:]:
        lab.get_by_role("radio", name=surface.capitalize()).check()
        state = state_of(lab)
        assert state["surface"] == surface
        assert state["momentum_momentum"] == 0.8
        assert state["steps"] == max(300, {"rosenbrock": 500, "beale": 400}.get(surface, 0))
        fresh = open_lab(page, tmp_path, {"surface": surface})
        assert state["start"] == state_of(fresh)["start"]
        assert state["lr_adam"] == state_of(fresh)["lr_adam"] > 0
        lab = open_lab(page, tmp_path, {"momentum_momentum": 0.8, "steps": 300})


@pytest.mark.parametrize("surface", SURFACES)
def test_rates_that_suit_a_surface_bring_every_racer_down(page, tmp_path, surface):
    lab = open_lab(page, tmp_path, {"surface": surface, "optimizers": NAMES})
    result = compute(lab, [state_of(lab)])[0]
    for name in NAMES:
        x, y = zip(*result["paths"][name], strict=True)
        assert result["losses"][name][-1] < 0.5 * result["losses"][name][0], name
        assert max(map(abs, x + y)) < 8, name  # and keep it close to the map


@pytest.mark.parametrize("surface", SURFACES[1:])
def test_a_surface_is_left_steps_enough_for_somebody_to_arrive(page, tmp_path, surface):
    lab = open_lab(page, tmp_path, {"steps": 60})
    lab.get_by_role("radio", name=surface.capitalize()).check()
    assert "arrives first" in lab.locator(".answer").inner_text()


def test_given_starts_and_rates_are_kept(page, tmp_path):
    given = {"surface": "beale", "start": [0.5, -1.0], "lr_adam": 0.07, "selected": "adam"}
    state = state_of(open_lab(page, tmp_path, given))
    assert {key: state[key] for key in given} == given
    outside = state_of(open_lab(page, tmp_path, {"surface": "saddle", "start": [9.0, 0.5]}))
    assert outside["start"] == [2, 0.5]


def test_tuning_finds_the_best_of_61_rates_for_each(page, tmp_path):
    lab = open_lab(page, tmp_path, {"surface": "himmelblau", "optimizers": ["momentum", "adam"]})
    button(lab, "Tune every rate").click()
    tuned = state_of(lab)
    for name in ("momentum", "adam"):
        rates = [float(f"{10 ** (-4 + i / 10):.3g}") for i in range(61)]
        states = [tuned | {"optimizers": [name], f"lr_{name}": lr} for lr in rates]
        steps = []
        for result in compute(lab, states):
            losses = result["losses"][name]
            finished = len(losses) == 201
            steps.append(arrival(losses, 0.001 * losses[0]) if finished else math.inf)
        assert tuned[f"lr_{name}"] in rates
        assert steps[rates.index(tuned[f"lr_{name}"])] == min(steps)
    assert tuned["lr_gd"] == 0.01  # it does not race


# Playing


def test_the_race_is_stepped_and_scrubbed(page, tmp_path):
    lab = open_lab(page, tmp_path)
    shown = lab.locator(".count")
    assert shown.inner_text() == "step 200 of 200"
    button(lab, "Back to the start").click()
    assert shown.inner_text() == "step 0 of 200"
    assert lab.locator(".answer").inner_text().startswith("At the start the loss is")
    for _ in range(3):
        button(lab, "One step on").click()
    assert state_of(lab)["step"] == 3
    assert len(points(lab, ".losses", "gd")) == 4
    slider(lab, "Step shown").fill("150")
    losses = {name: run_of(lab, name)[1] for name in DEFAULTS["optimizers"]}
    lowest = min(losses, key=lambda name: losses[name][150])
    assert lowest == "momentum"
    assert lab.locator(".answer").inner_text() == "Step 150: Momentum is lowest"
    assert number(cells(lab)["gd"][1]) == pytest.approx(float(losses["gd"][150]), rel=0.06)
    assert cells(lab)["adam"][2] == "–"  # it arrives later
    slider(lab, "Steps").fill("100")
    assert state_of(lab)["step"] == 100


def test_more_steps_are_shown_to_their_end(page, tmp_path):
    lab = open_lab(page, tmp_path)
    slider(lab, "Steps").fill("500")
    assert state_of(lab)["step"] == 500
    assert lab.locator(".count").inner_text() == "step 500 of 500"


def test_reduced_motion_jumps_to_the_end(page, tmp_path):
    lab = open_lab(page, tmp_path, {"step": 0})
    button(lab, "Play").click()
    assert state_of(lab)["step"] == 200
    button(lab, "GD at the edge").click()
    assert state_of(lab)["step"] == 40


def test_play_and_pause(page, tmp_path):
    page.clock.install()
    page.emulate_media(reduced_motion="no-preference")
    lab = open_lab(page, tmp_path)
    assert state_of(lab)["step"] == 200  # nothing moves on its own
    button(lab, "Play").click()
    page.wait_for_function("document.querySelector('.l2g-explorable').l2g.get().step > 2")
    button(lab, "Pause").click()
    paused = state_of(lab)["step"]
    assert 0 < paused < 200
    page.clock.run_for(200)
    assert state_of(lab)["step"] == paused
    slider(lab, "Learning rate η").fill("-2")  # the race changes, the step stays
    assert state_of(lab)["step"] == paused
    lab.evaluate("lab => lab.l2g.set({ step: 190 })")
    button(lab, "Play").click()
    page.wait_for_function("document.querySelector('.l2g-explorable').l2g.get().step === 200")
    assert button(lab, "Play").count() == 1
    button(lab, "Beat the valley").click()
    page.wait_for_function("document.querySelector('.l2g-explorable').l2g.get().step > 5")
    button(lab, "Reset").click()
    assert button(lab, "Play").count() == 1
    assert state_of(lab)["step"] == 200


def test_words_belong_to_the_race_that_plays(page, tmp_path):
    page.emulate_media(reduced_motion="no-preference")
    page.clock.install()
    lab = open_lab(page, tmp_path)
    page.clock.pause_at(page.evaluate("Date.now()") + 1000)
    before = lab.locator(".say").inner_text()
    assert "Momentum 67" in before
    button(lab, "GD at the edge").click()
    page.clock.run_for(300)
    assert 0 < state_of(lab)["step"] < 40
    question = lab.locator(".say").inner_text()
    assert question.startswith("The rate is 2/λmax, here 2/κ.")
    page.clock.run_for(500)
    assert lab.locator(".say").inner_text() == question  # and nothing is said a second time
    page.clock.run_for(3000)
    assert "across the valley each step overshoots" in lab.locator(".say").inner_text()


@pytest.mark.parametrize("viewport", [(1280, 740), (390, 740)])
def test_the_verdict_of_an_experiment_is_seen_with_its_race(page, tmp_path, viewport):
    lab = open_lab(page, tmp_path)
    button(lab, "Cross Rosenbrock").click()
    lab.get_by_text("Not there in 500 steps: GD").wait_for()
    for part in (".map", ".answer", ".say"):
        box = lab.locator(part).bounding_box()
        assert 0 <= box["y"] <= box["y"] + box["height"] <= 740, part


# Things to try


def test_experiment_gd_at_the_edge_bounces_for_ever(page, tmp_path):
    lab = open_lab(page, tmp_path)
    button(lab, "GD at the edge").click()
    lab.get_by_text("GD has the rate 2/κ = 0.1: across the valley each step overshoots").wait_for()
    path, losses = (double(v["gd"]) for v in list(compute(lab, [state_of(lab)])[0].values())[:2])
    assert losses[-1] > 0.7 * losses[0]
    across = path @ double([-math.sin(math.radians(25)), math.cos(math.radians(25))])
    across -= double([1, 0.5]) @ double([-math.sin(math.radians(25)), math.cos(math.radians(25))])
    torch.testing.assert_close(across[1:], -across[:-1])


def test_experiment_momentum_beats_the_valley(page, tmp_path):
    lab = open_lab(page, tmp_path)
    button(lab, "Beat the valley").click()
    steps = {name: int(cells(lab)[name][2]) for name in ("gd", "momentum", "nesterov")}
    assert steps["gd"] > 4 * max(steps["momentum"], steps["nesterov"])
    slider(lab, "Momentum μ").fill("0")  # now it is gradient descent
    assert cells(lab)["momentum"] == cells(lab)["gd"]


def test_experiment_turning_the_valley_stops_what_scales_the_axes(page, tmp_path):
    lab = open_lab(page, tmp_path)
    button(lab, "Turn the valley").click()
    before = {name: int(cells(lab)[name][2]) for name in ("momentum", "adagrad", "rmsprop", "adam")}
    assert before["rmsprop"] < before["momentum"]
    slider(lab, "Valley turned by").fill("45")
    after = {name: cells(lab)[name][2] for name in before}
    assert after["momentum"] == str(before["momentum"])
    assert after["adagrad"] == after["adam"] == "–"
    assert int(after["rmsprop"]) > 3 * before["rmsprop"]


def test_experiment_adam_crosses_rosenbrock_but_can_be_beaten(page, tmp_path):
    lab = open_lab(page, tmp_path)
    button(lab, "Cross Rosenbrock").click()
    assert cells(lab)["gd"][2] == "–"
    assert lab.locator(".answer").inner_text().startswith("Adam arrives first")
    button(lab, "Tune every rate").click()
    assert lab.locator(".answer").inner_text().startswith("Momentum arrives first")


def test_experiment_half_the_rate_halves_the_noise_floor(page, tmp_path):
    lab = open_lab(page, tmp_path)
    button(lab, "The noise floor").click()
    state = state_of(lab) | {"optimizers": ["gd"]}
    states = [state | {"lr_gd": lr, "seed": seed} for lr in (0.06, 0.03) for seed in range(20)]
    tails = [sum(r["losses"]["gd"][250:]) / 251 for r in compute(lab, states)]
    high, low = sum(tails[:20]) / 20, sum(tails[20:]) / 20
    assert low < 0.6 * high


def test_experiment_one_rate_for_all_has_another_winner_than_tuned_rates(page, tmp_path):
    lab = open_lab(page, tmp_path)
    button(lab, "One rate for all").click()
    assert {rate for rate, *_ in cells(lab).values()} == {"0.1"}
    before = cells(lab)
    assert before["momentum"][2] == before["nesterov"][2] == "diverged"
    winner = lab.locator(".answer").inner_text()
    button(lab, "Tune every rate").click()
    assert lab.locator(".answer").inner_text().split()[0] != winner.split()[0]
    assert cells(lab)["adam"][2] != "–"
    state = state_of(lab)
    assert all(state[f"weight_decay_{name}"] == 0 for name in NAMES)
    assert all(state[f"lr_{name}"] < 100 for name in NAMES)


def test_decay_that_throws_the_weights_away_is_told(page, tmp_path):
    state = {"optimizers": ["adam", "adamw"], "selected": "adamw", "lr_adamw": 100.0}
    state |= {"weight_decay_adam": 1.0, "lr_adam": 2.0}  # in the gradient: no such danger
    lab = open_lab(page, tmp_path, state)
    told = lab.locator(".say").inner_text()
    assert "AdamW has ηλ = 1: each step first sets the weights to 0" in told
    assert "Adam has ηλ" not in told
    assert cells(lab)["adamw"][2] == "–"  # the minimum lies elsewhere
    slider(lab, "Weight decay λ").fill("0.02")
    lab.get_by_text("ηλ = 2: each step first throws the weights past 0").wait_for()
    slider(lab, "Learning rate η").fill("-1")
    lab.get_by_text("Steps until the loss stays below").wait_for()
    assert "ηλ" not in lab.locator(".say").inner_text()


def test_experiments_stay_within_the_limits_and_reset_brings_the_beginning_back(page, tmp_path):
    lab = open_lab(page, tmp_path, {"surface": "beale", "steps": 120})
    beginning = state_of(lab)
    assert lab.locator(".try button").count() == 6
    for experiment in lab.locator(".try button").all():
        experiment.click()
        state = state_of(lab)
        assert Explorable("optimizer_playground", **state).state == state
        assert state != beginning
        button(lab, "Reset").click()
        assert state_of(lab) == beginning


# Names and words


def test_every_control_has_a_role_and_a_name(page, tmp_path):
    lab = open_lab(page, tmp_path)
    labels = ["GD", "Momentum", "Nesterov", "Adagrad", "Adadelta", "RMSprop", "Adam", "AdamW"]
    names = {
        "radio": [surface.capitalize() for surface in SURFACES],
        "checkbox": [f"Race {label}" for label in labels],
        "slider": ["Condition number κ", "Valley turned by", "Start x", "Start y", "Steps"],
        "button": ["Back to the start", "Play", "One step on", "Previous optimizer"],
    }
    names["slider"] += ["Goal as a share of the first loss", "Step shown"]
    names["slider"] += ["Learning rate η", "Momentum μ", "Weight decay λ"]
    names["button"] += ["Next optimizer", "Tune every rate", "Copy link", "Reset"]
    names["button"] += [f"Dials of {label}" for label in labels]
    names["button"] += lab.locator(".try button").all_inner_texts()
    names["button"] += [lab.locator(".handle").get_attribute("aria-label")]
    for role, expected in names.items():
        for name in expected:
            assert lab.get_by_role(role, name=name, exact=True).count() == 1, name
    assert lab.locator("input, button").count() == sum(map(len, names.values()))
    assert lab.get_by_role("group", name="Surface").count() == 1
    assert lab.locator(".say").get_attribute("aria-live") == "polite"
    pressed = lab.locator("[aria-pressed=true]")
    assert [mark.get_attribute("aria-label") for mark in pressed.all()] == ["Dials of Momentum"]
    assert lab.get_by_role("row").count() == 9
    assert lab.get_by_role("rowheader").count() == 8


@pytest.mark.parametrize(
    ("state", "verdict", "sentence"),
    [
        ({}, "Momentum arrives first, after 67 steps", "Momentum 67, GD 88, Adam 176."),
        ({"steps": 40}, "Nobody arrives in 40 steps", "Not there in 40 steps: GD, Momentum, Adam."),
        ({"optimizers": []}, "Nobody races", "Tick an optimizer"),
        ({"lr_gd": 0.04, "optimizers": ["gd"]}, "All diverge", "1.2 times the largest stable rate"),
        ({"surface": "beale", "lr_gd": 1.0, "optimizers": ["gd"]}, "All diverge", "Diverged: GD."),
        ({"step": 100}, "Step 100: Momentum is lowest", "Momentum 67"),
        ({"step": 0}, "At the start the loss is 52.1", "Momentum 67"),
    ],
)
def test_the_sentence_fits_the_state(page, tmp_path, state, verdict, sentence):
    lab = open_lab(page, tmp_path, state)
    assert lab.locator(".answer").inner_text() == verdict
    assert sentence in lab.locator(".say").inner_text()


def test_labs_on_one_page_do_not_touch_each_other(page, tmp_path):
    open_lab(page, tmp_path, {}, {}, {"surface": "saddle"})
    labs = page.locator(LAB).all()
    slider(labs[1], "Steps").fill("90")
    labs[2].get_by_label("Race GD").uncheck()
    assert [state_of(lab)["steps"] for lab in labs] == [200, 90, 200]
    assert [state_of(lab)["surface"] for lab in labs] == ["quadratic", "quadratic", "saddle"]
    assert state_of(labs[0])["optimizers"] == ["gd", "momentum", "adam"]
