"""The leak simulator in a real browser: its numbers against l2g and NumPy, controls and words."""

import numpy as np
import pytest
import torch
from explorable_page import LAB, helpers_of, state_of

from l2g.explore import Explorable
from l2g.resampling import grouped, k_fold

KEPT = 20


open_lab, full = helpers_of("leak_simulator")


def compute(lab, state):
    return lab.evaluate("(lab, state) => lab.l2g.compute(state)", state)


def study(lab, state, index):
    """Data of one study: inputs (n, features), labels, and those of later examples, with labels."""
    data = lab.evaluate(
        """(lab, [state, index]) => {
            const s = lab.l2g.study(index, state);
            const examples = [...Array(200).keys()];
            const part = ({ x, y }) => [s.x.map((_, j) => [...x(j)]), examples.map(y)];
            const later = { again: part(s.again), after: part(s.after) };
            return { x: s.x.map(c => [...c]), y: [...s.y], ...later };
        }""",
        [state, index],
    )
    arrays = {name: [np.array(v) for v in data[name]] for name in ("again", "after")}
    return (
        np.array(data["x"]).T,
        np.array(data["y"]),
        {name: (x.T, y) for name, (x, y) in arrays.items()},
    )


def select(x, y):
    z = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    return np.argsort(-np.abs((y[:, None] * z).mean(axis=0)), kind="stable")[:KEPT]


def guesses(rule, x, y, new):
    if rule == "averages":
        return np.where(new @ (y[:, None] * x).mean(axis=0) > 0, 1, -1)
    distances = ((new[:, None, :] - x[None]) ** 2).sum(axis=2)
    return y[distances.argmin(axis=1)]


def share(rule, x, y, new, truth, scale_by):
    center, scale = scale_by.mean(axis=0), scale_by.std(axis=0, ddof=1)
    return np.mean(guesses(rule, (x - center) / scale, y, (new - center) / scale) == truth)


def reported(x, y, state):
    person = torch.arange(len(y)) % state["people"]
    mixed = state["split"] == "mixed"
    scores = []
    for train, val in k_fold(len(y)) if mixed else grouped(person):
        train, val = train.numpy(), val.numpy()
        seen = train if state["selection"] == "inside" else slice(None)
        kept = select(x[seen], y[seen])
        scaling = x[train] if state["scaling"] == "inside" else x
        rule = state["rule"]
        part = (x[train][:, kept], y[train], x[val][:, kept], y[val], scaling[:, kept])
        scores.append(share(rule, *part))
    return np.mean(scores)


STATES = [
    {},
    {"selection": "inside"},
    {"people": 35, "recordings": 3, "features": 60, "rule": "nearest"},
    {"people": 35, "recordings": 3, "features": 60, "rule": "nearest", "split": "together"},
    {"people": 40, "recordings": 5, "features": 20, "rule": "nearest", "scaling": "inside"},
    {"people": 20, "recordings": 2, "features": 90, "signal": 0.6, "split": "together"},
    {"people": 50, "features": 200, "signal": 1.0, "selection": "inside", "scaling": "inside"},
    {"people": 45, "recordings": 2, "features": 33, "seed": 9999, "selection": "inside"},
]


@pytest.mark.parametrize("changes", STATES)
def test_what_is_reported_is_what_l2g_gives_for_the_same_data(page, tmp_path, changes):
    lab, state = open_lab(page, tmp_path), full(**changes)
    result = compute(lab, state)
    for index in (0, 7, 19):
        x, y, later = study(lab, state, index)
        assert x.shape == (state["people"] * state["recordings"], state["features"])
        expected = reported(x, y, state)
        assert result["reported"][index] == pytest.approx(expected, abs=1e-9)
        kept = select(x, y)
        for name, (new, truth) in later.items():
            share_right = share(state["rule"], x[:, kept], y, new[:, kept], truth, x[:, kept])
            what = {"again": "same", "after": "truth"}[name]
            assert result[what][index] == pytest.approx(share_right, abs=1e-9)


def test_the_data_are_what_they_are_said_to_be(page, tmp_path):
    lab = open_lab(page, tmp_path)
    state = full(people=60, recordings=5, features=120, signal=0.5)
    x, y, later = study(lab, state, 3)
    person = np.arange(300) % 60
    assert set(y) == {-1, 1}
    assert all(len(set(y[person == p])) == 1 for p in range(60))
    noise = x.copy()
    noise[:, :5] -= 0.5 * y[:, None]
    of_people = np.stack([noise[person == p].mean(axis=0) for p in range(60)])
    within = noise - of_people[person]
    assert within.var() * 5 / 4 == pytest.approx(0.2, rel=0.05)
    assert noise.var() == pytest.approx(1.0, rel=0.1)
    new, truth = later["after"]
    assert (truth[:, None] * new)[:, :5].mean() == pytest.approx(0.5, abs=0.1)
    again, label = later["again"]
    assert (label == y[:200]).all()
    assert np.corrcoef(again[:60, 7], of_people[:, 7])[0, 1] > 0.7
    assert abs(np.corrcoef(new[:60, 7], of_people[:, 7])[0, 1]) < 0.5


def test_more_features_leave_the_others_as_they_are_and_the_seed_decides(page, tmp_path):
    lab = open_lab(page, tmp_path)
    few, many = (study(lab, full(features=f), 2)[0] for f in (30, 50))
    np.testing.assert_array_equal(few, many[:, :30])
    assert not np.allclose(few, study(lab, full(features=30, seed=1), 2)[0])
    assert compute(lab, full(seed=5)) == compute(lab, full(seed=5))


def test_without_a_leak_coins_stay_coins(page, tmp_path):
    lab = open_lab(page, tmp_path)
    honest = [full(selection="inside", scaling="inside", seed=s) for s in range(3)]
    shares = [np.mean(compute(lab, state)["reported"]) for state in honest]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.04)
    assert np.mean(compute(lab, full())["reported"]) > 0.85
    people = {"recordings": 5, "features": 20, "rule": "nearest", "scaling": "inside"}
    apart, together = (
        compute(lab, full(**people, selection="inside", split=split))
        for split in ("mixed", "together")
    )
    assert np.mean(apart["reported"]) > 0.95
    assert np.mean(apart["same"]) > 0.95
    assert np.mean(together["reported"]) == pytest.approx(0.5, abs=0.08)


def test_what_is_written_and_drawn_is_what_is_computed(page, tmp_path):
    state = {"features": 100, "seed": 3}
    lab = open_lab(page, tmp_path, state)
    result = compute(lab, full(**state))
    for key in ("reported", "truth", "same"):
        for what, value in (("mean", np.mean), ("lowest", np.min), ("highest", np.max)):
            text = lab.locator(f".{key}-{what}").inner_text()
            assert float(text.removesuffix(" %")) == pytest.approx(
                100 * value(result[key]), abs=0.06
            )
    frame = lab.locator(".frame").bounding_box()
    for key in ("reported", "truth"):
        for s in (0, 11):
            box = lab.locator(f".marks .{key}").nth(s).bounding_box()
            middle = (frame["y"] + frame["height"] - box["y"] - box["height"] / 2) / frame["height"]
            assert middle == pytest.approx(result[key][s] / 1.06, abs=0.01)


@pytest.mark.parametrize(
    ("state", "verdict", "sentence"),
    [
        ({}, "A leak: too good", "The reason: the selection saw the labels of those who validate."),
        ({"selection": "inside"}, "About right: a coin", "the luck of few examples"),
        (
            {"recordings": 5, "features": 20, "rule": "nearest", "selection": "inside"},
            "A leak: too good",
            "The reason: recordings of the same people stand on both sides of the split.",
        ),
        ({"recordings": 5, "rule": "nearest"}, "A leak: too good", "validate, and recordings of"),
        ({"signal": 1.0, "selection": "inside"}, "About right", "luck"),
    ],
)
def test_the_sentence_fits_the_state(page, tmp_path, state, verdict, sentence):
    lab = open_lab(page, tmp_path, state)
    assert lab.locator(".answer").inner_text() == verdict
    assert sentence in lab.locator(".say").inner_text()


def test_keyboard(page, tmp_path):
    lab = open_lab(page, tmp_path)
    lab.get_by_role("slider", name="People").focus()
    page.keyboard.press("ArrowLeft")
    assert state_of(lab)["people"] == 55
    lab.get_by_role("slider", name="Recordings each").focus()
    page.keyboard.press("ArrowRight")
    assert state_of(lab)["recordings"] == 2
    lab.get_by_label("Features, of which 20").focus()
    page.keyboard.press("Home")
    assert state_of(lab)["features"] == 20
    page.keyboard.press("End")
    assert state_of(lab)["features"] == 500
    lab.get_by_label("Signal").focus()
    page.keyboard.press("End")
    assert state_of(lab)["signal"] == 1
    for name, key, value in [
        ("Select features", "selection", "inside"),
        ("Scale", "scaling", "inside"),
        ("Split", "split", "together"),
        ("Rule", "rule", "nearest"),
    ]:
        lab.get_by_role("combobox", name=name).select_option(value)
        assert state_of(lab)[key] == value
    lab.get_by_role("button", name="Twenty other studies").focus()
    page.keyboard.press("Enter")
    assert state_of(lab)["seed"] == 1
    lab.get_by_role("button", name="Reset").focus()
    page.keyboard.press("Space")
    assert state_of(lab) == Explorable("leak_simulator").state
    assert lab.locator(".say").get_attribute("aria-live") == "polite"
    assert lab.get_by_role("rowheader").count() == 3
    assert lab.get_by_role("cell").count() == 9


def test_labs_on_one_page_do_not_touch_each_other(page, tmp_path):
    open_lab(page, tmp_path, {}, {"people": 30})
    labs = page.locator(LAB).all()
    labs[1].get_by_role("button", name="Twenty other studies").click()
    assert [state_of(lab)["seed"] for lab in labs] == [0, 1]
    assert [state_of(lab)["people"] for lab in labs] == [60, 30]
