"""Bias and variance in a real browser: its numbers against NumPy, its controls, its picture."""

import re
from functools import partial

import numpy as np
import pytest
from explorable_page import LAB, PHONE, compute, helpers_of, state_of

from l2g.explore import Explorable

GRID = (np.arange(256) + 0.5) / 256
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)


open_lab, full = helpers_of("bias_variance")


def curve(x):
    return np.sin(2 * np.pi * x)


def design(n):
    return np.linspace(0, 1, n)


def powers(x, degree):
    """Columns that span the polynomials; Legendre's, so that the least squares stay stable."""
    return np.polynomial.legendre.legvander(2 * x - 1, degree)


def least_squares(n, y, degree, x):
    """Fits to the columns of y, (n, R), at the inputs x: (len(x), R)."""
    coefficients, *_ = np.linalg.lstsq(powers(design(n), degree), y, rcond=None)
    return powers(x, degree) @ coefficients


def theory(n, sigma, degree):
    x = design(n)
    hat = least_squares(n, np.eye(n), degree, GRID)  # fits are linear in y: fit = hat @ y
    bias2 = np.mean((hat @ curve(x) - curve(GRID)) ** 2)
    variance = sigma**2 * np.mean(np.sum(hat**2, axis=1))
    residual = np.eye(n) - least_squares(n, np.eye(n), degree, x)
    train = (np.sum((residual @ curve(x)) ** 2) + sigma**2 * np.sum(residual**2)) / n
    return {
        "bias2": bias2,
        "variance": variance,
        "total": bias2 + variance + sigma**2,
        "train": train,
    }


@pytest.mark.parametrize("sigma", [0.0, 0.3, 0.6])
def test_every_part_of_the_error_agrees_with_the_hat_matrix(page, tmp_path, sigma):
    states = [full(n=n, sigma=sigma, sets=1) for n in range(10, 61)]
    for state, result in zip(states, compute(open_lab(page, tmp_path), states), strict=True):
        n = state["n"]
        degrees = range(min(12, n - 1) + 1)
        expected = [theory(n, sigma, degree) for degree in degrees]
        for part in ("bias2", "variance", "total", "train"):
            close(result[part], [parts[part] for parts in expected])
        close(result["noise"], sigma**2)
        assert result["best"] == np.argmin(result["total"])


@pytest.mark.parametrize("n", [10, 13, 20, 60])
def test_the_newest_fit_is_the_least_squares_fit(page, tmp_path, n):
    states = [full(n=n, degree=degree, seed=degree) for degree in range(min(12, n - 1) + 1)]
    for state, result in zip(states, compute(open_lab(page, tmp_path), states), strict=True):
        close(result["x"], design(n))
        close(result["fit"], least_squares(n, np.array(result["y"]), state["degree"], GRID))


@pytest.mark.parametrize(("n", "degree"), [(10, 9), (20, 1), (20, 3), (25, 10), (60, 12)])
def test_what_was_measured_is_what_the_drawn_sets_give(page, tmp_path, n, degree):
    sets = 40
    states = [full(n=n, degree=degree, sets=r + 1, sigma=0.45) for r in range(sets)]
    results = compute(open_lab(page, tmp_path), states)
    y = np.array([result["y"] for result in results]).T
    fits = least_squares(n, y, degree, GRID)
    mean = fits.mean(axis=1)
    test = np.mean((fits - curve(GRID)[:, None]) ** 2)
    measured = {part: values[degree] for part, values in results[-1]["measured"].items()}

    close(results[-1]["mean"], mean)
    close(measured["bias2"], np.mean((mean - curve(GRID)) ** 2))
    close(measured["variance"], np.mean(fits.var(axis=1)))
    close(measured["train"], np.mean((least_squares(n, y, degree, design(n)) - y) ** 2))
    close(measured["total"], test + 0.45**2)  # the decomposition is an identity


def noise(lab, n, sets, seed=0):
    states = [full(n=n, sets=r + 1, sigma=0.5, seed=seed) for r in sets]
    return np.array([(r["y"] - curve(design(n))) / 0.5 for r in compute(lab, states)])


def test_the_noise_is_standard_normal_and_independent(page, tmp_path):
    lab = open_lab(page, tmp_path)
    draws = noise(lab, 60, range(300))
    e = draws.ravel()
    assert abs(e.mean()) < 4 / np.sqrt(e.size)
    assert abs((e**2).mean() - 1) < 4 * np.sqrt(2 / e.size)
    assert abs((e**3).mean()) < 4 * np.sqrt(15 / e.size)
    assert abs((e**4).mean() - 3) < 4 * np.sqrt(96 / e.size)
    for lag in (1, 2, 60):
        assert abs(np.mean(e[lag:] * e[:-lag])) < 4 / np.sqrt(e.size)
    other = noise(lab, 60, range(300), seed=1).ravel()
    assert abs(np.mean(e * other)) < 4 / np.sqrt(e.size)


def test_the_seed_decides_and_other_dials_do_not_redraw(page, tmp_path):
    lab = open_lab(page, tmp_path)
    close(noise(lab, 10, [0, 7, 999]), noise(lab, 60, [0, 7, 999])[:, :10])
    assert not np.allclose(noise(lab, 10, [0]), noise(lab, 10, [0], seed=1))
    last = full(seed=2**32 - 1)
    assert compute(lab, [last]) == compute(lab, [last])


@pytest.mark.parametrize("n", [20, 40])
def test_simulation_meets_theory(page, tmp_path, n):
    (result,) = compute(open_lab(page, tmp_path), [full(n=n, sets=1000)])
    bias2, variance, train = (np.array(result[part]) for part in ("bias2", "variance", "train"))
    measured = result["measured"]
    # The mean of R fits keeps 1/R of their variance, and their spread lacks it.
    np.testing.assert_allclose(measured["bias2"], bias2, rtol=0.02, atol=variance.max() / 250)
    np.testing.assert_allclose(measured["variance"], variance, rtol=0.2)
    np.testing.assert_allclose(measured["train"], train, rtol=0.05)


def cells(lab, column):
    parts = ("bias2", "variance", "noise", "total", "train")
    return [lab.locator(f".{column}-{part}").inner_text() for part in parts]


def test_what_is_written_is_what_is_computed(page, tmp_path):
    state = {"n": 14, "degree": 7, "sigma": 0.5, "sets": 80, "seed": 3}
    lab = open_lab(page, tmp_path, state)
    (result,) = compute(lab, [full(**state)])
    for column, values in (("exact", result), ("measured", result["measured"])):
        expected = (values["variance"][7], 0.25, values["total"][7], values["train"][7])
        assert cells(lab, column)[1:] == [f"{value:.3f}" for value in expected]
    assert cells(lab, "exact")[0] == "4·10⁻⁸"
    assert f"{result['bias2'][7]:.0e}" == "4e-08"
    assert lab.locator(".count").inner_text() == "80 sets"
    title = "Fits of degree 7 each to its own 14 noisy points"
    assert " ".join(lab.locator(".fits-title").inner_text().split()) == title


def points(lab, selector):
    """The corners of a drawn line, as x in [0, 1] and y in the data's units."""
    path = lab.locator(selector).first.get_attribute("d")
    xy = np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", path), dtype=float)
    return xy[:, 0] / 1000, 2.5 - xy[:, 1] / 200


def test_the_lines_are_the_fits(page, tmp_path):
    lab = open_lab(page, tmp_path, {"degree": 6, "sets": 3})
    newest, earlier = compute(lab, [full(degree=6, sets=3), full(degree=6, sets=2)])
    drawn = {
        ".frame .fit.now": newest["fit"],
        ".mean": newest["mean"],
        ".truth": curve(GRID),
        ".others .other": earlier["fit"],
    }
    for selector, values in drawn.items():
        x, y = points(lab, selector)
        np.testing.assert_allclose(x, GRID, atol=1e-4)
        np.testing.assert_allclose(y, values, atol=0.003)
    x, y = points(lab, ".dots.ink")
    np.testing.assert_allclose(x, newest["x"], atol=1e-9)
    np.testing.assert_allclose(y, newest["y"], atol=1e-9)
    assert len([d for d in lab.locator(".others .other").all() if d.get_attribute("d")]) == 2


def test_bars_are_as_high_as_their_numbers(page, tmp_path):
    lab = open_lab(page, tmp_path, {"degree": 2, "n": 14})
    (result,) = compute(lab, [full(degree=2, n=14)])
    frame = lab.locator(".bars").bounding_box()
    top = 1.1 * result["total"][0]
    for d in (0, 1, 2, 3, 9):
        bar = lab.locator(".bar").nth(d)
        parts = {".noise": 0.09, ".variance": result["variance"][d], ".bias": result["bias2"][d]}
        below = 0
        for part, value in parts.items():
            box = bar.locator(part).bounding_box()
            below += value
            assert box["height"] == pytest.approx(value / top * frame["height"], abs=1)
            upper = frame["y"] + frame["height"] * (1 - below / top)
            assert box["y"] == pytest.approx(upper, abs=0.1)
        for mark, value in (
            (".measured", result["measured"]["total"]),
            (".train", result["train"]),
        ):
            box = bar.locator(mark).bounding_box()
            centre = frame["y"] + frame["height"] * (1 - value[d] / top)
            assert box["y"] + box["height"] / 2 == pytest.approx(centre, abs=0.1)
    stars = [star.is_visible() for star in lab.locator(".best").all()]
    assert stars.index(True) == np.argmin(result["total"])
    assert sum(stars) == 1
    arrows = [arrow.is_visible() for arrow in lab.locator(".over").all()]
    assert arrows == [total > top for total in result["total"]]
    assert any(arrows)


def thumb(lab, degree):
    box = lab.get_by_label("Degree of the polynomial").bounding_box()
    return box["x"] + 11 + degree / 12 * (box["width"] - 22), box["y"] + box["height"] / 2


@pytest.mark.parametrize("viewport", [(760, 900), PHONE])
def test_the_degree_is_dragged_below_its_bar(page, tmp_path, viewport):
    lab = open_lab(page, tmp_path)
    lab.locator(".axis").scroll_into_view_if_needed()
    for d in (0, 5, 12):
        bar = lab.locator(".bar").nth(d).bounding_box()
        assert bar["x"] + bar["width"] / 2 == pytest.approx(thumb(lab, d)[0], abs=0.1)
    page.mouse.move(*thumb(lab, 1))
    page.mouse.down()
    page.mouse.move(*thumb(lab, 5), steps=4)
    page.mouse.move(*thumb(lab, 9), steps=4)
    page.mouse.up()
    assert state_of(lab)["degree"] == 9
    assert lab.locator(".bar.now").get_attribute("data-degree") == "9"
    lab.locator(".bar").nth(4).click()
    assert state_of(lab)["degree"] == 4


@pytest.mark.parametrize("viewport", [PHONE])
def test_the_degree_is_dragged_with_a_finger(page, tmp_path):
    lab = open_lab(page, tmp_path)
    lab.locator(".axis").scroll_into_view_if_needed()
    touch = page.context.new_cdp_session(page)

    def send(kind, *degrees):
        places = [dict(zip("xy", thumb(lab, d), strict=True)) for d in degrees]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    send("touchStart", 1)
    for d in (3, 6, 8):
        send("touchMove", d)
    send("touchEnd")
    assert state_of(lab)["degree"] == 8


def test_keyboard(page, tmp_path):
    lab = open_lab(page, tmp_path)
    lab.get_by_label("Degree of the polynomial").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert state_of(lab)["degree"] == 3
    page.keyboard.press("End")
    assert state_of(lab)["degree"] == 12
    lab.get_by_label("Number of training points n").focus()
    page.keyboard.press("ArrowLeft")
    assert state_of(lab)["n"] == 19
    page.keyboard.press("End")
    assert state_of(lab)["n"] == 60
    lab.get_by_label("Standard deviation of the noise σ").focus()
    page.keyboard.press("ArrowRight")
    assert state_of(lab)["sigma"] == 0.31
    page.keyboard.press("Home")
    assert state_of(lab)["sigma"] == 0
    lab.get_by_role("button", name="Draw 100").focus()
    page.keyboard.press("Enter")
    assert state_of(lab)["sets"] == 160
    lab.get_by_role("button", name="Reset").focus()
    page.keyboard.press("Space")
    assert state_of(lab) == Explorable("bias_variance").state


def test_every_control_has_a_role_and_a_name(page, tmp_path):
    lab = open_lab(page, tmp_path)
    names = {
        "slider": ["Number of training points n", "Standard deviation of the noise σ"],
        "button": ["Draw another training set", "Draw 100", "Reset"],
    }
    names["slider"] += ["Degree of the polynomial"]
    for role, labels in names.items():
        for label in labels:
            assert lab.get_by_role(role, name=label).count() == 1, label
    assert lab.locator("input, button").count() == sum(map(len, names.values()))
    assert lab.get_by_label("Degree of the polynomial").get_attribute("aria-valuetext") == (
        "degree 1: bias² 0.203, variance 0.009, expected test error 0.301"
    )
    assert lab.locator(".say").get_attribute("aria-live") == "polite"
    assert lab.get_by_role("row").count() == 6
    assert lab.get_by_role("rowheader").count() == 5
    assert lab.get_by_role("cell").count() == 10


def test_the_degree_stays_below_the_number_of_points(page, tmp_path):
    lab = open_lab(page, tmp_path, {"degree": 12})
    lab.get_by_label("Number of training points n").focus()
    page.keyboard.press("Home")
    assert state_of(lab)["n"] == 10
    assert state_of(lab)["degree"] == 9
    degree = lab.get_by_label("Degree of the polynomial")
    degree.focus()
    page.keyboard.press("End")
    assert state_of(lab)["degree"] == 9
    assert degree.input_value() == "9"
    lab.locator(".bar").nth(11).click()
    assert state_of(lab)["degree"] == 9
    assert lab.locator(".bar.none").count() == lab.locator(".degrees .none").count() == 3
    assert cells(lab, "exact")[-1] == cells(lab, "measured")[-1] == "0.000"
    lab.get_by_text("each fit goes through all of its points").wait_for()


def test_drawing_another_set_keeps_the_earlier_ones(page, tmp_path):
    lab = open_lab(page, tmp_path, {"degree": 9, "sets": 1})
    first = lab.locator(".frame .fit.now").get_attribute("d")
    assert lab.locator(".count").inner_text() == "1 set"
    lab.get_by_role("button", name="Draw another").click()
    assert lab.locator(".count").inner_text() == "2 sets"
    assert lab.locator(".frame .fit.now").get_attribute("d") != first
    assert lab.locator(".other").first.get_attribute("d") == first
    lab.get_by_text("Measured on 2 sets").wait_for()
    lab.get_by_label("Number of training points n").fill("30")
    lab.get_by_text("On average the fits are right").wait_for()


def test_sets_run_out_and_reset_brings_them_back(page, tmp_path):
    lab = open_lab(page, tmp_path, {"sets": 850})
    more = lab.get_by_role("button", name="Draw 100")
    more.click()
    assert more.is_enabled()
    more.click()
    assert state_of(lab)["sets"] == 1000
    assert more.is_disabled()
    assert lab.get_by_role("button", name="Draw another").is_disabled()
    lab.get_by_role("button", name="Reset").click()
    assert state_of(lab)["sets"] == 850
    assert more.is_enabled()


@pytest.mark.parametrize(
    ("state", "verdict", "sentence"),
    [
        ({}, "Underfits: bias dominates", "Even the mean of all fits misses the curve"),
        ({"degree": 2}, "Underfits: bias dominates", "misses as much as degree 1"),
        ({"degree": 3}, "The lowest expected test error", "Of 0.111, noise is 0.090"),
        ({"degree": 10}, "Overfits: variance dominates", "On average the fits are right"),
        ({"degree": 4}, "Overfits: variance dominates", "bias² = 0.005"),
        ({"degree": 9, "n": 10}, "Overfits: variance dominates", "training error 0, expected"),
        ({"degree": 3, "n": 60}, "Near the balance", "degree 5 has the lowest sum"),
        ({"degree": 1, "sigma": 0.0}, "No noise, no variance", "cannot bend like the curve"),
        ({"degree": 9, "sigma": 0.0}, "No noise, no variance", "the fit is the curve"),
        ({"sets": 1}, "Underfits: bias dominates", "nobody can tell its bias from its variance"),
    ],
)
def test_the_sentence_fits_the_state(page, tmp_path, state, verdict, sentence):
    lab = open_lab(page, tmp_path, state)
    assert lab.locator(".answer").inner_text() == verdict
    assert sentence in lab.locator(".say").inner_text()


def test_labs_on_one_page_do_not_touch_each_other(page, tmp_path):
    open_lab(page, tmp_path, {}, {}, {"n": 12, "degree": 11})
    labs = page.locator(LAB).all()
    labs[1].get_by_label("Degree of the polynomial").fill("7")
    labs[2].get_by_role("button", name="Draw another").click()
    assert [state_of(lab)["degree"] for lab in labs] == [1, 7, 11]
    assert [state_of(lab)["sets"] for lab in labs] == [60, 60, 61]
    assert state_of(labs[0]) == Explorable("bias_variance").state
    close(compute(labs[0], [full()])[0]["fit"], compute(labs[2], [full()])[0]["fit"])
