"""The softmax lab in a real browser: its numbers against PyTorch, its controls, its looks."""

import math
from itertools import pairwise

import pytest
import torch
from explorable_page import LAB, PHONE, helpers_of, state_of

from l2g.explore import Explorable
from l2g.losses import cross_entropy, softmax

open_lab, _ = helpers_of("softmax_lab")


def shown(lab, column):
    return lab.locator(f".rows .{column}").all_inner_texts()


def random_states(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for i in range(n):
        k = 2 + i % 9
        spread = (20.0, 5.0, 0.5)[i % 3]
        logits = (spread * (2 * torch.rand(k, generator=generator) - 1)).double()
        if i % 5 == 0:  # extremes
            logits = 20 * logits.sign().double()
        yield {
            "logits": logits.tolist(),
            "target": int(torch.randint(k, (), generator=generator)),
            "temperature": (0.1, 0.37, 1.0, 2.5, 10.0)[i // 2 % 5],
            "sigmoid": i % 2 == 1,
        }


def reference(state):
    logits = torch.tensor(state["logits"], dtype=torch.float64, requires_grad=True)
    scores = torch.sigmoid(logits) if state["sigmoid"] else logits
    scaled = scores / state["temperature"]
    loss = cross_entropy(scaled[None], torch.tensor([state["target"]]))
    torch.testing.assert_close(
        loss, torch.nn.functional.cross_entropy(scaled[None], torch.tensor([state["target"]]))
    )
    (grad,) = torch.autograd.grad(loss, logits)
    return {"scores": scores, "probs": softmax(scaled), "loss": loss, "grad": grad}


def test_numbers_agree_with_pytorch(page, tmp_path):
    states = list(random_states(400))
    lab = open_lab(page, tmp_path, {})
    results = lab.evaluate("(lab, states) => states.map(lab.l2g.compute)", states)
    for state, result in zip(states, results, strict=True):
        for name, expected in reference(state).items():
            actual = torch.tensor(result[name], dtype=torch.float64)
            torch.testing.assert_close(actual, expected.detach(), rtol=1e-9, atol=1e-9)


def test_ties_are_those_of_float32(page, tmp_path):
    generator = torch.Generator().manual_seed(1)
    states = [
        {"logits": (low + torch.randint(41, (6,), generator=generator) / 10).tolist(), "target": 0}
        | {"temperature": 1.0, "sigmoid": sigmoid}
        for low in (-20, -1, 12, 15, 16)
        for sigmoid in (False, True)
        for _ in range(20)
    ]
    edge = [16.6, 16.7, 20.0, 0.0]  # on both sides of 24 ln 2 = 16.64
    states.append({"logits": edge, "target": 0, "temperature": 1.0, "sigmoid": True})
    lab = open_lab(page, tmp_path, {})
    results = lab.evaluate("(lab, states) => states.map(s => lab.l2g.compute(s).ties)", states)
    for state, ties in zip(states, results, strict=True):
        scores = torch.tensor(state["logits"])
        scores = torch.sigmoid(scores) if state["sigmoid"] else scores
        assert ties == (scores == scores.max()).nonzero().flatten().tolist()
    assert results[-1] == [1, 2]
    assert any(len(ties) > 1 for ties in results)


@pytest.mark.parametrize("k", [2, 5, 10])
def test_the_band_is_the_range_of_the_loss_behind_a_sigmoid(page, tmp_path, k):
    lab = open_lab(page, tmp_path, {})
    base = {"logits": [0.0] * k, "target": 0, "temperature": 1.0, "sigmoid": True}
    best = base | {"logits": [20.0] + [-20.0] * (k - 1)}
    worst = base | {"logits": [-20.0] + [20.0] * (k - 1)}
    inside = [s for s in random_states(300) if s["sigmoid"]]
    compute = "(lab, states) => states.map(lab.l2g.compute)"
    low, high = lab.evaluate(compute, [base])[0]["bounds"]
    assert low == pytest.approx(math.log(1 + (k - 1) / math.e), abs=1e-12)
    assert high == pytest.approx(math.log(1 + (k - 1) * math.e), abs=1e-12)
    reached = [result["loss"] for result in lab.evaluate(compute, [best, worst])]
    assert reached == pytest.approx([low, high], abs=1e-6)
    for result in lab.evaluate(compute, inside):
        assert result["bounds"][0] < result["loss"] < result["bounds"][1]


def test_what_is_written_is_what_is_computed(page, tmp_path):
    state = {"logits": [1.2, -0.7, 2.3], "target": 1, "temperature": 1.6, "sigmoid": True}
    lab = open_lab(page, tmp_path, state)
    expected = reference(state)

    def text(values):
        return [f"{value:.3f}".replace("-", "−") for value in values.tolist()]

    assert shown(lab, "z") == ["1.2", "−0.7", "2.3"]
    assert shown(lab, "s") == [f"σ {value}" for value in text(expected["scores"])]
    assert shown(lab, "num.p") == text(expected["probs"])
    assert shown(lab, "num.g") == text(expected["grad"])
    assert lab.locator(".value").inner_text() == f"{expected['loss']:.3f}"
    assert "chance: ln 3 = 1.099" in lab.locator(".scale").inner_text()
    low, high = (math.log(1 + 2 * math.exp(sign / 1.6)) for sign in (-1, 1))
    assert f"reachable: {low:.3f} to {high:.3f}" in lab.locator(".scale").inner_text()


@pytest.mark.parametrize("viewport", [PHONE])
def test_on_a_phone_every_quantity_has_a_row_and_nothing_speaks_of_keys(page, tmp_path):
    lab = open_lab(page, tmp_path, {})
    row = lab.locator(".rows .row").first
    boxes = [cell.bounding_box() for cell in row.get_by_role("cell").all()]
    for above, below in pairwise(boxes):
        assert below["y"] >= above["y"] + above["height"] - 1
    assert len({box["x"] for box in boxes}) == len({box["width"] for box in boxes}) == 1
    assert "arrow keys" not in lab.locator(".lab").inner_text()


def test_bars_are_as_long_as_their_numbers(page, tmp_path):
    lab = open_lab(page, tmp_path, {"logits": [4.0, -10.0, 4.0], "target": 0})
    lengths = lab.evaluate(
        """lab => [".raw", ".fill.p", ".fill.g"].map(bar =>
            [...lab.shadowRoot.querySelectorAll(`.rows ${bar}`)].map(e =>
                e.getBoundingClientRect().width / e.parentElement.getBoundingClientRect().width))"""
    )
    assert lengths[0] == pytest.approx([0.1, 0.25, 0.1], abs=0.01)  # of 40 units
    assert lengths[1] == pytest.approx([0.5, 0, 0.5], abs=0.01)
    assert lengths[2] == pytest.approx([0.25, 0, 0.25], abs=0.01)  # of -1 to 1


@pytest.mark.parametrize("viewport", [(1100, 800), PHONE])
def test_dragging_a_bar_with_the_mouse(page, tmp_path, viewport):
    lab = open_lab(page, tmp_path, {})
    lab.get_by_label("Score of class 2").scroll_into_view_if_needed()
    box = lab.get_by_label("Score of class 2").bounding_box()
    y = box["y"] + box["height"] / 2
    usable = box["width"] - 22  # the thumb's centre stops half a thumb from either end

    def at(z):
        return box["x"] + 11 + (z + 20) / 40 * usable

    page.mouse.move(at(-3), y)
    page.mouse.down()
    page.mouse.move(at(5), y, steps=4)
    page.mouse.move(at(10), y, steps=4)
    page.mouse.up()
    logits = state_of(lab)["logits"]
    assert logits[2] == pytest.approx(10, abs=0.3)
    assert logits[:2] + logits[3:] == [4, 6, 5, -8]
    bar = lab.locator(".rows .raw").nth(2).bounding_box()
    assert bar["x"] + bar["width"] == pytest.approx(at(10), abs=2)  # the bar ends under the thumb


@pytest.mark.parametrize("viewport", [PHONE])
def test_dragging_a_bar_with_a_finger(page, tmp_path):
    lab = open_lab(page, tmp_path, {})
    slider = lab.get_by_label("Score of class 1")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)

    def send(kind, *points):
        points = [{"x": x, "y": y} for x in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", box["x"] + box["width"] / 2 + 6 / 40 * (box["width"] - 22))
    for x in (70, 40, 12):
        send("touchMove", box["x"] + x)
    send("touchEnd")
    assert state_of(lab)["logits"][1] < -18


def test_keyboard(page, tmp_path):
    lab = open_lab(page, tmp_path, {})
    lab.get_by_label("Score of class 0").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert state_of(lab)["logits"][0] == 4.2
    page.keyboard.press("ArrowLeft")
    assert state_of(lab)["logits"][0] == 4.1
    page.keyboard.press("End")
    assert state_of(lab)["logits"][0] == 20
    page.keyboard.press("Tab")  # the radio buttons: one stop, at the chosen class
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    assert state_of(lab)["logits"][1] == -20
    lab.get_by_label("Temperature T").focus()
    page.keyboard.press("ArrowLeft")
    assert state_of(lab)["temperature"] == pytest.approx(10**-0.01)
    page.keyboard.press("Home")
    assert state_of(lab)["temperature"] == pytest.approx(0.1)
    lab.get_by_label("Class 1 is the true class").focus()
    page.keyboard.press("ArrowDown")
    assert state_of(lab)["target"] == 2
    lab.get_by_role("switch").focus()
    page.keyboard.press("Space")
    assert state_of(lab)["sigmoid"] is True
    lab.get_by_role("button", name="Reset").focus()
    page.keyboard.press("Enter")
    assert state_of(lab) == Explorable("softmax_lab").state


def test_every_control_has_a_role_and_a_name(page, tmp_path):
    lab = open_lab(page, tmp_path, {})
    names = {
        "slider": [f"Score of class {k}" for k in range(5)] + ["Temperature T"],
        "radio": [f"Class {k} is the true class" for k in range(5)],
        "switch": ["The sigmoid trap"],
        "button": ["One class fewer", "One class more"],
    }
    names["button"] += ["Add 5 to every score", "Saturate", "Confidently wrong", "Reset"]
    for role, labels in names.items():
        for label in labels:
            assert lab.get_by_role(role, name=label).count() == 1, label
    assert lab.locator("input, button").count() == sum(map(len, names.values()))
    assert lab.get_by_label("Score of class 1").get_attribute("aria-valuetext") == (
        "6.0, probability 0.665"
    )
    assert lab.locator(".say").get_attribute("aria-live") == "polite"
    # Key events leave a shadow tree with the host as their target: JupyterLab looks there.
    assert lab.get_attribute("data-lm-suppress-shortcuts") == "true"


def test_every_table_row_has_as_many_cells_as_the_header(page, tmp_path):
    lab = open_lab(page, tmp_path, {})
    rows = lab.get_by_role("row")
    assert rows.count() == 6
    assert rows.nth(0).get_by_role("columnheader").count() == 4
    for k in range(1, 6):
        assert rows.nth(k).get_by_role("rowheader").count() == 1
        assert rows.nth(k).get_by_role("cell").count() == 3


def test_number_of_classes_stays_between_2_and_10(page, tmp_path):
    lab = open_lab(page, tmp_path, {"target": 4})
    more, fewer = (lab.get_by_role("button", name=f"One class {way}") for way in ("more", "fewer"))
    for _ in range(5):
        more.click()
    assert state_of(lab)["logits"] == [4, 6, -3, 5, -8, 0, 0, 0, 0, 0]
    assert more.is_disabled()
    for _ in range(8):
        fewer.click()
    assert state_of(lab)["logits"] == [4, 6]
    assert state_of(lab)["target"] == 1
    assert fewer.is_disabled()
    assert lab.locator(".rows .row").count() == 2


def test_adding_5_changes_nothing_but_the_scores(page, tmp_path):
    lab = open_lab(page, tmp_path, {})
    page.emulate_media(reduced_motion="no-preference")
    lab.evaluate(
        """lab => {
            const read = name => [...lab.shadowRoot.querySelectorAll(".rows ." + name)]
                .map(e => e.textContent).join(" ");
            window.frames_seen = [];
            const record = () => {
                frames_seen.push([read("z"), read("num.p") + read("num.g")]);
                requestAnimationFrame(record);
            };
            record();
        }"""
    )
    lab.get_by_role("button", name="Add 5").click()
    assert state_of(lab)["logits"] == [9, 11, 2, 10, -3]  # at once; only the picture glides
    page.wait_for_function("frames_seen.at(-1)[0] === '9.0 11.0 2.0 10.0 −3.0'")
    scores, rest = zip(*page.evaluate("frames_seen"), strict=True)
    assert len(set(scores)) > 3
    assert len(set(rest)) == 1
    lab.get_by_text("Softmax sees only the differences").wait_for()
    assert lab.get_by_role("button", name="Add 5").is_enabled()
    lab.get_by_label("Score of class 1").fill("15.1")
    assert lab.get_by_role("button", name="Add 5").is_disabled()


def test_behind_the_sigmoid_adding_5_moves_the_loss(page, tmp_path):
    lab = open_lab(page, tmp_path, {"sigmoid": True})
    before = lab.locator(".value").inner_text()
    lab.get_by_role("button", name="Add 5").click()
    after = lab.locator(".value").inner_text()
    lab.get_by_text(f"from {before} to {after}").wait_for()
    assert before != after


@pytest.mark.parametrize(("k", "m"), [(2, 2), (3, 2), (5, 3), (10, 5)])
def test_saturated_scores_tie_only_behind_the_sigmoid(page, tmp_path, k, m):
    lab = open_lab(page, tmp_path, {"logits": [0.0] * k, "target": 1})
    lab.get_by_role("button", name="Saturate").click()
    assert lab.locator(".answer").inner_text() == "argmax: class 1 ✓ right"
    lab.get_by_role("switch").check()
    answer = f"{m} classes tie for the maximum; argmax takes class 0, the lowest index ✗ wrong"
    assert lab.locator(".answer").inner_text() == answer
    assert shown(lab, "tag").count("tie") == m
    lab.get_by_text("What the model knew about their order is lost").wait_for()


def test_the_trap_silences_the_gradient_of_a_confident_mistake(page, tmp_path):
    lab = open_lab(page, tmp_path, {})
    lab.get_by_role("button", name="Confidently wrong").click()
    assert shown(lab, "num.g")[1] == "−1.000"
    lab.get_by_text("Confidently wrong: the loss is about").wait_for()
    lab.get_by_role("switch").check()
    assert shown(lab, "num.g")[1] == "−5·10⁻⁶"
    lab.get_by_text("its gradient is only −5·10⁻⁶").wait_for()


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"logits": [3.0, 3.0, 3.0]}, "the loss is ln 3 = 1.099"),
        ({"logits": [9.0, 0.0], "target": 0}, "Right and sure"),
        ({"logits": [1.0, 0.0], "target": 1}, "The true class is not in front"),
        ({"logits": [1.0, 0.0], "target": 0, "temperature": 5.0}, "T = 5.00 shrinks"),
        ({"logits": [20.0, -20.0], "target": 0, "sigmoid": True}, "cannot fall below 0.313"),
        ({"logits": [1.0, 0.0], "sigmoid": True}, "stays between 0.313 and 1.313"),
    ],
)
def test_the_sentence_fits_the_state(page, tmp_path, state, sentence):
    lab = open_lab(page, tmp_path, state)
    assert sentence in lab.locator(".say").inner_text()


def test_the_sentence_is_spoken_once_per_pause(page, tmp_path):
    lab = open_lab(page, tmp_path, {})
    lab.evaluate(
        """lab => {
            window.spoken = 0;
            new MutationObserver(changes => { spoken += changes.length; }).observe(
                lab.shadowRoot.querySelector(".say"), { childList: true });
            for (let z = -20; z <= 20; z++) lab.l2g.set({ logits: [z, 0, 0] });
        }"""
    )
    lab.get_by_text("The true class is not in front").or_(
        lab.get_by_text("Confidently wrong: the loss")
    ).first.wait_for()
    assert page.evaluate("spoken") == 1


def test_labs_on_one_page_do_not_touch_each_other(page, tmp_path):
    open_lab(page, tmp_path, {}, {}, {"logits": [1, 2, 3], "target": 2})
    labs = page.locator(LAB).all()
    assert [len(state_of(lab)["logits"]) for lab in labs] == [5, 5, 3]
    labs[1].get_by_label("Class 3 is the true class").check()
    labs[1].get_by_role("switch").check()
    labs[2].get_by_role("button", name="Confidently wrong").click()
    assert [state_of(lab)["target"] for lab in labs] == [1, 3, 2]
    assert [state_of(lab)["sigmoid"] for lab in labs] == [False, True, False]
    assert state_of(labs[0]) == Explorable("softmax_lab").state
    assert [lab.get_by_role("radio", checked=True).count() for lab in labs] == [1, 1, 1]
