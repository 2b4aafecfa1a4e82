"""Kinds of exercises: functions, modules, optimizers, models, folds, and what they forbid."""

import math
import random
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from l2g.exercises import (
    AnyOrder,
    Exercise,
    at_most,
    double,
    draw_int,
    examine,
    memory,
    without,
    without_autograd,
    without_loop,
)


def numbers(generator):
    return (torch.randn(draw_int(2, 5, generator), generator=generator, dtype=torch.float64),)


def judged(exercise, answer):
    passed, report = examine(exercise, answer)
    assert report.startswith("✓") == passed
    return report


# ---- results that are called, or trained with


def decay(rate):
    return lambda step: rate * 0.5**step


SCHEDULE = Exercise(
    name="decay",
    reference=decay,
    draw=lambda generator: (draw_int(1, 9, generator) / 10,),
    # As if it stood in the package.
    probe=eval(compile("lambda f, rate: [f(step) for step in range(5)]", torch.__file__, "eval")),
    mistakes={"the rate doubles": lambda rate: lambda step: rate * 2**step},
)


def test_a_result_may_be_a_function():
    class Halves:
        def __init__(self, rate):
            self.rate = rate

        def __call__(self, step):
            return torch.tensor(self.rate) / 2**step

    assert judged(SCHEDULE, Halves).startswith("✓")
    assert judged(SCHEDULE, lambda rate: partial(lambda r, s: r / 2**s, rate)).startswith("✓")
    assert "hint: the rate doubles" in judged(SCHEDULE, lambda rate: lambda step: rate * 2**step)
    report = judged(SCHEDULE, lambda rate: rate)
    assert report.startswith("✗ decay: your code raised TypeError: 'float' object is not callable")
    assert "it returned something, but that could not be used as the exercise asks for" in report
    assert judged(SCHEDULE, lambda rate: None).startswith("○ decay: not started yet")


class Scale(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(2 * torch.ones(features))

    def forward(self, x):
        return x * self.weight


def one_pass(module, features):
    x = torch.arange(3.0 * features).view(3, features).requires_grad_()
    out = module(x)
    out.sum().backward()
    return {"output": out, "gradient of the input": x.grad}


MODULE = Exercise(
    name="scale",
    reference=Scale,
    draw=lambda generator: (draw_int(1, 4, generator),),
    probe=one_pass,
    mistakes={},
)


def test_a_result_may_be_a_module():
    class Detached(Scale):
        def forward(self, x):
            return x.detach() * self.weight + 0 * x

    assert judged(MODULE, Scale).startswith("✓")
    report = judged(MODULE, Detached)
    assert (
        "got      = {'output': [[0], [2], [4]], 'gradient of the input': [[0], [0], [0]]}" in report
    )
    assert "'gradient of the input': [[2], [2], [2]]" in report


def three_steps(optimizer_of, lr):
    w = nn.Parameter(double(1, -2))
    optimizer, path = optimizer_of([w]), []
    for _ in range(3):
        optimizer.zero_grad()
        w.square().sum().backward()
        optimizer.step()
        path.append(w.detach().clone())
    return path


OPTIMIZER = Exercise(
    name="momentum",
    reference=lambda lr: partial(torch.optim.SGD, lr=lr, momentum=0.9),
    draw=lambda generator: (draw_int(1, 5, generator) / 100,),
    probe=three_steps,
    mistakes={"the memory is missing": lambda lr: partial(torch.optim.SGD, lr=lr)},
)


def test_a_result_may_be_an_optimizer():
    class Momentum(torch.optim.Optimizer):
        def __init__(self, parameters, lr):
            super().__init__(parameters, {"lr": lr})

        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                for w in group["params"]:
                    v = 0.9 * self.state[w].get("v", 0) + w.grad
                    self.state[w]["v"] = v
                    w -= group["lr"] * v

    assert judged(OPTIMIZER, lambda lr: lambda params: Momentum(params, lr)).startswith("✓")
    wrong = judged(OPTIMIZER, lambda lr: lambda params: torch.optim.SGD(params, lr))
    assert "hint: the memory is missing" in wrong


def line(generator):
    x = torch.randn(20, 1, generator=generator)
    return x, 3 * x + 1


def fitted(x, y):
    model = nn.Linear(1, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=50)

    def closure():
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return model


FITTED = Exercise(
    name="fit_line",
    reference=fitted,
    draw=line,
    random_cases=3,
    probe=lambda model, x, y: {"error below 0.01": (model(x) - y).square().mean() < 0.01},
    mistakes={},
)


def test_a_result_may_be_a_trained_model():
    def by_hand(x, y):
        model = nn.Linear(1, 1)
        for _ in range(500):
            model.zero_grad()
            (model(x) - y).square().mean().backward()
            with torch.no_grad():
                for w in model.parameters():
                    w -= 0.1 * w.grad
        return model

    before = torch.get_rng_state()
    assert judged(FITTED, by_hand) == "✓ fit_line: passed 3 tests"
    report = judged(FITTED, lambda x, y: nn.Linear(1, 1))
    assert "wrong in 3 of 3 tests" in report
    assert "got      = {'error below 0.01': False}" in report
    assert report == judged(FITTED, lambda x, y: nn.Linear(1, 1))  # with the same luck each time
    assert torch.equal(torch.get_rng_state(), before)


# ---- whole numbers, indices, folds


def folds(n, k):
    parts = [list(range(fold, n, k)) for fold in range(k)]
    return AnyOrder(
        (AnyOrder(i for i in range(n) if i not in part), AnyOrder(part)) for part in parts
    )


FOLDS = Exercise(
    name="folds",
    reference=folds,
    draw=lambda generator: (draw_int(5, 9, generator), draw_int(2, 4, generator)),
    mistakes={
        "train and validation are exchanged": lambda n, k: AnyOrder(
            (val, train) for train, val in folds(n, k)
        )
    },
)


def test_folds_may_come_in_any_order_and_as_anything():
    def generator(n, k):
        for fold in reversed(range(k)):
            val = torch.arange(fold, n, k)
            yield np.setdiff1d(np.arange(n), val.numpy())[::-1], set(val.tolist())

    assert judged(FOLDS, generator).startswith("✓")
    assert judged(FOLDS, lambda n, k: [tuple(pair) for pair in generator(n, k)]).startswith("✓")
    exchanged = judged(FOLDS, lambda n, k: [(v, t) for t, v in generator(n, k)])
    assert "hint: train and validation are exchanged" in exchanged
    fewer = judged(FOLDS, lambda n, k: list(generator(n, k))[1:])
    assert "hint: the result should have 2 parts; yours has 1" in fewer
    twice = judged(FOLDS, lambda n, k: [next(generator(n, k))] * k)
    assert twice.startswith("✗")


SIZES = Exercise(
    name="sizes",
    reference=lambda n, k: tuple(n // k + (fold < n % k) for fold in range(k)),
    draw=lambda generator: (draw_int(5, 30, generator), draw_int(2, 5, generator)),
    mistakes={"the rest is lost": lambda n, k: (n // k,) * k},
)


@pytest.mark.parametrize(
    "form", [list, np.array, torch.tensor, iter, lambda x: torch.tensor(x) / 1]
)
def test_whole_numbers_may_come_as_anything(form):
    assert judged(SIZES, lambda n, k: form(SIZES.reference(n, k))).startswith("✓")
    assert "hint: the rest is lost" in judged(SIZES, lambda n, k: form([n // k] * k))


def test_order_counts_where_the_reference_gives_a_plain_list():
    assert judged(SIZES, lambda n, k: SIZES.reference(n, k)[::-1]).startswith("✗")


def test_names_of_a_dictionary_count():
    exercise = Exercise("d", lambda x: {"mean": x.mean(), "n": len(x)}, numbers, mistakes={})
    assert judged(exercise, lambda x: {"n": float(len(x)), "mean": x.mean().item()}) == (
        "✓ d: passed 40 tests"
    )
    report = judged(exercise, lambda x: {"average": x.mean(), "n": len(x)})
    assert "the result should be a dictionary with the keys 'mean', 'n'" in report
    report = judged(exercise, lambda x: {"mean": x.sum(), "n": len(x)})
    assert "✗ d: wrong in" in report


# ---- tolerance


def variance(generator):
    """Far from 0, so that E[x²] − E[x]² loses half of the digits."""
    n = draw_int(3, 6, generator)
    return (1000 + torch.randn(n, generator=generator, dtype=torch.float64),)


def test_tolerance_follows_the_conditioning():
    exercise = Exercise("v", lambda x: x.var(correction=0), variance, mistakes={})
    assert judged(exercise, lambda x: (x**2).mean() - x.mean() ** 2).startswith("✓")
    assert judged(exercise, lambda x: np.float64(np.var(x.tolist()))).startswith("✓")
    assert judged(exercise, lambda x: x.var(correction=0) * (1 + 1e-6)).startswith("✗")
    easy = Exercise("m", lambda x: x.mean(), variance, mistakes={})
    assert judged(easy, lambda x: x.mean() * (1 + 1e-11)).startswith("✗")


def test_a_tie_or_a_threshold_widens_nothing():
    exercise = Exercise(
        "argmax", lambda x: (x >= x.max()).double(), numbers, mistakes={}, edges=((double(1, 1),),)
    )
    wrong = judged(exercise, lambda x: (torch.arange(len(x)) == x.argmax()).double() * 1.0)
    assert "wrong in 1 of 41 tests" in wrong
    single = judged(exercise, lambda x: (torch.arange(len(x)) == x.argmax()).float())
    assert "wrong in 1 of 41 tests" in single


def test_an_exercise_about_dtype_says_so():
    exercise = Exercise("half", lambda x: x.half(), numbers, mistakes={}, same_dtype=True)
    assert judged(exercise, lambda x: x.to(torch.float16)).startswith("✓")
    report = judged(exercise, lambda x: x.half().float())
    assert "hint: the result is torch.float32, it should be torch.float16" in report
    rounded = judged(exercise, lambda x: x.bfloat16())
    assert rounded.startswith("✗")


def test_long_results_show_where_they_differ():
    def spoilt(n):
        x = torch.arange(float(n))
        x[50] += 1
        return x

    exercise = Exercise("long", lambda n: torch.arange(float(n)), lambda _: (99,), mistakes={})
    report = judged(exercise, spoilt)
    assert "first difference at [50]: got 51, expected 50" in report


def test_parts_of_parts_that_differ_late_are_found():
    def spoilt(n):
        return [[list(range(k)) for k in range(n)], {"x": 1e-9}]

    exercise = Exercise(
        "deep", lambda n: [[list(range(k)) for k in range(n)], {"x": 0.0}], lambda _: (30,), {}
    )
    report = judged(exercise, spoilt)
    assert "got" in report
    got, expected = (part.splitlines()[0] for part in report.split(" = ")[-2:])
    assert got != expected


# ---- what may not be used


MEAN = Exercise("mean", lambda x: x.mean(), numbers, mistakes={})


def having(*rules):
    return Exercise("mean", lambda x: x.mean(), numbers, mistakes={}, rules=rules)


def my_sum(x):
    total = 0.0
    for value in x:
        total = total + value
    return total


class Summing:
    def __call__(self, x):
        return self.total(x) / len(x)

    def total(self, x):
        return sum(x)


LOOPS = [
    lambda x: my_sum(x) / len(x),
    lambda x: torch.stack([value + 0 for value in x]).mean(),
    lambda x: torch.stack(list(map(torch.as_tensor, x))).mean(),
    lambda x: max(while_loop(x), -math.inf),
    lambda x: (lambda y: my_sum(y) / len(y))(x),
    lambda x: sum_of_halves(x) / len(x),
]


def while_loop(x):
    total, k = 0.0, 0
    while k < len(x):
        total, k = total + float(x[k]), k + 1
    return total / len(x)


def sum_of_halves(x):
    if len(x) == 1:
        return x[0]
    return sum_of_halves(x[: len(x) // 2]) + sum_of_halves(x[len(x) // 2 :])


@pytest.mark.parametrize("answer", LOOPS)
def test_a_loop_is_seen_wherever_it_is(answer):
    report = judged(having(without_loop), answer)
    assert report == (
        "✗ mean: the values are right, but it loops, and here operations on whole tensors should do"
    )
    assert judged(MEAN, answer).startswith("✓")


def test_whole_tensors_are_no_loop():
    assert judged(having(without_loop), lambda x: x.sum() / len(x)).startswith("✓")
    assert judged(having(without_loop), Summing()).startswith("✓")
    assert judged(having(without_loop), lambda x: np.mean(x.numpy())).startswith("✓")


def test_a_forbidden_name_is_seen_in_any_library():
    from numpy import mean as average

    exercise = having(without("mean", "average", instead="add up and divide"))
    answers = [
        torch.mean,
        lambda x: x.mean(),
        lambda x: np.mean(x.numpy()),
        lambda x: average(x.numpy()),
        lambda x: torch.ops.aten.mean(x),
        lambda x: getattr(x, "me" + "an")(),
        partial(torch.mean),
    ]
    for answer in answers:
        assert judged(exercise, answer) == (
            "✗ mean: the values are right, but it uses `mean`, and here it should do without: "
            "add up and divide"
        )

    def mean(x):  # a name of the learner's own, for what is not forbidden
        return x.sum() / len(x)

    assert judged(exercise, mean).startswith("✓")
    assert judged(exercise, lambda x: mean(x)).startswith("✓")


def test_autograd_is_seen_in_all_its_ways():
    exercise = Exercise("slope", lambda x: 2 * x, numbers, mistakes={}, rules=(without_autograd,))

    def backward(x):
        x.requires_grad = True
        x.square().sum().backward()
        return x.grad

    def grad(x):
        x.requires_grad_()
        return torch.autograd.grad(x.square().sum(), x)[0]

    def ahead(x):
        return torch.func.jvp(lambda y: y.square(), (x,), (torch.ones_like(x),))[1]

    def functional(x):
        return torch.func.grad(lambda y: y.square().sum())(x)

    for answer in (backward, grad, ahead, functional):
        assert "it lets autograd find the gradient" in judged(exercise, answer)
    assert judged(exercise, lambda grad: 2 * grad).startswith("✓")


def test_calls_are_counted():
    exercise = Exercise(
        "best",
        lambda train, rates: max(rates, key=train),
        lambda generator: (lambda rate: -((rate - 0.3) ** 2), [0.1, 0.2, 0.3, 0.5]),
        random_cases=2,
        mistakes={},
        rules=(at_most(lambda train, rates: len(rates), "train"),),
    )
    assert judged(exercise, lambda train, rates: max(rates, key=train)).startswith("✓")
    report = judged(exercise, lambda f, rates: max(rates, key=lambda r: f(r) + f(r)))
    assert report.endswith("but it calls `train` 8 times, where 4 times should do")
    sorted_twice = having(at_most(1, "sort"))
    assert judged(sorted_twice, lambda x: x.sort().values.mean()).startswith("✓")
    report = judged(sorted_twice, lambda x: x.sort().values.sort().values.mean())
    assert report.endswith("but it calls `sort` twice, where once should do")


def test_memory_is_limited():
    exercise = Exercise(
        "pairs",
        lambda x: 2 * (len(x) * x.square().sum() - x.sum() ** 2),
        lambda generator: (torch.randn(50, generator=generator, dtype=torch.float64),),
        random_cases=3,
        mistakes={},
        rules=(memory(lambda x: 2 * len(x)),),
    )
    by_matrix = judged(exercise, lambda x: (x[:, None] - x).square().sum())
    assert by_matrix == (
        "✗ pairs: the values are right, but it makes a tensor of 2,500 numbers, where 100 should do"
    )
    views = judged(exercise, lambda x: 2 * (50 * x.expand(50, 50)[0].square().sum() - x.sum() ** 2))
    assert views.startswith("✓")  # a view needs no memory


# ---- copies, luck, exceptions


def test_inputs_of_every_kind_are_copied():
    model = nn.Linear(2, 1)
    exercise = Exercise(
        "inputs",
        lambda model, rows, generator: torch.rand(3, generator=generator) + len(rows),
        lambda _: (model, [1, 2], torch.Generator().manual_seed(1)),
        mistakes={},
    )

    def spoils(model, rows, generator):
        value = torch.rand(3, generator=generator) + len(rows)
        rows.append(3)
        with torch.no_grad():
            model.weight.zero_()
        return value

    assert judged(exercise, spoils).startswith("✓")
    assert model.weight.abs().sum() > 0


def test_exit_is_no_way_out():
    report = judged(MEAN, lambda x: exit(1))
    assert report.startswith("✗ mean: your code raised RuntimeError: exit(1) was called")


def test_a_generator_that_fails_is_an_exception():
    def answer(x):
        yield 1.0
        raise ValueError("no more")

    assert judged(MEAN, answer).startswith("✗ mean: your code raised ValueError: no more")


def test_verdicts_do_not_depend_on_pythons_luck():
    random.seed(1)
    first = judged(MEAN, lambda x: x.mean() + torch.rand(()))
    torch.rand(7)
    assert judged(MEAN, lambda x: x.mean() + torch.rand(())) == first


class Unprintable:
    def __repr__(self):
        raise ValueError("no words")


class NoArray:
    def __array__(self, *args, **kwargs):
        raise ValueError("no numbers")


ENDLESS = []
ENDLESS.append(ENDLESS)
ODD = [
    3,
    True,
    2.5,
    1 + 2j,
    "text",
    b"text",
    2**70,
    [2**70],
    [[]],
    {},
    {1, 2},
    ENDLESS,
    Unprintable(),
    NoArray(),
    NotImplementedError("not raised"),
    math.nan,
    [math.inf, math.nan],
    np.array(["a", "b"]),
    np.array([1, None], dtype=object),
    np.datetime64("2020"),
    torch.tensor([1 + 2j]),
    torch.zeros(2, 0),
    torch.zeros(3, device="meta"),
    torch.eye(2).to_sparse(),
    torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    torch.ones(2).to(torch.float8_e4m3fn),
    nn.Linear(2, 2),
    torch.Generator(),
    object(),
    int,
]
TWICE = {
    "alone": lambda value: value,
    "listed": lambda value: [[], value],
    "named": lambda value: {"a": value, "b": "text"},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", TWICE)
def test_whatever_comes_back_is_a_report_and_no_traceback(form):
    expected = [[[0.5], [1.0, 2.0]], {"a": 1.0, "b": "text"}, double(1, 2), "text", AnyOrder("ab")]
    for right in expected:
        exercise = Exercise("odd", lambda n, right=right: right, lambda _: (1,), {}, random_cases=1)
        for value in ODD:
            report = judged(exercise, lambda n, value=value: TWICE[form](value))
            assert report[0] in "✓✗○"


# ---- bad input


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"name": 3}, TypeError, "name must be a string, got int"),
        ({"name": ""}, ValueError, "name must say what the exercise is called, got an empty"),
        ({"reference": 1}, TypeError, "reference must be a function, got int"),
        ({"draw": None}, TypeError, "draw must be a function, got NoneType"),
        ({"probe": "x"}, TypeError, "probe must be a function, got str"),
        ({"mistakes": []}, TypeError, "mistakes must map hints to wrong answers, got list"),
        ({"mistakes": {"h": 2}}, TypeError, "h must be a function, got int"),
        ({"random_cases": 1.5}, TypeError, "random_cases must be an integer, got 1.5"),
        ({"random_cases": -1}, ValueError, "random_cases must be at least 0, got -1"),
        ({"accuracy": 2}, ValueError, r"accuracy must lie in \[0, 1\], got 2"),
        ({"rules": (1,)}, TypeError, "rules must be functions such as without_loop, got int"),
    ],
)
def test_an_exercise_refuses_what_it_cannot_use(change, error, sentence):
    right = {"name": "n", "reference": torch.mean, "draw": numbers, "mistakes": {}}
    with pytest.raises(error, match=sentence):
        Exercise(**right | change)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: without(), ValueError, "names must hold the functions that may not be used"),
        (lambda: without(torch.exp), TypeError, "names must be strings, got builtin_function"),
        (lambda: at_most(1.5, "x"), TypeError, "count must be an integer, got 1.5"),
        (lambda: at_most(-1, "x"), ValueError, "count must be at least 0, got -1"),
        (lambda: at_most(1, torch.exp), TypeError, "name must be a string"),
        (lambda: memory("much"), TypeError, "numbers must be an integer, got 'much'"),
    ],
)
def test_rules_refuse_what_they_cannot_use(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()
