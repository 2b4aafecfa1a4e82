"""The optimizers of chapters 09 to 11 against torch.optim, in parameters, state and errors."""

import copy
import math
from functools import partial

import pytest
import torch

from l2g import optim, penalties

EXACT = {"rtol": 1e-12, "atol": 1e-12}
STEPS = 1000

# ours → PyTorch's, with the same arguments
PAIRS = {
    "SGD": (optim.SGD, torch.optim.SGD, {"lr": 0.01}),
    "Momentum": (optim.Momentum, torch.optim.SGD, {"lr": 0.003, "momentum": 0.9}),
    "Nesterov": (
        optim.Nesterov,
        partial(torch.optim.SGD, nesterov=True),
        {"lr": 0.003, "momentum": 0.9},
    ),
    "Adagrad": (optim.Adagrad, torch.optim.Adagrad, {"lr": 0.1}),
    "Adadelta": (optim.Adadelta, torch.optim.Adadelta, {"lr": 1.0, "rho": 0.95}),
    "RMSprop": (optim.RMSprop, torch.optim.RMSprop, {"lr": 0.01, "alpha": 0.95}),
    "Adam": (optim.Adam, torch.optim.Adam, {"lr": 0.02, "betas": (0.8, 0.99)}),
    "AMSGrad": (optim.AMSGrad, partial(torch.optim.Adam, amsgrad=True), {"lr": 0.02}),
    "AdamW": (optim.AdamW, torch.optim.AdamW, {"lr": 0.02}),
}
each_pair = pytest.mark.parametrize("name", PAIRS)


def start(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3, 2), (3,), (1, 3), ()]
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in shapes
    ]


def objective(params, t):
    """Not convex, noisy, and with a parameter that often has a gradient of exactly 0."""
    w1, b1, w2, b2 = params
    generator = torch.Generator().manual_seed(t)
    x = torch.randn(8, 2, generator=generator, dtype=torch.float64)
    y = torch.sin(2 * x.sum(1)) + 0.1 * torch.randn(8, generator=generator, dtype=torch.float64)
    loss = ((torch.tanh(x @ w1.T + b1) @ w2.T)[:, 0] + b2 - y).square().mean()
    return loss + (0 * b2 if t % 5 else 3 * torch.cos(b2))


def run(factory, steps=STEPS, prepare=None, params=None, first=0):
    params = start() if params is None else params
    optimizer = factory(params)
    for t in range(first, first + steps):
        if prepare:
            prepare(optimizer, t)
        optimizer.zero_grad()
        objective(params, t).backward()
        if t % 5:
            params[3].grad.zero_()  # as rows of an embedding that no example has touched
        optimizer.step()
    return params, optimizer


def assert_same(ours, theirs):
    (params, optimizer), (their_params, their_optimizer) = ours, theirs
    for w, other in zip(params, their_params, strict=True):
        assert w.isfinite().all()
        torch.testing.assert_close(w, other, **EXACT)
        kept, expected = optimizer.state[w], their_optimizer.state[other]
        expected = {k: v for k, v in expected.items() if v is not None}
        assert set(kept) == set(expected)
        for key, value in kept.items():
            value = torch.as_tensor(value, dtype=torch.float64)
            torch.testing.assert_close(value, expected[key].double(), **EXACT)


@each_pair
@pytest.mark.parametrize("weight_decay", [0.0, 0.03])
def test_a_thousand_steps_equal_those_of_torch(name, weight_decay):
    ours, theirs, hyper = PAIRS[name]
    hyper = hyper | {"weight_decay": weight_decay}
    result = run(partial(ours, **hyper))
    assert_same(result, run(partial(theirs, **hyper)))
    assert max((w - before).abs().max() for w, before in zip(result[0], start(), strict=True)) > 0.1


@each_pair
def test_defaults_are_those_of_torch(name):
    ours, theirs, _ = PAIRS[name]
    expected = theirs(start(), **({"momentum": 0.9} if name == "Nesterov" else {})).defaults
    for key, value in ours(start()).defaults.items():
        if key not in ("bias_correction", "convention", "momentum"):
            assert value == expected[key], key


@each_pair
def test_the_rate_may_change_in_mid_run(name):
    def prepare(optimizer, t):
        if t == 300:
            optimizer.param_groups[0]["lr"] *= 0.1

    ours, theirs, hyper = PAIRS[name]
    assert_same(
        run(partial(ours, **hyper), prepare=prepare), run(partial(theirs, **hyper), prepare=prepare)
    )


@each_pair
def test_groups_have_options_of_their_own(name):
    ours, theirs, hyper = PAIRS[name]

    def grouped(make):
        def factory(params):
            own = {"params": params[2:], "lr": 0.3 * hyper["lr"], "weight_decay": 0.1}
            return make([{"params": params[:2]}, own], **hyper)

        return factory

    assert_same(run(grouped(ours)), run(grouped(theirs)))


@each_pair
def test_saved_and_loaded_it_goes_on_as_if_nothing_had_happened(name):
    ours, theirs, hyper = PAIRS[name]
    params, optimizer = run(partial(ours, **hyper), 400)
    state = copy.deepcopy(optimizer.state_dict())

    def loaded(params):
        new = ours(params, lr=123.0)
        new.load_state_dict(state)
        return new

    again = [w.detach().clone().requires_grad_() for w in params]
    resumed = run(loaded, 600, params=again, first=400)
    assert_same(resumed, run(partial(theirs, **hyper)))


def handed_over(first, second):
    """100 steps of the one optimizer, then 100 of the other from its state."""
    params, optimizer = run(first, 100)
    state = copy.deepcopy(optimizer.state_dict())

    def loaded(params):
        new = second(params)
        new.load_state_dict(state)
        return new

    again = [w.detach().clone().requires_grad_() for w in params]
    return run(loaded, 100, params=again, first=100)


@each_pair
def test_it_goes_on_from_a_state_of_torch(name):
    ours, theirs, hyper = PAIRS[name]
    expected = run(partial(theirs, **hyper, weight_decay=0.02), 200)
    result = handed_over(partial(theirs, **hyper, weight_decay=0.02), ours)
    for w, other in zip(result[0], expected[0], strict=True):
        torch.testing.assert_close(w, other, **EXACT)


@each_pair
def test_torch_goes_on_from_a_state_of_ours(name):
    ours, theirs, hyper = PAIRS[name]
    plain = getattr(theirs, "func", theirs)  # the options come with the state
    result = handed_over(partial(ours, **hyper, weight_decay=0.02), plain)
    expected = run(partial(theirs, **hyper, weight_decay=0.02), 200)
    for w, other in zip(result[0], expected[0], strict=True):
        torch.testing.assert_close(w, other, **EXACT)


def test_options_that_torch_does_not_have_stay_as_they_are():
    optimizer = optim.Adam(start(), bias_correction=False)
    optimizer.load_state_dict(torch.optim.Adam(start(), lr=0.5).state_dict())
    assert optimizer.param_groups[0]["bias_correction"] is False
    assert optimizer.param_groups[0]["lr"] == 0.5
    optimizer = optim.Momentum(start(), convention="textbook")
    optimizer.load_state_dict(torch.optim.SGD(start(), momentum=0.5).state_dict())
    assert optimizer.param_groups[0]["convention"] == "textbook"


@each_pair
def test_a_state_of_any_other_optimizer_is_refused_and_nothing_changes(name):
    optimizer = PAIRS[name][0](start(), lr=0.123)
    for other, (ours, theirs, hyper) in PAIRS.items():
        for make in (ours, theirs):
            state = make(start(), **hyper).state_dict()
            if other == name:
                PAIRS[name][0](start()).load_state_dict(state)
            elif (name, other) != ("Momentum", "SGD"):  # which is momentum 0
                with pytest.raises(ValueError, match=f"state_dict is not one of {name}: it has "):
                    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 0.123


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (optim.Momentum, partial(torch.optim.SGD, momentum=0.9, dampening=0.1), "dampening=0.1"),
        (optim.SGD, partial(torch.optim.SGD, maximize=True), "maximize=True, SGD has none"),
        (optim.RMSprop, partial(torch.optim.RMSprop, centered=True), "centered=True, RMSprop has"),
        (optim.RMSprop, partial(torch.optim.RMSprop, momentum=0.5), "momentum=0.5, RMSprop has 0"),
        (optim.Adagrad, partial(torch.optim.Adagrad, lr_decay=0.1), "lr_decay=0.1, Adagrad has 0"),
        (optim.Adam, partial(torch.optim.Adam, amsgrad=True), "amsgrad=True, Adam has False"),
        (optim.AMSGrad, torch.optim.Adam, "amsgrad=False, AMSGrad has True"),
    ],
)
def test_an_option_that_the_formula_does_not_have_is_refused(ours, theirs, message):
    with pytest.raises(ValueError, match=message):
        ours(start()).load_state_dict(theirs(start()).state_dict())


@each_pair
def test_sparse_gradients_and_complex_parameters_are_refused(name):
    embedding = torch.nn.Embedding(5, 2, sparse=True)
    optimizer = PAIRS[name][0](embedding.named_parameters())
    before = embedding.weight.detach().clone()
    embedding(torch.tensor([1, 3])).sum().backward()
    message = r"gradient of parameter 'weight', of shape \(5, 2\), must be dense"
    with pytest.raises(TypeError, match=message):
        optimizer.step()
    assert torch.equal(embedding.weight, before)
    with pytest.raises(TypeError, match="params must be real numbers, got complex ones"):
        PAIRS[name][0]([torch.zeros(2, dtype=torch.complex64, requires_grad=True)])


@each_pair
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_precisions_stay_what_they_are(name, dtype):
    ours, theirs, hyper = PAIRS[name]
    ends = []
    for make in (ours, theirs):
        w = torch.linspace(-1, 1, 5).to(dtype).requires_grad_()
        optimizer = make([w], **hyper)
        for _ in range(20):
            w.grad = (w.detach() - 0.5) * 2
            optimizer.step()
        assert all(v.dtype == dtype for k, v in optimizer.state[w].items() if k != "step")
        ends.append(w.detach())
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(ends[0], ends[1], rtol=tolerance, atol=tolerance)


# --- Known mistakes: the comparison above must see each of them -----------------------------------


class EpsilonInsideTheRoot(optim.Adagrad):
    def update(self, w, g, state, hyper):
        total = state.setdefault("sum", torch.zeros_like(w))
        total += g * g
        w -= hyper.lr * g / (total + 1e-6).sqrt()


class DecayInTheGradient(optim.AdamW):
    decayed = optim.Optimizer.decayed


class DecayWithoutTheRate(optim.AdamW):
    def decayed(self, g, w, hyper):
        w.mul_(1 - 0.01 * hyper.weight_decay)
        return g


class AverageOfTheGradient(optim.RMSprop):
    def update(self, w, g, state, hyper):
        v = state.setdefault("square_avg", torch.zeros_like(w))
        v.lerp_(g.abs(), 1 - hyper.alpha)
        w -= hyper.lr * g / (v + hyper.eps)


class Forgetful(optim.Momentum):
    def update(self, w, g, state, hyper):
        super().update(w, g, state, hyper)
        state["momentum_buffer"] = g.clone()


class WithoutTheNumerator(optim.Adadelta):
    def update(self, w, g, state, hyper):
        v = state.setdefault("square_avg", torch.zeros_like(w))
        state.setdefault("acc_delta", torch.zeros_like(w))
        v.lerp_(g * g, 1 - hyper.rho)
        w -= hyper.lr * 1e-3 * g / (v + hyper.eps).sqrt()


class LargestOfAll(optim.AMSGrad):
    def divisor(self, v, state):
        return super().divisor(v, state).max().expand_as(v)


MUTANTS = [
    ("SGD", lambda params, lr: optim.SGD(params, lr=lr, weight_decay=1e-6)),
    ("Momentum", partial(optim.Momentum, convention="textbook", weight_decay=1e-6)),
    ("Momentum", Forgetful),
    ("Nesterov", optim.Momentum),
    ("Adagrad", EpsilonInsideTheRoot),
    ("Adadelta", WithoutTheNumerator),
    ("RMSprop", AverageOfTheGradient),
    ("Adam", partial(optim.Adam, bias_correction=False)),
    ("Adam", partial(optim.Adam, eps=1e-7)),
    ("Adam", optim.AMSGrad),
    ("AMSGrad", optim.Adam),
    ("AMSGrad", LargestOfAll),
    ("AdamW", DecayInTheGradient),
    ("AdamW", DecayWithoutTheRate),
    ("AdamW", optim.Adam),
]


@pytest.mark.parametrize(("name", "mutant"), MUTANTS)
def test_a_mutant_is_caught(name, mutant):
    _, theirs, hyper = PAIRS[name]
    with pytest.raises(AssertionError):
        assert_same(run(partial(mutant, **hyper), 100), run(partial(theirs, **hyper), 100))


# --- What torch does not have ---------------------------------------------------------------------


def test_the_textbook_convention_by_hand_and_when_it_equals_torch():
    params, _ = run(partial(optim.Momentum, lr=0.003, convention="textbook"))
    theirs, _ = run(partial(torch.optim.SGD, lr=0.003, momentum=0.9))
    for w, other in zip(params, theirs, strict=True):
        torch.testing.assert_close(w, other, rtol=1e-9, atol=1e-9)

    w = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    optimizer = optim.Momentum([w], lr=0.05, convention="textbook")
    position, velocity = 1.0, 0.0
    for t in range(8):
        optimizer.param_groups[0]["lr"] = lr = 0.05 if t < 4 else 0.005
        velocity = 0.9 * velocity - lr * position
        position += velocity
        w.grad = w.detach().clone()
        optimizer.step()
        assert w.item() == pytest.approx(position, abs=1e-15)
    assert position == pytest.approx(0.09676, abs=1e-4)  # torch's convention ends at 0.509


def test_nesterov_is_the_look_ahead_of_the_textbook():
    lr, mu = 0.05, 0.9
    w = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    optimizer = optim.Nesterov([w], lr=lr, momentum=mu)
    theta, v = 1.0, 0.0
    for _ in range(30):
        v = mu * v - lr * (theta + mu * v)  # the gradient of w²/2 at the look-ahead point
        theta += v
        w.grad = w.detach().clone()
        optimizer.step()
        assert w.item() == pytest.approx(theta + mu * v, abs=1e-15)


def test_adam_without_bias_correction_by_hand():
    w = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    optimizer = optim.Adam([w], lr=0.01, bias_correction=False)
    m = v = 0.0
    position = 1.0
    for t in range(50):
        g = math.sin(t)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        position -= 0.01 * m / (math.sqrt(v) + 1e-8)
        w.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
        assert w.item() == pytest.approx(position, rel=1e-12)


# --- R runs at once -------------------------------------------------------------------------------

PER_RUN = {
    "SGD": {"lr": [0.01, 0.1, 0.3], "weight_decay": [0.0, 0.1, 0.01]},
    "Momentum": {"lr": [0.01, 0.1, 0.03], "momentum": [0.0, 0.9, 0.5]},
    "Nesterov": {"lr": [0.01, 0.1, 0.03], "momentum": [0.0, 0.9, 0.5]},
    "Adagrad": {"lr": [0.01, 0.1, 1.0], "eps": [1e-10, 1e-3, 0.1]},
    "Adadelta": {"lr": [0.5, 1.0, 2.0], "rho": [0.5, 0.9, 0.99]},
    "RMSprop": {"lr": [0.01, 0.1, 0.3], "alpha": [0.5, 0.9, 0.99]},
    "Adam": {"lr": [0.01, 0.1, 0.3], "betas": [(0.9, 0.999), (0.0, 0.9), (0.5, 0.5)]},
    "AMSGrad": {"lr": [0.01, 0.1, 0.3], "betas": [(0.9, 0.999), (0.0, 0.9), (0.5, 0.5)]},
    "AdamW": {"lr": [0.01, 0.1, 0.3], "weight_decay": [0.0, 0.1, 1.0]},
}


@each_pair
def test_one_optimizer_for_many_runs_equals_one_for_each(name):
    ours, of_run = PAIRS[name][0], PER_RUN[name]
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4, 2), (3, 4), (3,)]
    together = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    apart = [[w[r].clone() for w in together] for r in range(3)]
    tensors = {
        key: tuple(torch.tensor(column) for column in zip(*values, strict=True))
        if key == "betas"
        else torch.tensor(values, dtype=torch.float64)
        for key, values in of_run.items()
    }
    optimizers = [ours(together, **tensors)]
    optimizers += [ours(ws, **{k: v[r] for k, v in of_run.items()}) for r, ws in enumerate(apart)]
    for _ in range(50):
        for i, w in enumerate(together):
            w.grad = torch.randn(w.shape, generator=generator, dtype=torch.float64) + w
            for r in range(3):
                apart[r][i].grad = w.grad[r].clone()
        for optimizer in optimizers:
            optimizer.step()
    for i, w in enumerate(together):
        expected = torch.stack([ws[i] for ws in apart])
        # betas arrive as float32 tensors, as a user would write them
        torch.testing.assert_close(w, expected, rtol=1e-5, atol=1e-5)


# --- What a user can get wrong --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "hyper", "error", "message"),
    [
        (optim.SGD, {"lr": -0.1}, ValueError, "lr must be at least 0 and finite, got -0.1"),
        (optim.SGD, {"lr": math.nan}, ValueError, "lr must be at least 0 and finite, got nan"),
        (optim.SGD, {"lr": math.inf}, ValueError, "lr must be at least 0 and finite, got inf"),
        (optim.SGD, {"lr": "0.1"}, TypeError, "lr must be a number, got '0.1'"),
        (optim.SGD, {"lr": torch.tensor([0.1, -1])}, ValueError, "lr must be at least 0"),
        (optim.SGD, {"lr": True}, TypeError, "lr must be a number, got True"),
        (optim.SGD, {"weight_decay": -1}, ValueError, "weight_decay must be at least 0"),
        (optim.Momentum, {"momentum": 1.0}, ValueError, "momentum must .* below 1, got 1.0"),
        (optim.Nesterov, {"momentum": -0.1}, ValueError, "momentum must .* below 1, got -0.1"),
        (optim.Momentum, {"convention": "ema"}, ValueError, "'torch' or 'textbook', got 'ema'"),
        (optim.Adam, {"betas": (0.9, 1.0)}, ValueError, "betas must .* below 1, got 1.0"),
        (optim.Adam, {"betas": (-0.1, 0.9)}, ValueError, "betas must be at least 0"),
        (optim.Adam, {"betas": 0.9}, TypeError, "betas must be a pair of numbers, got 0.9"),
        (optim.Adam, {"betas": (0.9,)}, TypeError, "betas must be a pair of numbers"),
        (optim.AdamW, {"eps": -1e-8}, ValueError, "eps must be at least 0"),
        (optim.RMSprop, {"alpha": 1.5}, ValueError, "alpha must be at least 0 and below 1"),
        (optim.Adadelta, {"rho": 1}, ValueError, "rho must be at least 0 and below 1, got 1"),
    ],
)
def test_hyperparameters_out_of_range_are_named(make, hyper, error, message):
    with pytest.raises(error, match=message):
        make(start(), **hyper)


@each_pair
def test_no_parameters(name):
    with pytest.raises(ValueError, match="params must hold at least one parameter, got none"):
        PAIRS[name][0](iter([]))


def test_options_of_a_group_are_checked_too():
    params = start()
    optimizer = optim.Adam(params[:2])
    with pytest.raises(ValueError, match="lr must be at least 0 and finite, got -1"):
        optimizer.add_param_group({"params": params[2:], "lr": -1})
    assert len(optimizer.param_groups) == 1


@each_pair
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_named_and_nothing_changes(name, bad):
    params, optimizer = run(PAIRS[name][0], 3)
    before = [w.detach().clone() for w in params]
    state = copy.deepcopy(optimizer.state_dict())
    params[2].grad[0, 1] = bad
    message = r"gradient of parameter number 2, of shape \(1, 3\), holds 1 NaN or infinite number"
    with pytest.raises(FloatingPointError, match=message):
        optimizer.step()
    assert all(map(torch.equal, before, params))
    after = optimizer.state_dict()["state"]
    for i, kept in state["state"].items():
        assert all(torch.equal(*map(torch.as_tensor, (v, after[i][k]))) for k, v in kept.items())


def test_the_gradient_is_named_if_the_parameters_are():
    model = torch.nn.Linear(2, 1)
    optimizer = optim.SGD(model.named_parameters())
    model(torch.full((1, 2), math.inf)).sum().backward()
    with pytest.raises(FloatingPointError, match="gradient of parameter 'weight', of shape"):
        optimizer.step()


def test_large_but_finite_gradients_pass():
    w = torch.zeros(4, requires_grad=True)
    w.grad = torch.full((4,), 3e38)  # whose sum overflows
    optim.Adam([w]).step()
    assert w.isfinite().all()


def test_a_closure_is_called_with_gradients_on():
    w = torch.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = w.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 4.0
    assert w.item() == 0.0


def test_parameters_without_a_gradient_are_left_alone():
    params = start()
    params[0].grad = torch.ones_like(params[0])
    optimizer = optim.Adam(params)
    before = params[1].detach().clone()
    optimizer.step()
    assert torch.equal(params[1], before)
    assert params[1] not in optimizer.state


# --- The optimizer and the model ------------------------------------------------------------------

ENTRIES = partial(penalties.parameter_groups, weight_decay=0.1)


def network():
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))


@pytest.mark.parametrize("make", [optim.Adam, torch.optim.AdamW, torch.optim.SGD])
@pytest.mark.parametrize("groups", [None, ENTRIES, lambda m: iter(ENTRIES(m))])
def test_an_optimizer_for_a_model_holds_its_parameters(make, groups):
    model = network()
    optimizer = optim.optimizer_for(model, partial(make, lr=0.5), groups)
    held = [id(w) for group in optimizer.param_groups for w in group["params"]]
    assert sorted(held) == sorted(id(w) for w in model.parameters())
    assert [g["lr"] for g in optimizer.param_groups] == [0.5] * (1 if groups is None else 2)


def test_frozen_parameters_may_be_held_or_not_and_shared_ones_count_once():
    model = network()
    model[0].requires_grad_(False)
    optim.optimizer_for(model, optim.SGD)
    optim.optimizer_for(model, lambda ps: optim.SGD([w for w in ps if w.requires_grad]))
    tied = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.Linear(3, 5, bias=False))
    tied[1].weight = tied[0].weight
    optim.optimizer_for(tied, optim.SGD)
    optim.optimizer_for(tied, torch.optim.Adam, ENTRIES)


def test_a_factory_may_look_at_the_parameters_before_it_uses_them():
    optimizer = optim.optimizer_for(
        network(), lambda ps: optim.SGD(ps, lr=1 / sum(w.numel() for w in ps))
    )
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1 / 13)


OTHER = network()


@pytest.mark.parametrize(
    ("factory", "groups", "error", "message"),
    [
        (lambda _: optim.Adam(OTHER.parameters()), None, ValueError, "4 of its 4 are not of this"),
        (lambda _: optim.Adam(ENTRIES(OTHER)), None, ValueError, "pass a function .* groups="),
        (optim.Adam, lambda _: ENTRIES(OTHER), ValueError, "4 of its 4 are not of this model"),
        (
            lambda ps: optim.SGD([*ps, *OTHER.parameters()]),
            None,
            ValueError,
            "4 of its 8 are not of this model",
        ),
        (lambda ps: optim.SGD(ps[1:]), None, ValueError, r"'0.weight' is missing \(1 of 4 are\)"),
        (optim.SGD, lambda m: ENTRIES(m)[1:], ValueError, r"'0.weight' is missing \(2 of 4 are\)"),
        (lambda ps: None, None, TypeError, "make an optimizer, got NoneType from it"),
        (lambda ps: ps, None, TypeError, "make an optimizer, got list from it"),
        (optim.SGD(OTHER.parameters()), None, TypeError, "got SGD: pass a factory such as"),
        ("SGD", None, TypeError, "optimizer must make an optimizer, got str: pass a factory"),
        (optim.SGD, ENTRIES(OTHER), TypeError, "groups must be a function, .* got list"),
        (optim.SGD, lambda m: None, TypeError, "groups must make a list .* got NoneType"),
        (optim.SGD, lambda m: ENTRIES(m)[0], TypeError, "groups must make a list .* got dict"),
        (optim.SGD, lambda m: [], ValueError, "params must hold at least one parameter, got none"),
    ],
)
def test_an_optimizer_of_something_else_is_refused(factory, groups, error, message):
    with pytest.raises(error, match=message):
        optim.optimizer_for(network(), factory, groups)
