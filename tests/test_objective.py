"""What training minimizes beside the loss, what it holds fixed, and how it ends."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from l2g import evaluate, fit, fit_many, penalties
from l2g.data import Split, Splits, load
from l2g.history import EarlyStopping
from l2g.models import mlp

digits = load("digits")
few = Splits(*(Split(s.x[:96].double(), s.y[:96]) for s in (digits.train, digits.val)), None, "few")
sgd = partial(torch.optim.SGD, lr=0.1)
OPTIONS = {"epochs": 3, "batch_size": 32, "device": "cpu", "progress": False}


def make(seed=0):
    return mlp((64, 16, 10), seed=seed).double()


def scaled_l1(model, strength=0.0):
    return strength * penalties.l1(model)


def trained(**options):
    model = make()
    return model, fit(model, few, seed=0, **(OPTIONS | {"optimizer": sgd} | options))


def largest_difference(a, b):
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return max((p - q).abs().max().item() for p, q in pairs)


# --- Penalties ------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [penalties.l1, penalties.l2], ids=["l1", "l2"])
def test_a_penalty_of_strength_0_is_none_bit_for_bit(penalty):
    plain, history = trained()
    other, same = trained(penalty=lambda model: 0.0 * penalty(model))
    assert largest_difference(plain, other) == 0
    assert history == same


@pytest.mark.parametrize("penalty", [penalties.l1, penalties.l2], ids=["l1", "l2"])
def test_a_penalty_changes_the_weights_and_no_reported_loss_contains_it(penalty):
    plain, _ = trained()
    model, history = trained(penalty=lambda model: 1e-2 * penalty(model))
    assert largest_difference(plain, model) > 1e-4
    assert penalty(model) < penalty(plain)
    told = evaluate(model, few.val)["loss"]
    assert history["val_loss"][-1] == pytest.approx(told, abs=1e-12)
    _, without = trained(epochs=1, optimizer=partial(torch.optim.SGD, lr=1e-12))
    _, with_it = trained(
        epochs=1, optimizer=partial(torch.optim.SGD, lr=1e-12), penalty=penalties.l2
    )
    assert with_it["running_loss"] == pytest.approx(without["running_loss"], abs=1e-8)


def test_half_the_squares_as_a_penalty_is_weight_decay():
    groups = partial(penalties.parameter_groups, weight_decay=0.01)
    decayed, _ = trained(groups=groups)
    penalized, _ = trained(penalty=lambda model: 0.01 * penalties.l2(model))
    assert largest_difference(decayed, penalized) < 1e-12
    assert largest_difference(decayed, trained()[0]) > 1e-4


def test_each_run_of_a_stack_has_its_own_strength():
    strengths = [0.0, 1e-3, 1e-1]
    many = fit_many(
        make,
        few,
        runs=[0, 0, 0],
        penalty=scaled_l1,
        hyper={"strength": strengths},
        optimizer=sgd,
        stack=True,
        **OPTIONS,
    )
    for r, strength in enumerate(strengths):
        model, history = trained(penalty=partial(scaled_l1, strength=strength))
        assert largest_difference(model, many.models[r]) < 1e-12
        assert many["running_loss"][r] == pytest.approx(history["running_loss"], abs=1e-10)
    plain = fit_many(make, few, runs=[0, 0, 0], optimizer=sgd, stack=True, **OPTIONS)
    assert largest_difference(plain.models[0], many.models[0]) == 0


def test_strengths_reach_runs_that_train_one_after_another():
    strengths = {"strength": [0.0, 1e-1]}
    options = OPTIONS | {"runs": [0, 0], "penalty": scaled_l1, "optimizer": sgd}
    apart = fit_many(make, few, hyper=strengths, stack=False, **options)
    together = fit_many(make, few, hyper=strengths, stack=True, **options)
    for a, b in zip(apart.models, together.models, strict=True):
        assert largest_difference(a, b) < 1e-12


# --- Parameter groups -----------------------------------------------------------------------------


def by_depth(model):
    first, last = model[1], model[-1]
    return [
        {"params": list(first.parameters()), "lr": 0.01},
        {"params": list(last.parameters()), "lr": 0.1},
    ]


def test_groups_reach_stacks_as_they_reach_single_runs():
    options = {"optimizer": torch.optim.SGD, "groups": by_depth}
    many = fit_many(make, few, runs=2, stack=True, **options, **OPTIONS)
    for r in range(2):
        model = make(r)
        fit(model, few, seed=r, **options, **OPTIONS)
        assert largest_difference(model, many.models[r]) < 1e-12
    assert largest_difference(many.models[0], trained()[0]) > 1e-4


def test_an_optimizer_of_another_model_is_an_error():
    other = make(1)
    with pytest.raises(ValueError, match="optimizer"):
        trained(optimizer=lambda _: torch.optim.SGD(other.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="optimizer"):
        trained(groups=lambda model: [{"params": model[-1].parameters()}])


# --- Transforms in stacks -------------------------------------------------------------------------


def double_and_soften(x, y):
    return 2 * x, 0.9 * nn.functional.one_hot(y, 10).to(x.dtype) + 0.01


def test_transforms_and_soft_targets_work_in_stacks():
    options = {"transform": double_and_soften, "loss": nn.functional.cross_entropy}
    many = fit_many(make, few, runs=2, optimizer=sgd, stack=True, **options, **OPTIONS)
    for r in range(2):
        model = make(r)
        fit(model, few, seed=r, optimizer=sgd, **options, **OPTIONS)
        assert largest_difference(model, many.models[r]) < 1e-12


# --- Modes, last batches, divergence --------------------------------------------------------------


class Normalized(nn.Sequential):
    def __init__(self, seed=0):
        super().__init__(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
        self.double()


@pytest.mark.parametrize("stack", [True, False, None])
def test_frozen_batch_normalization_stays_frozen(stack):
    def frozen(seed):
        model = Normalized(seed)
        model[1].eval()
        return model

    if stack is None:
        model = frozen(0)
        fit(model, few, seed=0, optimizer=sgd, **OPTIONS)
    else:
        model = fit_many(frozen, few, runs=2, optimizer=sgd, stack=stack, **OPTIONS).models[1]
    assert (model[1].running_mean == 0).all()
    assert not model.training


def test_a_model_in_evaluation_mode_trains_all_the_same():
    model = Normalized().eval()
    fit(model, few, seed=0, optimizer=sgd, **OPTIONS)
    assert (model[1].running_mean != 0).any()


@pytest.mark.parametrize("train", [fit, fit_many])
def test_a_last_batch_of_one_is_refused_before_the_first_step(train):
    odd = Splits(Split(few.train.x[:65], few.train.y[:65]), few.val, None, "odd")
    model = Normalized()
    what = {"seed": 0} if train is fit else {"runs": 2}
    seen = []
    with pytest.raises(ValueError, match="batch_size 32 leaves a batch of one of 65 examples"):
        train(
            model if train is fit else Normalized,
            odd,
            optimizer=sgd,
            after_epoch=[lambda h, m: seen.append(h)],
            **what,
            **OPTIONS,
        )
    assert seen == []
    assert (model[1].running_mean == 0).all()
    make_plain = make() if train is fit else make
    train(make_plain, odd, optimizer=sgd, **what, **OPTIONS)  # without it, one example is fine


def test_frozen_batch_normalization_takes_a_last_batch_of_one():
    def frozen(seed):
        model = Normalized(seed)
        model[1].eval()
        return model

    odd = Splits(Split(few.train.x[:65], few.train.y[:65]), few.val, None, "odd")
    many = fit_many(frozen, odd, runs=2, optimizer=sgd, **OPTIONS)
    fit(frozen(0), odd, seed=0, optimizer=sgd, **OPTIONS)
    assert not any(many.diverged)


def test_a_run_that_diverges_keeps_its_best_weights():
    steps = []

    def loss(outputs, y):
        if outputs.requires_grad:
            steps.append(y)
        broken = len(steps) > 6  # there are three steps in an epoch
        return nn.functional.cross_entropy(outputs, y) * (math.nan if broken else 1)

    model, stopping = make(), EarlyStopping(patience=50)
    two_epochs, _ = trained(epochs=2)
    with pytest.raises(FloatingPointError):
        fit(model, few, seed=0, loss=loss, optimizer=sgd, early_stopping=stopping, **OPTIONS)
    assert largest_difference(model, two_epochs) < 1e-12
    assert not model.training


def test_a_stopping_rule_used_before_does_not_lend_its_old_weights():
    stopping = EarlyStopping(patience=50)
    first, _ = trained(early_stopping=stopping)
    model = make(7)
    with pytest.raises(FloatingPointError):
        fit(
            model,
            few,
            seed=0,
            optimizer=partial(torch.optim.SGD, lr=1e300),
            early_stopping=stopping,
            **OPTIONS,
        )
    assert stopping.best_weights is None
    assert not any(
        torch.equal(p, q) for p, q in zip(first.parameters(), model.parameters(), strict=True)
    )
