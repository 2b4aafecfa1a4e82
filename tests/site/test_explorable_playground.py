"""The optimizer playground in a real browser: its paths against l2g.optim, its picture."""

import math
import re

import pytest
import torch
from explorable_page import PHONE, contrast, state_of
from playground_page import (
    DEFAULTS,
    NAMES,
    SURFACES,
    arrival,
    cells,
    compute,
    double,
    full,
    number,
    open_lab,
    points,
    run_of,
    slider,
)

from l2g import optim

CLASSES = {
    "gd": optim.SGD,
    "momentum": optim.Momentum,
    "nesterov": optim.Nesterov,
    "adagrad": optim.Adagrad,
    "adadelta": optim.Adadelta,
    "rmsprop": optim.RMSprop,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
}

# The reference: the same surfaces in PyTorch, gradients by autograd, steps by l2g.optim. R races
# run at once; every hyperparameter is (R,), the weights are (R, 2).

CENTRE = double([1, 0.5])  # of the bowl


def loss_of(surface, w, condition, angle):
    x, y = w[..., 0], w[..., 1]
    if surface in ("quadratic", "noisy"):
        c, s = torch.cos(torch.deg2rad(angle)), torch.sin(torch.deg2rad(angle))
        valley = torch.stack([torch.stack([c, s], -1), torch.stack([-s, c], -1)], -2)
        u = (valley @ (w - CENTRE)[..., None])[..., 0]
        return (u**2 * torch.stack([torch.ones_like(condition), condition], -1)).sum(-1) / 2
    if surface == "rosenbrock":
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2
    if surface == "beale":
        return sum((c - x + x * y**k) ** 2 for k, c in enumerate((1.5, 2.25, 2.625), start=1))
    if surface == "saddle":
        return (x**2 - 1) ** 2 / 4 + y**2 / 2
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def reference(name, surface, start, hyper, condition, angle, noise, jitter):
    """Paths, (T + 1, R, 2): T steps from ``start``, (R, 2), with ``noise``, (T, R, 2), and
    gradients that are off by the factor 1 + ``jitter``, (T, R, 2)."""
    w = start.clone().requires_grad_()
    optimizer = CLASSES[name]([w], **hyper)
    optimizer.check_gradients = False  # a race that is lost must not stop the others
    path = [start]
    for eps, shake in zip(noise, jitter, strict=True):
        (w.grad,) = torch.autograd.grad(loss_of(surface, w, condition, angle).sum(), w)
        w.grad = (w.grad + eps) * (1 + shake)
        optimizer.step()
        path.append(w.detach().clone())
    return torch.stack(path)


def arguments(name, states):
    """The hyperparameters of all states as l2g.optim takes them, each of shape (R,)."""
    keys = [key.removesuffix(f"_{name}") for key in DEFAULTS if key.endswith(f"_{name}")]
    hyper = {key: double([state[f"{key}_{name}"] for state in states]) for key in keys}
    if "beta1" in hyper:
        hyper["betas"] = (hyper.pop("beta1"), hyper.pop("beta2"))
    return hyper


def random_states(lab, name, surface, n, generator):
    """Races from anywhere on the map, at rates from a tenth to three times one that suits it."""

    def uniform(low, high):
        return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()

    suited = lab.evaluate(
        "(lab, state) => (lab.l2g.set(state), lab.l2g.get())", full(surface=surface)
    )
    (x, y, half) = {"rosenbrock": (0, 1, 2.1), "beale": (1, 0, 3.6)}.get(surface, (0, 0, 2))
    for _ in range(n):
        state = full(surface=surface, optimizers=[name], seed=int(uniform(0, 2**32)))
        state |= {"condition": 10 ** uniform(0, 3), "angle": uniform(-90, 90)}
        state |= {"noise": uniform(0, 5), "steps": 200}
        state["start"] = [x + half * uniform(-1, 1), y + half / 1.2 * uniform(-1, 1)]
        for key in (key for key in DEFAULTS if key.endswith(f"_{name}")):
            kind = key.removesuffix(f"_{name}")
            if kind == "lr":
                state[key] = suited[key] * 10 ** uniform(-1, 0.5)
            elif kind == "eps":
                state[key] = 10 ** uniform(-10, -1)
            elif kind == "weight_decay":
                state[key] = uniform(0, 0.5) if uniform(0, 1) < 0.5 else 0.0
            else:
                state[key] = 1 - 10 ** uniform(-3, 0)
        yield state


def paths_to_compare(name, states, noise, generator):
    """Reference paths, (T + 1, R, 2), and up to where each may be compared, (T + 1, R).

    Where a race amplifies rounding errors no two programs agree. Three copies whose gradients are
    off by one part in 10^13 show where: there, and beyond 1000, where the page stops, nothing can
    be claimed.
    """
    copies = states * 4
    condition, angle = (double([state[key] for state in copies]) for key in ("condition", "angle"))
    start = double([state["start"] for state in copies])
    jitter = 1e-13 * torch.randn(200, len(copies), 2, generator=generator, dtype=torch.float64)
    jitter[:, : len(states)] = 0
    task = (arguments(name, copies), condition, angle, noise.repeat(1, 4, 1), jitter)
    path, *others = reference(name, states[0]["surface"], start, *task).chunk(4, dim=1)
    steady = torch.stack([(path - other).abs().amax(-1) < 1e-10 for other in others]).all(0)
    near = path.abs().sum(-1) < 1000
    return path, (steady & near).int().cumprod(0)


@pytest.mark.parametrize("surface", SURFACES)
def test_every_path_is_the_one_of_l2g_optim(page, tmp_path, surface):
    lab = open_lab(page, tmp_path)
    generator = torch.Generator().manual_seed(SURFACES.index(surface))
    for name in NAMES:
        states = list(random_states(lab, name, surface, 12, generator))
        results = compute(lab, states)
        noise = double([result["noise"] for result in results]).transpose(0, 1)
        assert (noise.abs().amax() > 0) == (surface == "noisy")
        path, comparable = paths_to_compare(name, states, noise, generator)
        compared = 0
        for r, (state, result) in enumerate(zip(states, results, strict=True)):
            here = double(result["paths"][name])
            assert len(here) == 201 or here[-1].abs().sum() >= 1000
            steps = min(int(comparable[:, r].sum()), len(here))
            torch.testing.assert_close(here[:steps], path[:steps, r], rtol=1e-9, atol=1e-9)
            condition, angle = double(state["condition"]), double(state["angle"])
            expected = loss_of(surface, here, condition, angle)
            losses = double(result["losses"][name])
            torch.testing.assert_close(losses, expected, rtol=1e-9, atol=1e-12)
            compared += steps / len(here)
        assert compared > 0.6 * len(states), name  # most of it is compared


def test_the_noise_is_standard_normal_and_independent(page, tmp_path):
    states = [full(surface="noisy", noise=1.0, steps=1000, seed=seed) for seed in range(20)]
    z = double([result["noise"] for result in compute(open_lab(page, tmp_path), states)])
    assert z.shape == (20, 1000, 2)
    e = z.flatten()
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((e**power).mean() - moment) < 4 * math.sqrt(spread / e.numel())
    for a, b in ((z[:, 1:], z[:, :-1]), (z[1:], z[:-1]), (z[..., 0], z[..., 1])):
        assert abs((a * b).mean()) < 4 / math.sqrt(a.numel())


def test_the_seed_decides_the_noise_and_other_dials_do_not_redraw_it(page, tmp_path):
    lab = open_lab(page, tmp_path)
    variants = [{}, {"noise": 1.0}, {"steps": 50}, {"optimizers": ["adam"]}, {"seed": 1}]
    states = [full(surface="noisy", **variant) for variant in variants]
    plain, half, short, other, redrawn = (double(r["noise"]) for r in compute(lab, states))
    torch.testing.assert_close(half, plain / 2)
    torch.testing.assert_close(short, plain[:50])
    torch.testing.assert_close(other, plain)
    assert (redrawn - plain).abs().min() > 0


@pytest.mark.parametrize("name", ["gd", "momentum", "nesterov"])
def test_above_the_rate_that_is_marked_as_stable_a_race_grows_below_it_shrinks(
    page, tmp_path, name
):
    page.clock.install()
    lab = open_lab(page, tmp_path)
    key = f"momentum_{name}"
    for condition, momentum, decay in (
        (1, 0.5, 0.0),
        (30, 0.9, 0.5),
        (400, 0.0, 1.0),
        (7, 0.99, 0),
    ):
        state = {"condition": float(condition), "steps": 1000, f"weight_decay_{name}": float(decay)}
        state |= {"selected": name, "optimizers": [name]}
        state |= {key: momentum} if key in DEFAULTS else {}
        lab.evaluate("(lab, state) => lab.l2g.set(state)", full(**state))
        page.clock.run_for(100)
        (limit,) = re.findall(r"stable < (.+)", lab.locator(".edge").inner_text())
        limit = float(limit)
        _, below = run_of(lab, name, **state, **{f"lr_{name}": 0.97 * limit})
        _, above = run_of(lab, name, **state, **{f"lr_{name}": 1.03 * limit})
        assert below[-1] < 0.1 * below[0]
        assert above[-1] > 1e3 * above[0]


def test_no_stable_rate_is_marked_where_none_is_known(page, tmp_path):
    page.clock.install()
    for state in ({"selected": "adam"}, {"surface": "rosenbrock", "selected": "gd"}):
        lab = open_lab(page, tmp_path, state)
        page.clock.run_for(100)
        assert lab.locator(".edge").is_hidden()


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_theory_of_the_noise_floor_agrees_with_many_races(page, tmp_path, decay):
    state = {"surface": "noisy", "condition": 10.0, "noise": 3.0, "lr_gd": 0.1, "steps": 1000}
    state |= {"weight_decay_gd": decay, "optimizers": ["gd"], "start": [1.0, 0.5]}
    lab = open_lab(page, tmp_path, state)
    (floor,) = re.findall(r"holds GD at a loss of ([\d.]+);", lab.locator(".say").inner_text())
    results = compute(lab, [full(**state, seed=seed) for seed in range(40)])
    mean = sum(sum(r["losses"]["gd"][500:]) / 501 for r in results) / len(results)
    assert float(floor) == pytest.approx(mean, rel=0.05)


# What is shown is what was computed.


@pytest.mark.parametrize("surface", SURFACES)
def test_the_table_holds_the_losses_and_the_steps_to_the_goal(page, tmp_path, surface):
    state = full(surface=surface, optimizers=NAMES, tolerance=0.01, lr_gd=0.06)
    lab = open_lab(page, tmp_path, state)
    result = compute(lab, [state])[0]
    shown = cells(lab)
    told = lab.locator(".say").inner_text()
    arrived = {}
    for name in NAMES:
        losses = result["losses"][name]
        rate, loss, steps = shown[name]
        assert number(rate) == pytest.approx(state_of(lab)[f"lr_{name}"], rel=0.05)
        if len(losses) < 201:
            assert (loss, steps) == ("∞", "diverged")
            continue
        assert number(loss) == pytest.approx(losses[-1], rel=0.06, abs=1e-99)
        if (t := arrival(losses, 0.01 * losses[0])) <= 200:
            arrived[name] = t
            assert steps == str(t)
        else:
            assert steps == "–"
    labels = dict(zip(NAMES, lab.locator("tbody th").all_inner_texts(), strict=True))
    for name, label in labels.items():
        assert (f"{label.strip()} {arrived.get(name)}" in told) == (name in arrived)
    if arrived:
        first = min(arrived.values())
        assert lab.locator(".answer").inner_text().endswith(f"arrives first, after {first} steps")


def test_a_race_that_is_lost_is_told(page, tmp_path):
    lab = open_lab(page, tmp_path, {"optimizers": ["gd", "adam"], "lr_gd": 0.1})
    assert cells(lab)["gd"][1:] == ["∞", "diverged"]
    told = lab.locator(".say").inner_text()
    assert "GD has 3 times the largest stable rate, 2/κ = 0.0333" in told
    assert "Diverged: GD." in told
    slider(lab, "Step shown").fill("0")
    assert cells(lab)["gd"][1:] == [cells(lab)["adam"][1], "–"]


@pytest.mark.parametrize("viewport", [(1100, 800), PHONE])
def test_lines_and_marks_are_where_the_numbers_are(page, tmp_path, viewport):
    lab = open_lab(page, tmp_path, {"start": [-2.0, 3.0], "steps": 100, "step": 40})
    path, losses = run_of(lab, "momentum", start=[-2.0, 3.0], steps=100)
    places = torch.stack([(path[:, 0] + 4) / 8, 0.5 - path[:, 1] / (8 / 1.2)], 1)
    drawn = points(lab, ".map", "momentum")
    torch.testing.assert_close(drawn, places[:41], rtol=0, atol=0.0003)
    curve = points(lab, ".losses", "momentum")
    torch.testing.assert_close(
        curve[:, 0], torch.arange(41) / 100, rtol=0, atol=3e-4, check_dtype=False
    )
    slope = torch.stack([losses[:41].log10(), torch.ones(41)], 1)
    fit = torch.linalg.lstsq(slope, curve[:, 1:]).solution  # a straight line in the log of the loss
    assert (slope @ fit - curve[:, 1:]).abs().max() < 3e-4
    assert fit[0] < 0
    for panel, place in ((".map", drawn[-1]), (".losses", curve[-1])):
        frame = lab.locator(f"{panel} .lines").bounding_box()
        head = lab.locator(f"{panel} .heads .momentum").bounding_box()
        for axis, size, share in zip("xy", ("width", "height"), place, strict=True):
            centre = head[axis] + head[size] / 2
            assert centre == pytest.approx(frame[axis] + float(share) * frame[size], abs=0.6)
    frame, handle = (lab.locator(f".map {part}").bounding_box() for part in (".lines", ".handle"))
    assert handle["x"] + 22 == pytest.approx(frame["x"] + frame["width"] / 4, abs=0.6)
    assert handle["y"] + 22 == pytest.approx(frame["y"] + frame["height"] * 0.05, abs=0.6)


ALPHA = """lab => {
    const canvas = lab.shadowRoot.querySelector(".map canvas");
    const { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    return { width, height, alpha: [...data].filter((_, i) => i % 4 === 3) };
}"""


def shade_of(lab):
    """How opaque the map is in every patch of 5 by 5 pixels, without the thin lines."""
    picture = lab.evaluate(ALPHA)
    alpha = double(picture["alpha"]).view(picture["height"], picture["width"])
    return alpha.unfold(0, 5, 5).unfold(1, 5, 5).amin((-1, -2))


@pytest.mark.parametrize("surface", SURFACES)
def test_the_map_is_darkest_where_the_loss_is_lowest(page, tmp_path, surface):
    """Between the lines the shade follows the loss: their ranks agree."""
    lab = open_lab(page, tmp_path, {"surface": surface, "condition": 5.0})
    shade = shade_of(lab)
    rows, cols = shade.shape
    x, y, half = {"rosenbrock": (0, 1, 2.1), "beale": (1, 0, 3.6), "saddle": (0, 0, 2)}.get(
        surface, (0, 0, 6 if surface == "himmelblau" else 4)
    )
    xs = x + half * (2 * (torch.arange(cols) + 0.5) / cols - 1)
    ys = y - half / 1.2 * (2 * (torch.arange(rows) + 0.5) / rows - 1)
    w = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1).double()
    loss = loss_of(surface, w, double(5.0), double(25.0))
    ranks = [v.flatten().argsort().argsort().double() for v in (loss, -shade)]
    assert torch.corrcoef(torch.stack(ranks))[0, 1] > 0.97


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_line_stands_out_from_the_darkest_part_of_the_map(page, tmp_path, scheme):
    page.emulate_media(color_scheme=scheme)
    lab = open_lab(page, tmp_path, {"optimizers": NAMES})
    alpha = shade_of(lab).amax() / 255
    paper = lab.locator(".map .frame").evaluate("e => getComputedStyle(e).backgroundColor")
    paper = [float(v) for v in re.findall(r"[\d.]+", paper)]
    ground = [(1 - alpha) * p + alpha * tint for p, tint in zip(paper, (0, 114, 178), strict=True)]
    for name in NAMES:
        ink = lab.locator(f".map .{name} .run").evaluate("e => getComputedStyle(e).stroke")
        assert contrast([float(v) for v in re.findall(r"[\d.]+", ink)], ground) >= 3, name


def test_lines_differ_in_colour_and_dash_and_their_ends_in_shape(page, tmp_path):
    lab = open_lab(page, tmp_path, {"optimizers": NAMES})
    looks = "(e, key) => getComputedStyle(e)[key]"
    for key in ("stroke", "strokeDasharray"):
        for panel in (".map", ".losses", "tbody"):
            lines = lab.locator(f"{panel} .run").all()
            assert len({line.evaluate(looks, key) for line in lines}) == len(NAMES)
    for panel in (".map .heads", ".losses .heads", "tbody"):
        shapes = [mark.get_attribute("d") for mark in lab.locator(f"{panel} .mark").all()]
        assert len(set(shapes)) == len(NAMES)
