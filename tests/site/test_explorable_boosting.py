"""The boosting stepper in a real browser: its numbers against l2g.ensembles, its controls."""

from functools import partial

import numpy as np
import pytest
import torch
from explorable_page import LAB, PHONE, compute, helpers_of, state_of

from l2g.ensembles import AdaBoost, Stump
from l2g.explore import Explorable

close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)
MADE = ["moons", "ring", "crossed"]


open_lab, full = helpers_of("boosting_stepper")


def coarse(seed, n=24, levels=4):
    """Points on a coarse grid, many of them one upon another: everything is a tie."""
    draw = torch.Generator().manual_seed(seed)
    grid = torch.randint(levels, (2, n), generator=draw) / (levels - 1)
    labels = 2 * torch.randint(2, (n,), generator=draw) - 1
    return full(data="own", x=grid[0], y=grid[1], labels=labels.float(), round=200)


def check(result):
    """All that the browser says of one state is what the package says."""
    x = torch.tensor([result["x"], result["y"]], dtype=torch.float64).T
    y = torch.tensor(result["labels"])
    T = result["round"]
    boost = AdaBoost(lambda seed: Stump(), max(T, 1)).fit(x, y)
    stumps = result["stumps"]
    assert len(stumps) == T == len(boost.learners[:T])
    assert [h["feature"] for h in stumps] == [h.feature for h in boost.learners]
    assert [h["sign"] for h in stumps] == [h.sign for h in boost.learners]
    assert [h["threshold"] for h in stumps] == [h.threshold for h in boost.learners]
    close([h["alpha"] for h in stumps], boost.alphas)
    close([h["error"] for h in stumps], boost.errors)
    close(result["weights"], boost.weights[T])
    close(result["scores"], boost.scores(x)[-1])
    close(result["margins"], boost.margins(x, y)[-1])
    assert result["wrong"] == (boost.predict(x) != y).tolist()


@pytest.mark.parametrize("data", MADE)
@pytest.mark.parametrize("flips", [0.0, 0.2])
def test_every_round_agrees_with_the_package(page, tmp_path, data, flips):
    states = [full(data=data, flips=flips, seed=5, round=t) for t in (1, 2, 3, 10, 60, 200)]
    for result in compute(open_lab(page, tmp_path), states):
        check(result)


def test_ties_are_broken_in_the_same_way(page, tmp_path):
    results = compute(open_lab(page, tmp_path), [coarse(seed) for seed in range(30)])
    assert sum(result["round"] > 0 for result in results) > 20
    for result in results:
        if result["round"]:
            check(result)


def test_a_stump_without_a_mistake_decides_alone(page, tmp_path):
    state = full(data="own", x=[0.1, 0.2, 0.7], y=[0.5, 0.1, 0.3], labels=[-1, -1, 1], round=9)
    (result,) = compute(open_lab(page, tmp_path), [state])
    assert (result["round"], result["end"]) == (1, "perfect")
    check(result)


def test_where_no_stump_beats_a_coin_nothing_begins(page, tmp_path):
    corners = dict(x=[0.2, 0.2, 0.8, 0.8], y=[0.2, 0.8, 0.2, 0.8], labels=[1, -1, -1, 1])
    (result,) = compute(open_lab(page, tmp_path), [full(data="own", round=5, **corners)])
    assert (result["round"], result["end"]) == (0, "coin")
    x = torch.tensor([corners["x"], corners["y"]]).T
    with pytest.raises(ValueError, match="no better than a coin"):
        AdaBoost(lambda seed: Stump(), 5).fit(x, torch.tensor(corners["labels"]))


def test_the_seed_decides_and_labels_are_turned_over(page, tmp_path):
    lab = open_lab(page, tmp_path)
    states = [full(seed=1), full(seed=1, flips=0.25), full(seed=2)]
    plain, flipped, other = compute(lab, states)
    assert plain["x"] == flipped["x"]
    assert sum(a != b for a, b in zip(plain["labels"], flipped["labels"], strict=True)) == 10
    assert plain["x"] != other["x"]
    assert all(0 <= v <= 1 for v in plain["x"] + plain["y"])


def test_what_is_written_is_what_is_computed(page, tmp_path):
    lab = open_lab(page, tmp_path, {"round": 3})
    (result,) = compute(lab, [full(round=3)])
    row = lab.locator("tbody tr").nth(2).locator("td").all_inner_texts()
    newest = result["stumps"][-1]
    assert row[1:] == [
        f"{newest['error']:.3f}",
        f"{newest['alpha']:.3f}",
        str(sum(result["wrong"])),
    ]
    assert lab.locator(".point.wrong").count() == sum(result["wrong"]) + 1  # and the legend's
    answer = f"Round 3: the sum is wrong on {sum(result['wrong'])} of 40 points"
    assert lab.locator(".answer").inner_text() == answer
    lab.get_by_text(f"so its vote is α = {newest['alpha']:.3f}").wait_for()


def test_dots_grow_with_their_weight(page, tmp_path):
    lab = open_lab(page, tmp_path, {"round": 4})
    (result,) = compute(lab, [full(round=4)])
    sizes = [box.bounding_box()["width"] for box in lab.locator(".points .point").all()]
    expected = 10 * np.sqrt(np.array(result["weights"]) * 40).clip(0.5, 3.2)
    np.testing.assert_allclose(sizes, expected, atol=0.11)


def test_buttons_go_through_the_rounds(page, tmp_path):
    lab = open_lab(page, tmp_path)
    lab.get_by_role("button", name="Next round").click()
    assert state_of(lab)["round"] == 1
    lab.get_by_role("button", name="Ten rounds").click()
    assert state_of(lab)["round"] == 11
    lab.get_by_role("button", name="One round back").click()
    assert state_of(lab)["round"] == 10
    lab.get_by_role("button", name="Ring").click()
    assert (state_of(lab)["data"], state_of(lab)["round"]) == ("ring", 0)
    assert lab.get_by_role("button", name="One round back").is_disabled()
    lab.get_by_role("button", name="Reset").click()
    assert state_of(lab) == Explorable("boosting_stepper").state


def test_taps_add_points_of_the_chosen_class(page, tmp_path):
    lab = open_lab(page, tmp_path)
    lab.get_by_role("button", name="Clear").click()
    lab.get_by_text("Tap into the map").wait_for()
    plot = lab.locator(".map")
    box = plot.bounding_box()
    plot.click(position={"x": 0.25 * box["width"], "y": 0.25 * box["height"]})
    lab.get_by_role("button", name="Next point").click()
    plot.click(position={"x": 0.75 * box["width"], "y": 0.5 * box["height"]})
    state = state_of(lab)
    np.testing.assert_allclose([state["x"], state["y"]], [[0.25, 0.75], [0.75, 0.5]], atol=0.01)
    assert state["labels"] == [1, -1]
    lab.get_by_role("button", name="Take a point back").click()
    assert state_of(lab)["labels"] == [1]


def test_a_point_more_keeps_the_others(page, tmp_path):
    lab = open_lab(page, tmp_path)
    before = compute(lab, [full()])[0]
    lab.locator(".map").click(position={"x": 20, "y": 20})
    assert state_of(lab)["data"] == "own"
    assert state_of(lab)["x"][:-1] == before["x"]
    assert len(state_of(lab)["x"]) == 41


@pytest.mark.parametrize("viewport", [(760, 900), PHONE])
def test_keyboard(page, tmp_path, viewport):
    lab = open_lab(page, tmp_path)
    lab.get_by_label("Round", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert state_of(lab)["round"] == 2
    lab.get_by_label("Share of labels turned over").focus()
    page.keyboard.press("ArrowRight")
    assert state_of(lab)["flips"] == 0.05
    lab.get_by_role("button", name="Clear").focus()
    page.keyboard.press("Enter")
    cursor = lab.locator(".cursor")
    cursor.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Enter")
    state = state_of(lab)
    close([state["x"][0], state["y"][0]], [0.55, 0.51])
    assert "class +1 at 0.55, 0.51" in cursor.get_attribute("aria-label")


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({}, "has the same weight"),
        ({"round": 2}, "The newest stump says"),
        ({"data": "own"}, "Tap into the map"),
        ({"data": "own", "x": [0.1, 0.9], "y": [0.5, 0.5], "labels": [1, -1], "round": 1}, "alone"),
        ({"data": "own", "x": [0.5, 0.5], "y": [0.5, 0.5], "labels": [1, -1]}, "cannot begin"),
    ],
)
def test_it_says_what_happened(page, tmp_path, state, sentence):
    lab = open_lab(page, tmp_path, state)
    assert sentence in lab.locator(".say").inner_text()
    assert lab.locator(".say").get_attribute("aria-live") == "polite"
    assert page.locator(LAB).count() == 1
