"""What the tests of the optimizer playground share: opening it, computing in it, reading it."""

import re
from functools import partial

import torch
from explorable_page import compute, helpers_of

from l2g.explore import Explorable

NAMES = ["gd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw"]
SURFACES = ["quadratic", "rosenbrock", "beale", "saddle", "himmelblau", "noisy"]
DEFAULTS = Explorable("optimizer_playground").state


double = partial(torch.tensor, dtype=torch.float64)


open_lab, full = helpers_of("optimizer_playground")


def run_of(lab, name, **state):
    """The path, (T, 2), and the losses of one racer."""
    result = compute(lab, [full(**{"optimizers": [name]} | state)])[0]
    return double(result["paths"][name]), double(result["losses"][name])


def slider(lab, name):
    return lab.get_by_role("slider", name=name, exact=True)


def button(lab, name):
    return lab.get_by_role("button", name=name, exact=True)


def cells(lab):
    rows = [row.locator("td").all_inner_texts() for row in lab.locator("tbody tr").all()]
    return dict(zip(NAMES, rows, strict=True))


def number(text):
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")
    factor, _, power = text.translate(digits).rpartition("·")
    if "10" not in text or not re.search("[⁰¹²³⁴⁵⁶⁷⁸⁹]", text):
        return float(text.translate(digits))
    return float(factor or 1) * 10 ** float(power.removeprefix("10"))


def arrival(losses, goal):
    above = [t for t, loss in enumerate(losses) if not loss < goal]
    return above[-1] + 1 if above else 0


def points(lab, panel, name):
    d = lab.locator(f"{panel} .lines .{name} .run").get_attribute("d")
    return double([[float(v) / 2000 for v in point.split()] for point in re.split("[ML]", d)[1:]])
