"""Penalties against weight decay, and which parameters decay at all."""

import math

import pytest
import torch
from torch import nn

from l2g import data, fit, layers, losses, optim, penalties

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 10)
    ).double()


def weights_of(model):
    return [p.detach() for p in model.parameters() if p.ndim > 1]


def walk(model, optimizer, penalty=lambda model: 0.0, steps=100):
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        x = torch.randn(8, 1, 8, 8, generator=generator, dtype=torch.float64)
        y = torch.randint(10, (8,), generator=generator)
        optimizer.zero_grad()
        (nn.functional.cross_entropy(model(x), y) + penalty(model)).backward()
        optimizer.step()
    return model.state_dict()


def assert_equal(first, second, **tolerance):
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], **tolerance)


# --- Values and gradients -------------------------------------------------------------------------


def test_penalties_by_hand():
    w = [torch.tensor([3.0, -4.0]), torch.tensor([[0.0, 1.0]])]
    assert penalties.l1(w) == 8
    assert penalties.l2(w) == 13  # ½ (9 + 16 + 1)
    assert penalties.elastic_net(w, 0.25) == 0.25 * 8 + 0.75 * 13
    assert penalties.elastic_net(w, 1.0) == penalties.l1(w)
    assert penalties.elastic_net(w, 0.0) == penalties.l2(w)
    assert penalties.elastic_net(iter(w), 0.5) == 10.5


def test_elastic_net_is_the_penalty_of_scikit_learn():
    from sklearn.linear_model import ElasticNet

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    y = x @ torch.tensor([2.0, -1.0, 0.0, 0.0, 0.5], dtype=torch.float64)
    strength, ratio = 0.3, 0.6
    found = ElasticNet(alpha=strength, l1_ratio=ratio, fit_intercept=False, tol=1e-12).fit(x, y)

    def objective(w):
        return (y - x @ w).square().mean() / 2 + strength * penalties.elastic_net([w], ratio)

    w = torch.from_numpy(found.coef_)
    moved = [
        objective(w + s * e) for e in 1e-3 * torch.eye(5, dtype=torch.float64) for s in (1, -1)
    ]
    assert all(objective(w) < other for other in moved)


def test_gradients_are_the_sign_and_the_weight():
    w = torch.tensor([3.0, -4.0, 0.0], requires_grad=True)
    (of_l1,) = torch.autograd.grad(penalties.l1([w]), w)
    (of_l2,) = torch.autograd.grad(penalties.l2([w]), w)
    assert of_l1.tolist() == [1, -1, 0]
    assert torch.equal(of_l2, w)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(dtype):
    w = torch.full((1000,), 100.0, dtype=dtype, requires_grad=True)
    penalties.l2([w]).backward()
    assert penalties.l2([w]) == 5e6
    assert torch.equal(w.grad, w)
    assert w.grad.dtype == dtype


@pytest.mark.parametrize(
    "make",
    [
        lambda groups: torch.optim.SGD(groups, lr=0.05),
        lambda groups: torch.optim.SGD(groups, lr=0.02, momentum=0.9),
        lambda groups: torch.optim.SGD(groups, lr=0.02, momentum=0.9, nesterov=True),
        lambda groups: optim.SGD(groups, lr=0.05),
        lambda groups: optim.Momentum(groups, lr=0.02),
    ],
    ids=["SGD", "momentum", "nesterov", "ours", "our momentum"],
)
def test_under_sgd_the_penalty_is_weight_decay(make):
    first, second, strength = network(), network(), 0.03
    decayed = walk(first, make(penalties.parameter_groups(first, strength)))
    penalized = walk(
        second,
        make(penalties.parameter_groups(second, 0.0)),
        lambda model: strength * penalties.l2(model),
    )
    assert_equal(decayed, penalized, **EXACT)
    plain = network()
    walk(plain, make(penalties.parameter_groups(plain, 0.0)))
    assert (weights_of(plain)[0] - weights_of(first)[0]).abs().max() > 1e-3


def test_of_all_parameters_the_penalty_is_plain_weight_decay():
    first, second = network(), network()
    decayed = walk(first, torch.optim.SGD(first.parameters(), lr=0.05, weight_decay=0.03))
    sgd = torch.optim.SGD(second.parameters(), lr=0.05)
    assert_equal(
        decayed, walk(second, sgd, lambda model: 0.03 * penalties.l2(model.parameters())), **EXACT
    )


def test_under_adam_the_penalty_is_not_decoupled_decay():
    first, second = network(), network()
    decoupled = walk(first, optim.AdamW(penalties.parameter_groups(first, 0.03), lr=0.01))
    penalized = walk(
        second, optim.Adam(second.parameters(), lr=0.01), lambda m: 0.03 * penalties.l2(m)
    )
    assert (decoupled["3.weight"] - penalized["3.weight"]).abs().max() > 1e-3


# --- Strength 0 and above -------------------------------------------------------------------------


def trained(penalty=None, decay=None):
    digits = data.load("digits")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))

    def loss(outputs, targets):
        return losses.cross_entropy(outputs, targets) + (penalty(model) if penalty else 0)

    def optimizer(parameters):
        groups = parameters if decay is None else penalties.parameter_groups(model, decay)
        return torch.optim.SGD(groups, lr=0.1)

    chosen = losses.cross_entropy if penalty is None else loss
    fit(model, digits, loss=chosen, optimizer=optimizer, epochs=2, seed=0, device="cpu")
    return torch.nn.utils.parameters_to_vector(model.parameters())


PENALTIES = {
    "l1": lambda strength: {"penalty": lambda m: strength * penalties.l1(m)},
    "l2": lambda strength: {"penalty": lambda m: strength * penalties.l2(m)},
    "elastic": lambda strength: {"penalty": lambda m: strength * penalties.elastic_net(m, 0.5)},
    "groups": lambda strength: {"decay": strength},
}


@pytest.mark.parametrize("name", PENALTIES)
def test_at_strength_zero_nothing_changes_and_above_it_weights_do(name):
    baseline = trained()
    assert torch.equal(trained(**PENALTIES[name](0.0)), baseline)
    changed = trained(**PENALTIES[name](1e-3))
    assert not torch.equal(changed, baseline)
    assert changed.norm() < baseline.norm()


# --- Which parameters are weights -----------------------------------------------------------------


class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 2))
        self.inner = nn.Linear(2, 2)


ZOO = {
    # layer → names of its weights
    "Linear": (nn.Linear(2, 3), {"weight"}),
    "DropConnect": (layers.DropConnect(2, 3), {"weight"}),
    "Bilinear": (nn.Bilinear(2, 3, 4), {"weight"}),
    "Conv2d": (nn.Conv2d(2, 3, 3), {"weight"}),
    "ConvTranspose1d": (nn.ConvTranspose1d(2, 3, 3), {"weight"}),
    "BatchNorm1d": (nn.BatchNorm1d(3), set()),
    "our BatchNorm1d": (layers.BatchNorm1d(3), set()),
    "LayerNorm": (nn.LayerNorm((3, 4)), set()),
    "our LayerNorm": (layers.LayerNorm((3, 4)), set()),
    "GroupNorm": (nn.GroupNorm(1, 3), set()),
    "Embedding": (nn.Embedding(5, 3), set()),
    "PReLU": (nn.PReLU(), set()),
    "LSTM": (nn.LSTM(2, 3, proj_size=1), {"weight_ih_l0", "weight_hh_l0", "weight_hr_l0"}),
    "GRUCell": (nn.GRUCell(2, 3), {"weight_ih", "weight_hh"}),
    "attention": (
        nn.MultiheadAttention(4, 2, add_bias_kv=True),
        {"in_proj_weight", "out_proj.weight"},
    ),
    "attention, three widths": (
        nn.MultiheadAttention(4, 2, kdim=3, vdim=5),
        {"q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"},
    ),
    "custom": (Custom(), {"inner.weight"}),
}


@pytest.mark.parametrize("name", ZOO)
def test_weights_are_found_by_the_type_of_the_layer(name):
    model, expected = ZOO[name]
    decayed, others = penalties.parameter_groups(model, 0.1)
    names = {id(p): key for key, p in model.named_parameters()}
    assert {names[id(p)] for p in decayed["params"]} == expected
    assert [decayed["weight_decay"], others["weight_decay"]] == [0.1, 0.0]
    both = [id(p) for p in decayed["params"] + others["params"]]
    assert sorted(both) == sorted(names)  # every parameter, exactly once


def test_shared_parameters_are_weights_if_they_are_anywhere_and_count_once():
    embedding, head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
    head.weight = embedding.weight
    for model in (nn.Sequential(embedding, head), nn.Sequential(head, embedding, head)):
        decayed, others = penalties.parameter_groups(model, 0.1)
        assert [id(p) for p in decayed["params"]] == [id(head.weight)]
        assert others["params"] == []
        torch.testing.assert_close(penalties.l1(model), head.weight.abs().sum())
        torch.optim.AdamW([decayed, others])
        optim.AdamW([decayed, others])


def test_frozen_parameters_are_in_the_groups():
    model = nn.Linear(2, 3).requires_grad_(False)
    decayed, others = penalties.parameter_groups(model, 0.1)
    assert len(decayed["params"]) == len(others["params"]) == 1


# --- What a user can get wrong --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: penalties.l1("model"), TypeError, "a torch.nn.Module or an iterable of tensors"),
        (lambda: penalties.l2(torch.ones(3)), TypeError, "an iterable of tensors, got Tensor"),
        (lambda: penalties.l2(3), TypeError, "an iterable of tensors, got int"),
        (lambda: penalties.l1(nn.ReLU()), ValueError, "at least one weight to penalize, got none"),
        (lambda: penalties.l2([]), ValueError, "at least one weight to penalize, got none"),
        (lambda: penalties.elastic_net(network(), 1.5), ValueError, r"in \[0, 1\], got 1.5"),
        (lambda: penalties.elastic_net(network(), -1), ValueError, "l1_ratio must .* got -1"),
        (lambda: penalties.elastic_net(network(), math.nan), ValueError, "l1_ratio must .* nan"),
        (lambda: penalties.elastic_net(network(), None), TypeError, "l1_ratio must be a number"),
        (lambda: penalties.parameter_groups([], 0.1), TypeError, "model must be .*, got list"),
        (
            lambda: penalties.parameter_groups(network(), -0.1),
            ValueError,
            "weight_decay must be at least 0 and finite, got -0.1",
        ),
        (
            lambda: penalties.parameter_groups(network(), "0.1"),
            TypeError,
            "weight_decay must be a number, got '0.1'",
        ),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()
