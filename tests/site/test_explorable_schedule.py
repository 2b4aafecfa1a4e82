"""The schedule designer in a real browser: its rates against PyTorch, its theory, its controls."""

import math
import random
import re

import numpy as np
import pytest
import torch
from explorable_page import LAB, PHONE, helpers_of, state_of
from torch.optim import lr_scheduler

from l2g import schedules
from l2g.explore import Explorable

DEFAULT = Explorable("schedule_designer").state
DIALS = {
    "constant": ["Warm-up (total_iters)", "Begin at × (start_factor)"],
    "step": ["Drop every (step_size)", "Drop to × (gamma)"],
    "exponential": ["Each step × (gamma)"],
    "cosine": ["Lowest rate (eta_min)"],
    "restarts": ["First cycle (T_0)", "Next cycle × (T_mult)", "Lowest rate (eta_min)"],
    "onecycle": [
        "Rising part (pct_start)",
        "Peak over start (div_factor)",
        "Start over end (final_div_factor)",
    ],
    "plateau": ["Cut to × (factor)", "Patience (patience)"],
}
KINDS = list(DIALS)
WARMABLE = KINDS[:4]
for kind in WARMABLE[1:]:
    DIALS[kind] = DIALS[kind] + DIALS["constant"]


open_lab, full = helpers_of("schedule_designer")


def compute(lab, *states):
    return lab.evaluate("(lab, states) => states.map(lab.l2g.compute)", states)


def random_states(kind, n, seed=0):
    draw = random.Random(f"{kind} {seed}")
    for i in range(n):
        steps = draw.choice([50, draw.randint(51, 400), 2000])
        yield full(
            kind=kind,
            peak=10 ** draw.uniform(-3, 0),
            steps=steps,
            warmup=0 if i % 3 == 0 else draw.randint(1, min(500, steps - 1)),
            start_factor=draw.uniform(0.05, 1),
            step_size=draw.choice([5, draw.randint(6, 60), draw.randint(60, 2000)]),
            step_gamma=draw.uniform(0.5, 1),
            exp_gamma=1 - 10 ** draw.uniform(-4, -1),
            eta_min=draw.choice([0, 10 ** draw.uniform(-5, -1)]),  # sometimes above the peak
            T_0=draw.choice([10, draw.randint(11, 100), draw.randint(100, 2000)]),
            T_mult=draw.randint(1, 4),
            pct_start=draw.uniform(0.05, 0.95),
            div_factor=10 ** draw.uniform(0, 2),
            final_div_factor=10 ** draw.uniform(0, 6),
            factor=draw.uniform(0.05, 0.95),
            patience=draw.choice([0, 3, draw.randint(4, 60)]),
            w0=draw.uniform(0.5, 20),
            sigma=draw.choice([0, draw.uniform(0.01, 3)]),
            seed=draw.randrange(2**32),
        )


def rates(library, state, result):
    """What the call that is shown to the reader does, with PyTorch or with the course's library."""
    weight = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=state["peak"])
    scheduler = eval(result["call"], vars(library) | {"optimizer": optimizer})
    lrs = [optimizer.param_groups[0]["lr"]]
    for metric in result["measured"][1:-1]:
        optimizer.step()
        scheduler.step(*([metric] if state["kind"] == "plateau" else []))
        lrs.append(optimizer.param_groups[0]["lr"])
    return lrs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("library", [lr_scheduler, schedules], ids=["torch", "l2g"])
def test_the_call_that_is_shown_gives_the_rates(page, tmp_path, library, kind):
    states = list(random_states(kind, 30))
    for state, result in zip(states, compute(open_lab(page, tmp_path), *states), strict=True):
        assert len(result["lrs"]) == state["steps"]
        if kind == "constant" and state["warmup"] == 0:
            assert result["call"] == ""
            assert set(result["lrs"]) == {state["peak"]}
        else:
            expected = rates(library, state, result)
            # Below 1e-300 a float has fewer digits than that.
            np.testing.assert_allclose(result["lrs"], expected, rtol=1e-9, atol=1e-300)


def moments(lrs, w0, sigma):
    """E[w²], and the part of it that the start contributes, before each step and after the last."""
    total, start = [w0**2], [w0**2]
    for lr in lrs:
        total.append((1 - lr) ** 2 * total[-1] + lr**2 * sigma**2)
        start.append((1 - lr) ** 2 * start[-1])
    return np.array(total), np.array(start)


@pytest.mark.parametrize("kind", KINDS)
def test_the_recursion_agrees_with_numpy(page, tmp_path, kind):
    states = list(random_states(kind, 20, seed=1))
    for state, result in zip(states, compute(open_lab(page, tmp_path), *states), strict=True):
        lrs = np.array(result["lrs"])
        total, start = moments(lrs, state["w0"], state["sigma"])
        floors = lrs / (2 - lrs) * state["sigma"] ** 2
        expected = {"second": total, "start": start, "floors": floors}
        expected |= {"final": total[-1], "left": start[-1], "jump": np.abs(np.diff(lrs)).max()}
        for name, values in expected.items():
            np.testing.assert_allclose(result[name], values, rtol=1e-9, atol=1e-300, err_msg=name)


def variance_of_squares(result):
    """Var[w²] of one weight, which is Gaussian."""
    second, mean2 = np.array(result["second"]), np.array(result["start"])
    variance = second - mean2
    return 2 * variance**2 + 4 * mean2 * variance


@pytest.mark.parametrize("kind", KINDS)
def test_the_recursion_is_what_noisy_descent_does_on_average(page, tmp_path, kind):
    state = full(kind=kind, steps=200, w0=2, sigma=1.5, patience=10, step_size=70, T_0=60)
    (result,) = compute(open_lab(page, tmp_path), state)
    generator, runs = np.random.default_rng(0), 4000
    w = np.full(runs, 2.0)
    squares = [w**2]
    for lr in result["lrs"]:
        w = w - lr * (w + 1.5 * generator.standard_normal(runs))
        squares.append(w**2)
    error = np.sqrt(variance_of_squares(result) / runs)
    distance = np.abs(np.mean(squares, axis=1) - result["second"])
    assert np.all(distance[::10] <= 4.5 * error[::10] + 1e-9)


@pytest.mark.parametrize("kind", ["cosine", "restarts"])
def test_the_run_that_is_drawn_is_one_of_them(page, tmp_path, kind):
    states = [full(kind=kind, steps=60, T_0=40, w0=2, seed=seed) for seed in range(300)]
    results = compute(open_lab(page, tmp_path), *states)
    measured = np.array([result["measured"] for result in results])
    error = np.sqrt(variance_of_squares(results[0]) / (20 * len(states)))
    distance = np.abs(measured.mean(axis=0) - results[0]["second"])
    assert np.all(distance <= 4.5 * error + 1e-9)
    assert np.all(measured[:, 0] == 4)
    spread = measured.var(axis=0)[-1] / (variance_of_squares(results[0])[-1] / 20)
    assert spread == pytest.approx(1, abs=0.4)


def test_the_noise_is_standard_normal_and_the_schedule_does_not_redraw_it(page, tmp_path):
    lab = open_lab(page, tmp_path)
    # At η = 1 the weights are minus the noise of the last step: their mean square is chi-squared.
    still = full(kind="constant", peak=1, steps=2000, sigma=2)
    one, again, other = (
        np.array(result["measured"][1:]) / 4
        for result in compute(lab, still, still, still | {"seed": 1})
    )
    assert np.array_equal(one, again)
    assert abs(np.corrcoef(one, other)[0, 1]) < 4.5 / math.sqrt(2000)
    assert one.mean() == pytest.approx(1, abs=4.5 * math.sqrt(0.1 / 2000))
    assert one.var() == pytest.approx(0.1, abs=4.5 * 0.1 * math.sqrt((2 + 12 / 20) / 2000))
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 4.5 / math.sqrt(2000)
    assert np.allclose(compute(lab, still | {"steps": 70})[0]["measured"][1:], 4 * one[:70])


def constant_end(lr, state):
    kept = (1 - lr) ** (2 * state["steps"])
    return kept * state["w0"] ** 2 + lr / (2 - lr) * state["sigma"] ** 2 * (1 - kept)


def test_the_best_constant_rate_is_the_best(page, tmp_path):
    lab = open_lab(page, tmp_path)
    states = [s for s in random_states("constant", 60, seed=2) if s["sigma"] > 0]
    results = compute(lab, *states)
    best = [result["constant"] for result in results]
    at_best = [
        state | {"peak": max(found["lr"], 0.001), "warmup": 0}
        for state, found in zip(states, best, strict=True)
    ]
    grid = np.geomspace(1e-5, 1, 200_001)
    for state, found, run in zip(states, best, compute(lab, *at_best), strict=True):
        end = found["start"] + found["noise"]
        assert end == pytest.approx(constant_end(found["lr"], state), rel=1e-9)
        assert end == pytest.approx(constant_end(grid, state).min(), rel=1e-6)
        if found["lr"] > 0.001:  # the recursion agrees with the closed form
            assert run["final"] == pytest.approx(end, rel=1e-9)
            assert run["left"] == pytest.approx(found["start"], rel=1e-9)


def test_no_schedule_ends_below_the_limit_and_one_reaches_it(page, tmp_path):
    lab = open_lab(page, tmp_path)
    for kind in KINDS:
        for result in compute(lab, *random_states(kind, 12, seed=3)):
            assert result["final"] >= result["limit"]["start"] + result["limit"]["noise"]
    state = full(steps=300, w0=3, sigma=2)
    (result,) = compute(lab, state)
    m, lrs = 9.0, []
    for _ in range(300):  # the best next step, again and again
        lrs.append(m / (m + 4))
        m = (1 - lrs[-1]) ** 2 * m + lrs[-1] ** 2 * 4
    total, start = moments(lrs, 3, 2)
    assert result["limit"]["start"] == pytest.approx(start[-1], rel=1e-9)
    assert result["limit"]["noise"] == pytest.approx(total[-1] - start[-1], rel=1e-9)


def test_without_noise_everything_ends_at_the_minimum(page, tmp_path):
    (result,) = compute(open_lab(page, tmp_path, {"sigma": 0}), full(sigma=0))
    assert result["limit"] == {"start": 0, "noise": 0}
    assert result["final"] == result["left"]
    assert result["constant"]["start"] < 1e-12


def scale(lab, column):
    """From a height in the picture, 0 to 1000, to the value that the axis gives it."""
    marks = lab.locator(f".{column} .y")
    tops = [float(mark.evaluate("e => parseFloat(e.style.top)")) * 10 for mark in marks.all()]
    superscripts = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    texts = [text.translate(superscripts) for text in marks.all_inner_texts()]
    values = [10 ** float(t[2:]) if t.startswith("10-") else float(t) for t in texts]
    return np.array(tops), np.array(values)


def points(lab, selector):
    path = lab.locator(selector).get_attribute("d")
    return np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", path), dtype=float).T


def assert_drawn(lab, selector, axis, steps, values, log):
    x, height = points(lab, selector)
    np.testing.assert_allclose(x, 1000 * np.arange(len(values)) / steps, atol=0.001)
    tops, marks = scale(lab, axis)
    assert len(marks) >= 2
    change = np.log if log else np.asarray
    slope, offset = np.polyfit(change(marks), tops, 1)
    np.testing.assert_allclose(change(marks) * slope + offset, tops, atol=0.01)
    shown = height < 999.9  # what lies below the picture stays at its edge
    expected = change(np.array(values)[shown]) * slope + offset
    np.testing.assert_allclose(height[shown], expected, atol=0.05)
    assert np.mean(shown) > 0.6


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("kind", ["onecycle", "plateau"])
def test_the_lines_are_the_numbers(page, tmp_path, kind, log):
    lab = open_lab(page, tmp_path, {"kind": kind, "log": log, "steps": 400})
    (now,) = compute(lab, full(kind=kind, steps=400))
    (kept,) = compute(lab, full(kind="constant", steps=400))
    left, right = ".panels > :first-child .frame ", ".panels > :last-child .frame "
    assert_drawn(lab, left + ".rate", "y-rates", 400, now["lrs"], log)
    assert_drawn(lab, left + ".ghost", "y-rates", 400, kept["lrs"], log)
    assert_drawn(lab, right + ".second", "y-squares", 400, now["second"], True)
    assert_drawn(lab, right + ".ghost", "y-squares", 400, kept["second"], True)
    assert_drawn(lab, right + ".floor", "y-squares", 400, now["floors"], True)
    assert_drawn(lab, right + ".sample", "y-squares", 400, now["measured"], True)
    goal = now["constant"]["start"] + now["constant"]["noise"]
    tops, marks = scale(lab, "y-squares")
    height = float(re.findall(r"[\d.]+", lab.locator(".frame .goal").get_attribute("d"))[1])
    assert height == pytest.approx(
        np.polyval(np.polyfit(np.log(marks), tops, 1), np.log(goal)), abs=0.05
    )


def test_cuts_are_marked_where_the_rate_falls(page, tmp_path):
    lab = open_lab(page, tmp_path, {"kind": "plateau", "patience": 20})
    (result,) = compute(lab, full(kind="plateau", patience=20))
    falls = (np.flatnonzero(np.diff(result["lrs"]) < 0) + 1).tolist()
    assert result["cuts"] == falls
    assert len(falls) > 3
    box = lab.locator(".frame").first.bounding_box()
    for t, cut in zip(falls, lab.locator(".cut").all(), strict=True):
        mark = cut.bounding_box()
        middle = (mark["x"] + mark["width"] / 2 - box["x"] - 1) / (box["width"] - 1)
        assert middle == pytest.approx(t / 500, abs=0.005)
    assert lab.locator(".has-cuts").is_visible()
    lab.get_by_label("Schedule").select_option("cosine")
    assert lab.locator(".cut").count() == 0
    assert not lab.locator(".has-cuts").is_visible()


def written(x):
    if x == 0:
        return "0"
    if x < 1e-9:
        return "≈ 0"
    if x >= 1e-4:
        return f"{x:#.3g}".rstrip(".")
    digit, power = f"{x:.1e}".split("e")
    return f"{digit}·10{str(int(power)).translate(str.maketrans('0123456789-', '⁰¹²³⁴⁵⁶⁷⁸⁹⁻'))}"


def test_the_scoreboard_says_what_is_computed(page, tmp_path):
    state = {"kind": "exponential", "exp_gamma": 0.97, "steps": 800, "w0": 7, "sigma": 0.5}
    lab = open_lab(page, tmp_path, state)
    lab.get_by_role("button", name="Keep").click()
    lab.get_by_label("Schedule").select_option("restarts")
    lab.get_by_label("Noise σ").fill("1.2")
    problem = {"steps": 800, "w0": 7, "sigma": 1.2}
    now, kept = compute(
        lab, full(kind="restarts", **problem), full(**state | problem | {"kind": "exponential"})
    )
    rows = [
        (now["left"], now["final"] - now["left"], now["final"]),
        (kept["left"], kept["final"] - kept["left"], kept["final"]),
    ]
    for part in (now["constant"], now["limit"]):
        rows.append((part["start"], part["noise"], part["start"] + part["noise"]))
    shown = [row.locator("td").all_inner_texts() for row in lab.locator("tbody tr").all()]
    assert shown == [[written(value) for value in row] for row in rows]
    assert lab.locator("tbody th small").all_inner_texts() == [
        "Cosine, warm restarts, peak 0.1, 800 steps",
        "Exponential decay, peak 0.1, 800 steps",
        f"η = {written(now['constant']['lr'])}",
        "no rates can end lower",
    ]
    jump = lab.locator(".jump").inner_text()
    assert jump == f"largest jump: {written(now['jump'])}"
    assert lab.locator(".call").inner_text() == now["call"]


def test_a_kept_schedule_keeps_its_own_length(page, tmp_path):
    lab = open_lab(page, tmp_path, {"steps": 200})
    lab.get_by_role("button", name="Keep").click()
    steps = lab.get_by_label("Steps (n)")
    steps.fill("400")
    last = [points(lab, f".frame {line}")[0][-1] for line in (".rate", ".second")]
    assert last == [997.5, 1000]  # 400 rates, and E[w²] after the last of them
    assert points(lab, ".panels > :last-child .frame .ghost")[0][-1] == 500
    assert lab.locator(".ends").first.inner_text().split() == ["0", "step", "400"]
    steps.fill("100")
    assert points(lab, ".frame .second")[0][-1] == 500
    assert lab.locator("tbody tr").nth(1).inner_text().startswith("Kept\nCosine, peak 0.1, 200")


@pytest.mark.parametrize("kind", KINDS)
def test_every_control_has_a_role_and_a_name(page, tmp_path, kind):
    lab = open_lab(page, tmp_path, {"kind": kind})
    sliders = ["Peak rate η (lr)", "Steps (n)", "Noise σ (sigma)", "Start w₀ (w0)", *DIALS[kind]]
    names = {
        "combobox": ["Schedule"],
        "checkbox": ["log scale"],
        "slider": sliders,
        "button": ["Keep for comparison", "Beat the best constant", "Decay too fast"],
    }
    names["button"] += ["Warm restarts", "One-cycle", "Reset"]
    for role, labels in names.items():
        for label in labels:
            assert lab.get_by_role(role, name=label, exact=True).count() == 1, label
    assert lab.locator("input, button, select").count() == sum(map(len, names.values()))
    for slider in lab.get_by_role("slider").all():
        shown = slider.locator("xpath=following-sibling::output").inner_text()
        assert slider.get_attribute("aria-valuetext") == shown != ""
    assert lab.locator(".say").get_attribute("aria-live") == "polite"
    assert lab.get_by_role("row").count() == 5
    assert lab.get_by_role("rowheader").count() == 4
    assert lab.get_by_role("cell").count() == 12


@pytest.mark.parametrize("kind", KINDS)
def test_every_dial_reaches_its_ends_with_the_keyboard(page, tmp_path, kind):
    lab = open_lab(page, tmp_path, {"kind": kind, "steps": 2000})
    keys = lab.evaluate(
        "lab => [...lab.shadowRoot.querySelectorAll('input[data-key]')].map(e => e.dataset.key)"
    )
    assert len(keys) == 4 + len(DIALS[kind])
    limits = Explorable("schedule_designer")._fields
    for key in reversed(keys):  # steps last, since it bounds the warm-up
        slider = lab.locator(f"[data-key={key}]")
        slider.focus()
        for press, end in (("End", "max"), ("Home", "min")):
            page.keyboard.press(press)
            assert state_of(lab)[key] == pytest.approx(limits[key][end]), key
        page.keyboard.press("ArrowRight")
        value = state_of(lab)[key]
        assert limits[key]["min"] < value < limits[key]["max"], key
        page.keyboard.press("ArrowLeft")
        assert state_of(lab)[key] == pytest.approx(limits[key]["min"]), key
    final = state_of(lab)
    Explorable("schedule_designer", **final)  # nothing has left its limits


def test_the_schedule_and_the_scale_are_chosen_with_the_keyboard(page, tmp_path):
    lab = open_lab(page, tmp_path)
    lab.get_by_label("Schedule").focus()
    page.keyboard.press("ArrowDown")
    assert state_of(lab)["kind"] == "restarts"
    assert lab.get_by_label("First cycle (T_0)").is_visible()
    lab.get_by_label("log scale").focus()
    page.keyboard.press("Space")
    assert state_of(lab)["log"] is True
    lab.get_by_role("button", name="Reset").focus()
    page.keyboard.press("Enter")
    assert state_of(lab) == DEFAULT
    assert lab.get_by_label("Schedule").input_value() == "cosine"


@pytest.mark.parametrize("viewport", [PHONE, (1100, 800)])
def test_a_dial_is_dragged_and_the_menu_can_be_tapped(page, tmp_path, viewport):
    lab = open_lab(page, tmp_path)
    box = lab.get_by_label("Schedule").bounding_box()
    assert min(box["width"], box["height"]) >= 24
    dial = lab.get_by_label("Warm-up (total_iters)")
    dial.scroll_into_view_if_needed()
    box = dial.bounding_box()
    page.mouse.move(box["x"] + 11, box["y"] + box["height"] / 2)
    page.mouse.down()
    for share in (0.2, 0.5):
        page.mouse.move(
            box["x"] + 11 + share * (box["width"] - 22), box["y"] + box["height"] / 2, steps=3
        )
    page.mouse.up()
    assert state_of(lab)["warmup"] == pytest.approx(250, abs=10)
    assert "SequentialLR" in lab.locator(".call").inner_text()


def test_the_warm_up_stays_below_the_number_of_steps(page, tmp_path):
    lab = open_lab(page, tmp_path, {"warmup": 300})
    lab.get_by_label("Steps (n)").fill("50")
    assert state_of(lab)["warmup"] == 49
    assert "T_max=1," in lab.locator(".call").inner_text()
    with pytest.raises(ValueError, match=r"^warmup must be below steps = 100, got 100$"):
        Explorable("schedule_designer", warmup=100, steps=100)
    with pytest.raises(ValueError, match=r"^kind must be one of constant, .*; got 'linear'$"):
        Explorable("schedule_designer", kind="linear")


def finals(lab):
    return [float(cell) for cell in lab.locator("tbody td:last-child").all_inner_texts()]


def test_the_experiments_show_what_they_promise(page, tmp_path):
    lab = open_lab(page, tmp_path, {"peak": 0.5, "sigma": 2})
    lab.get_by_role("button", name="Beat the best").click()
    now, kept, best, limit = finals(lab)
    assert limit < now < kept == best

    lab.get_by_role("button", name="Decay too fast").click()
    (far,) = compute(lab, state_of(lab))
    assert finals(lab)[0] > 3 * best
    assert far["left"] > far["final"] / 2
    lab.get_by_text("The rates add up to only 3.33").wait_for()
    lab.get_by_label("Steps (n)").fill("1000")  # more steps do not help ...
    assert compute(lab, state_of(lab))[0]["final"] == pytest.approx(far["final"], rel=1e-3)
    lab.get_by_label("Each step × (gamma)").fill("2")  # ... a slower decay does
    assert compute(lab, state_of(lab))[0]["final"] < far["final"] / 10

    lab.get_by_role("button", name="Warm restarts").click()
    (result,) = compute(lab, state_of(lab))
    assert result["restarts"] == [120, 240, 360, 480]
    assert result["second"][490] > 2 * result["second"][480]
    lab.get_by_text("The restart at step 480 sent it from").wait_for()
    lab.get_by_label("Steps (n)").fill("480")
    assert finals(lab)[0] < result["final"] / 2

    lab.get_by_role("button", name="One-cycle").click()
    lab.get_by_text("The rate peaks near step 149").wait_for()
    assert state_of(lab)["steps"] == 500

    lab.get_by_role("button", name="Reset").click()
    assert state_of(lab) == full(peak=0.5, sigma=2)
    assert "Constant, peak 0.5" in lab.locator("tbody tr").nth(1).inner_text()


@pytest.mark.parametrize(
    ("state", "verdict", "sentence"),
    [
        ({}, "✓ Ends below the best constant rate", "no single step changes η by more than"),
        ({"eta_min": 0.1, "peak": 0.01}, "✗ Ends in noise", "this cosine climbs"),
        ({"eta_min": 0.05}, "✗ Ends in noise", "The noise follows its floor to the end"),
        ({"peak": 0.2}, "✗ Ends in noise", "the floor falls faster than E[w²] can follow"),
        ({"sigma": 0}, "No noise: only speed counts", "no rate has a floor"),
        ({"kind": "constant"}, "✗ Ends in noise", "More steps at the same rate would not"),
        ({"kind": "constant", "peak": 0.0107}, "The best constant rate", "From step"),
        ({"kind": "constant", "peak": 0.002}, "✗ Still on the way", "more of it is start"),
        ({"kind": "exponential", "exp_gamma": 0.95}, "✗ Frozen on the way", "add up to 2.00"),
        ({"kind": "step"}, "✓ Ends below", "Each drop lowers the floor at once"),
        ({"kind": "step", "step_size": 600}, "✗ Ends in noise", "ends before the first drop"),
        ({"kind": "restarts", "T_0": 500}, "✓ Ends below", "no restart"),
        ({"kind": "restarts", "T_0": 90}, "✗ Ends in noise", "The restart at step 450"),
        ({"kind": "onecycle"}, "✗ Ends in noise", "Rising first protects"),
        ({"kind": "plateau", "patience": 40}, "✓ Ends below", "41 measurements without"),
        ({"kind": "plateau", "patience": 500}, "✗ Ends in noise", "Never did 501 measurements"),
        ({"kind": "plateau", "patience": 0}, "✗ Frozen on the way", "bad luck for a plateau"),
    ],
)
def test_the_sentence_fits_the_state(page, tmp_path, state, verdict, sentence):
    lab = open_lab(page, tmp_path, state)
    assert lab.locator(".answer").inner_text().startswith(verdict)
    assert sentence in lab.locator(".say").inner_text()


def test_labs_on_one_page_do_not_touch_each_other(page, tmp_path):
    open_lab(page, tmp_path, {}, {}, {"kind": "step", "steps": 100})
    labs = page.locator(LAB).all()
    labs[1].get_by_label("Schedule").select_option("plateau")
    labs[1].get_by_role("button", name="Keep").click()
    labs[2].get_by_label("Steps (n)").fill("150")
    assert [state_of(lab)["kind"] for lab in labs] == ["cosine", "plateau", "step"]
    assert [state_of(lab)["steps"] for lab in labs] == [500, 500, 150]
    assert state_of(labs[0]) == DEFAULT
    kept = [lab.locator("tbody th").nth(1).inner_text() for lab in labs]
    assert ["Reduce on plateau" in text for text in kept] == [False, True, False]
