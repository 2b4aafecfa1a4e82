"""The threshold dial in a real browser: numbers against l2g.metrics, controls, picture."""

import re
from functools import partial

import numpy as np
import pytest
import torch
from explorable_page import LAB, PHONE, compute, helpers_of, state_of

from l2g import metrics
from l2g.explore import Explorable

close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)
STATES = [
    {},
    {"prior": 0.01, "n": 50},  # one positive
    {"prior": 0.9, "n": 50, "separation": 0},
    {"prior": 0.5, "n": 1000, "separation": 4, "miss": 50},
    {"threshold": 7},  # no alarm
    {"threshold": -4, "seed": 3},  # nothing but alarms
    {"threshold": 0.37, "separation": 1.15, "prior": 0.123, "n": 730, "miss": 7, "seed": 2**32 - 1},
]


open_lab, full = helpers_of("threshold_dial")


@pytest.fixture
def results(page, tmp_path):
    states = [full(**state) for state in STATES]
    found = compute(open_lab(page, tmp_path), states)
    return [
        (
            state,
            result,
            torch.tensor(result["scores"], dtype=torch.float64),
            torch.tensor(result["targets"]),
        )
        for state, result in zip(states, found, strict=True)
    ]


def test_the_numbers_at_the_threshold_are_those_of_l2g(results):
    for state, result, scores, y in results:
        said = (scores >= state["threshold"]).long()
        (tn, fp), (fn, tp) = metrics.confusion_matrix(said, y).tolist()
        assert [result[key] for key in ("tp", "fp", "fn", "tn")] == [tp, fp, fn, tn]
        close(result["accuracy"], (said == y).double().mean())
        close(result["at"]["precision"], metrics.precision(said, y))
        close(result["at"]["recall"], metrics.recall(said, y))
        close(result["f1"], metrics.f1(said, y))
        close(result["cost"], state["miss"] * fn + fp)


def test_the_curves_and_their_areas_are_those_of_l2g(results):
    for _, result, scores, y in results:
        fpr, tpr, _ = metrics.roc_curve(scores, y)
        precision, recall, _ = metrics.precision_recall_curve(scores, y)
        close(result["fpr"], fpr)
        close(result["tpr"], tpr)
        close(result["tpr"], recall)
        close(result["precision"], precision)
        close(result["auc"], metrics.auc(scores, y))
        close(result["ap"], metrics.average_precision(scores, y))


def test_no_threshold_costs_less_than_the_cheapest(results):
    for state, result, scores, y in results:
        costs = [
            state["miss"] * ((scores < t) & (y == 1)).sum() + ((scores >= t) & (y == 0)).sum()
            for t in [*scores, torch.inf]
        ]
        assert result["cheapest"]["cost"] == min(costs)
        t = result["cheapest"]["threshold"]
        assert costs[[*scores.tolist(), torch.inf].index(t)] == min(costs)


def test_the_scores_are_two_bell_curves_with_as_many_positives_as_asked_for(page, tmp_path):
    states = [full(n=1000, prior=0.5, separation=2, seed=seed) for seed in range(20)]
    found = compute(open_lab(page, tmp_path), states)
    scores = np.array([result["scores"] for result in found])
    y = np.array([result["targets"] for result in found])
    for label, centre in ((0, 0), (1, 2)):
        part = scores[y == label]
        assert len(part) == 10_000
        assert abs(part.mean() - centre) < 4 / np.sqrt(len(part))
        assert abs(part.var() - 1) < 4 * np.sqrt(2 / len(part))


def test_another_share_of_positives_moves_no_score(page, tmp_path):
    lab = open_lab(page, tmp_path)
    few, many = compute(lab, [full(prior=0.1), full(prior=0.5)])
    for label in (0, 1):
        kept = [
            [s for s, t in zip(r["scores"], r["targets"], strict=True) if t == label]
            for r in (few, many)
        ]
        shorter = min(map(len, kept))
        assert kept[0][:shorter] == kept[1][:shorter]
    assert (few["positives"], many["positives"]) == (50, 250)
    (other,) = compute(lab, [full(seed=1)])
    assert other["scores"] != compute(lab, [full()])[0]["scores"]


def test_what_is_written_is_what_is_computed(page, tmp_path):
    lab = open_lab(page, tmp_path, {"threshold": 1, "prior": 0.1})
    (result,) = compute(lab, [full(threshold=1, prior=0.1)])
    for key in ("tp", "fp", "fn", "tn"):
        assert lab.locator(f".{key}").inner_text() == str(result[key])
    cells = lab.locator(".numbers td").all_inner_texts()
    shares = [result["accuracy"], result["at"]["precision"], result["at"]["recall"]]
    assert cells[:3] == [f"{100 * share:.1f} %" for share in shares]
    assert cells[3:] == [f"{result['f1']:.3f}", str(result["cost"])]
    assert lab.locator(".auc").inner_text() == f"AUC {result['auc']:.3f}; dashed: chance"
    assert lab.locator(".ap").inner_text() == f"AP {result['ap']:.3f}; dashed: chance"


def points(lab, selector):
    path = lab.locator(selector).get_attribute("d")
    xy = np.array(re.findall(r"(-?[\d.]+(?:e-?\d+)?) (-?[\d.]+(?:e-?\d+)?)", path), dtype=float)
    return xy[:, 0] / 1000, 1 - xy[:, 1] / 1000


def test_lines_and_bars_are_where_their_numbers_are(page, tmp_path):
    lab = open_lab(page, tmp_path, {"threshold": 1})
    (result,) = compute(lab, [full(threshold=1)])
    close(points(lab, ".roc"), (result["fpr"], result["tpr"]))
    close(points(lab, ".pr"), (result["tpr"][1:], result["precision"][1:]))
    for selector, place in {".at-roc": "fpr", ".at-pr": "recall"}.items():
        assert points(lab, selector)[0] == pytest.approx(result["at"][place])
    scores, y = np.array(result["scores"]), np.array(result["targets"])
    bins = np.linspace(-4, 7, 23)
    heights = np.concatenate([np.histogram(scores[y == label], bins)[0] for label in (1, 0)])
    boxes = [bar.bounding_box() for bar in lab.locator(".hollow i").all()]
    drawn = np.array([box["height"] for box in boxes])
    np.testing.assert_allclose(drawn / drawn.max(), heights / heights.max(), atol=0.01)
    frame = lab.locator(".scores").bounding_box()
    line = lab.locator(".line").bounding_box()
    assert line["x"] == pytest.approx(frame["x"] + 5 / 11 * frame["width"], abs=2)


def thumb(lab, threshold):
    box = lab.get_by_label("Threshold", exact=True).bounding_box()
    x = box["x"] + 11 + (threshold + 4) / 11 * (box["width"] - 22)
    return x, box["y"] + box["height"] / 2


@pytest.mark.parametrize("viewport", [(760, 900), PHONE])
def test_the_threshold_is_dragged_below_its_line(page, tmp_path, viewport):
    lab = open_lab(page, tmp_path)
    lab.locator(".axis").scroll_into_view_if_needed()
    line = lab.locator(".line").bounding_box()
    assert line["x"] + line["width"] / 2 == pytest.approx(thumb(lab, 1.5)[0], abs=1.5)
    page.mouse.move(*thumb(lab, 1.5))
    page.mouse.down()
    page.mouse.move(*thumb(lab, 3), steps=4)
    page.mouse.up()
    assert state_of(lab)["threshold"] == pytest.approx(3, abs=0.05)
    frame = lab.locator(".scores").bounding_box()
    lab.locator(".scores").click(position={"x": frame["width"] / 11, "y": 20})
    assert state_of(lab)["threshold"] == pytest.approx(-3, abs=0.05)


def test_keyboard(page, tmp_path):
    lab = open_lab(page, tmp_path)
    lab.get_by_label("Threshold", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert state_of(lab)["threshold"] == 1.51
    page.keyboard.press("End")
    assert state_of(lab)["threshold"] == 7
    for label, key, value in (
        ("Distance of the hills", "separation", 0),
        ("Share of positives π", "prior", 0.01),
        ("Number of examples N", "n", 50),
        ("Cost of a miss", "miss", 1),
    ):
        lab.get_by_label(label).focus()
        page.keyboard.press("Home")
        assert state_of(lab)[key] == value
    lab.get_by_role("button", name="Draw other scores").focus()
    page.keyboard.press("Enter")
    assert state_of(lab)["seed"] == 1
    lab.get_by_role("button", name="Reset").focus()
    page.keyboard.press("Space")
    assert state_of(lab) == Explorable("threshold_dial").state


@pytest.mark.parametrize("miss", [1, 5, 50])
def test_the_cheapest_threshold_is_reached_by_its_button(page, tmp_path, miss):
    lab = open_lab(page, tmp_path, {"miss": miss})
    lab.get_by_role("button", name="Threshold of least cost").click()
    (result,) = compute(lab, [state_of(lab)])
    assert result["cost"] == result["cheapest"]["cost"]
    lab.get_by_text("No threshold costs less.").wait_for()


def test_every_control_has_a_role_and_a_name(page, tmp_path):
    lab = open_lab(page, tmp_path)
    assert lab.get_by_role("slider").count() == 5
    spoken = lab.get_by_label("Threshold", exact=True).get_attribute("aria-valuetext")
    assert spoken.startswith("1.50: ")
    assert spoken.endswith(lab.locator(".answer").inner_text())
    assert lab.locator(".say").get_attribute("aria-live") == "polite"
    assert lab.get_by_role("row").count() == 9
    assert lab.get_by_role("rowheader").count() == 7


@pytest.mark.parametrize(
    ("state", "verdict", "sentence"),
    [
        ({"threshold": 7}, "0 of 100 positives found, 0 false alarms", "precision is 0/0"),
        ({"threshold": -4}, "100 of 100 positives found, 400 false alarms", "Of 500 alarms 20.0 %"),
        ({"prior": 0.01, "n": 50, "threshold": -4}, "1 of 1 positive found", "this one 49."),
    ],
)
def test_the_sentence_fits_the_state(page, tmp_path, state, verdict, sentence):
    lab = open_lab(page, tmp_path, state)
    assert verdict in lab.locator(".answer").inner_text()
    assert sentence in lab.locator(".say").inner_text()


def test_labs_on_one_page_do_not_touch_each_other(page, tmp_path):
    open_lab(page, tmp_path, {}, {}, {"seed": 5})
    labs = page.locator(LAB).all()
    labs[1].get_by_label("Threshold", exact=True).fill("3")
    labs[2].get_by_role("button", name="Draw other").click()
    assert [state_of(lab)["threshold"] for lab in labs] == [1.5, 3, 1.5]
    assert [state_of(lab)["seed"] for lab in labs] == [0, 0, 6]
