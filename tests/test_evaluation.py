"""Outputs, losses and metrics of a whole split: none of them depends on how it is cut."""

from functools import partial

import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score
from torch import nn

from l2g import evaluate, fit, fit_many, predict
from l2g.data import Split, Splits, load
from l2g.models import mlp

digits = load("digits")
model = mlp((64, 16, 10), seed=0)
few = Splits(*(Split(s.x[:97], s.y[:97]) for s in (digits.train, digits.val, digits.test)), "few")
make = partial(mlp, (64, 16, 10))
adam = partial(torch.optim.Adam, lr=1e-2)
QUIET = {"device": "cpu", "progress": False}


def macro_f1(outputs, targets):
    return f1_score(targets, outputs.argmax(1), average="macro", zero_division=0)


def auc(outputs, targets):
    if len(set((targets == 3).tolist())) < 2:  # as the first two examples, on which fit tries it
        raise ValueError("both classes are needed")
    return roc_auc_score(targets == 3, outputs.softmax(1)[:, 3])


@pytest.mark.parametrize("batch_size", [1, 7, 32, 97])
def test_predictions_do_not_depend_on_the_batch_size(batch_size):
    outputs = predict(model, few.val, batch_size=batch_size)
    assert outputs.shape == (97, 10)
    assert not outputs.requires_grad
    torch.testing.assert_close(outputs, model(few.val.x).detach())


def test_predict_uses_evaluation_mode_and_leaves_modes_alone():
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 10))
    before = net[1].running_mean.clone()
    first, again = predict(net, few.val), predict(net, few.val, batch_size=5)
    torch.testing.assert_close(first, again)
    assert net.training
    assert torch.equal(net[1].running_mean, before)


def test_integers_stay_what_they_are():
    embedding = nn.Embedding(5, 3)
    x = torch.tensor([4, 0, 2])
    assert torch.equal(predict(embedding, Split(x, x)), embedding(x).detach())


@pytest.mark.parametrize("batch_size", [1, 7, 32, 97])
def test_a_metric_sees_the_whole_split(batch_size):
    metrics = {"f1": macro_f1, "auc": auc}
    found = evaluate(model, few.val, metrics=metrics, batch_size=batch_size)
    outputs = model(few.val.x).detach()
    assert found["f1"] == pytest.approx(macro_f1(outputs, few.val.y), abs=1e-12)
    assert found["auc"] == pytest.approx(auc(outputs, few.val.y), abs=1e-6)
    assert found.keys() == {"loss", "f1", "auc"}


@pytest.mark.parametrize("stack", [True, False])
def test_fit_and_fit_many_measure_as_evaluate_does(stack):
    options = QUIET | {"epochs": 2, "optimizer": adam, "metrics": {"f1": macro_f1, "auc": auc}}
    by_size = []
    for batch_size in (16, 97):
        many = fit_many(make, few, runs=2, batch_size=batch_size, stack=stack, **options)
        for r in range(2):
            for name, split in {"train": few.train, "val": few.val}.items():
                told = evaluate(many.models[r], split, metrics=options["metrics"])
                for key, value in told.items():
                    assert many[f"{name}_{key}"][r, -1] == pytest.approx(value, abs=1e-5)
        by_size.append(many)
    net = make(seed=0)
    one = fit(net, few, seed=0, batch_size=16, **options)
    assert one["val_f1"] == pytest.approx(by_size[0]["val_f1"][0], abs=1e-5)


def test_metrics_of_folds_of_unequal_size_see_their_own_examples():
    folds = [torch.arange(40), torch.arange(40, 97), torch.arange(33)]
    many = fit_many(
        make, few, runs=3, epochs=1, val_indices=folds, metrics={"f1": macro_f1}, **QUIET
    )
    for r, fold in enumerate(folds):
        outputs = many.models[r](few.val.x[fold]).detach()
        assert many["val_f1"][r, -1] == pytest.approx(macro_f1(outputs, few.val.y[fold]), abs=1e-6)


def test_a_metric_that_returns_many_numbers_is_refused_before_training():
    with pytest.raises(ValueError, match="recall must return one number, for all outputs"):
        evaluate(model, few.val, metrics={"recall": lambda outputs, y: outputs.sum(1)})


def test_numbers_of_another_precision_are_named():
    double = Split(few.val.x.double(), few.val.y)
    with pytest.raises(TypeError, match=r"split.x is float64, but .* parameters are float32"):
        predict(model, double)
    with pytest.raises(TypeError, match=r"splits.train.x is float64"):
        fit(make(seed=0), Splits(double, double, double, "d"), epochs=1, seed=0, **QUIET)
