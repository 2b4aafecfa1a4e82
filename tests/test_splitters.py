"""The splitters against scikit-learn's, index for index, and what shuffled ones owe their users."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from sklearn import model_selection
from torch import nn

from l2g import data, fit, fit_many, models
from l2g.resampling import (
    Fold,
    grouped,
    k_fold,
    leave_one_out,
    nested,
    repeated,
    stratified,
    time_series,
)

RANDOM = np.random.default_rng


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def same(ours, theirs):
    ours, theirs = list(ours), list(theirs)
    assert len(ours) == len(theirs)
    for fold, (train, val) in zip(ours, theirs, strict=True):
        assert fold.train.dtype == fold.val.dtype == torch.int64
        assert fold.train.tolist() == train.tolist()
        assert fold.val.tolist() == val.tolist()


def partition(folds, n):
    """Each example validates once, and trains in all other rounds; indices rise."""
    folds = list(folds)
    assert torch.cat([fold.val for fold in folds]).sort().values.tolist() == list(range(n))
    for train, val in folds:
        assert torch.cat([train, val]).sort().values.tolist() == list(range(n))
        assert (train.diff() > 0).all()
        assert (val.diff() > 0).all()
    return folds


@pytest.mark.parametrize("n", [2, 3, 7, 10, 11, 64, 200])
@pytest.mark.parametrize("k", [2, 3, 5, 7, 10])
def test_k_fold_is_that_of_scikit_learn(n, k):
    if k > n:
        with pytest.raises(ValueError, match=f"k must be at most {n}, the number of examples"):
            k_fold(n, k)
        return
    same(k_fold(n, k), model_selection.KFold(k).split(np.zeros(n)))


@pytest.mark.parametrize("n", [2, 3, 17])
def test_leave_one_out_is_that_of_scikit_learn(n):
    same(leave_one_out(n), model_selection.LeaveOneOut().split(np.zeros(n)))


def classes_of(kind, seed):
    draw = RANDOM(seed)
    y = {
        "random": draw.integers(0, 4, 53),
        "sorted": np.sort(draw.integers(0, 3, 40)),
        "two equal": np.repeat([1, 0], 20),
        "one rare": np.r_[np.zeros(30, int), np.ones(5, int)],
        "tiny": np.r_[np.zeros(30, int), 7, 3, 3, -2],
        "words": np.array(["cat", "ant", "bee"])[draw.integers(0, 3, 31)],
        "one class": np.zeros(12, int),
        "whole floats": draw.integers(0, 3, 33).astype(float),
        "booleans": draw.integers(0, 2, 25).astype(bool),
    }[kind]
    return y if kind in ("sorted", "two equal") else draw.permutation(y)


KINDS = ["random", "sorted", "two equal", "one rare", "tiny", "words", "one class"]
KINDS += ["whole floats", "booleans"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [2, 3, 5, 9])
@pytest.mark.parametrize("seed", range(3))
def test_stratified_is_that_of_scikit_learn(kind, k, seed):
    y = classes_of(kind, seed)
    with warnings.catch_warnings(record=True) as theirs:
        warnings.simplefilter("always")
        expected = list(model_selection.StratifiedKFold(k).split(np.zeros(len(y)), y))
    with warnings.catch_warnings(record=True) as ours:
        warnings.simplefilter("always")
        same(stratified(y, k), expected)
    assert len(ours) == len(theirs)


def test_stratified_takes_tensors_lists_and_arrays():
    y = torch.randint(3, (30,), generator=generator())
    for other in (y.tolist(), y.numpy(), y.to(torch.uint8), y.float()):
        same(stratified(other, 4), [(f.train, f.val) for f in stratified(y, 4)])


@pytest.mark.parametrize("seed", range(20))
def test_shuffled_classes_keep_their_shares(seed):
    y = torch.from_numpy(classes_of("random", seed))
    counts = y.bincount()
    for fold in partition(stratified(y, 5, generator=generator(seed)), len(y)):
        off = y[fold.val].bincount(minlength=4) - counts / 5
        assert off.abs().max() < 1
    sizes = [len(fold.val) for fold in stratified(y, 5, generator=generator(seed))]
    assert max(sizes) - min(sizes) <= 1


def groups_of(kind, seed):
    draw = RANDOM(seed)
    return {
        "random": draw.integers(0, 12, 60),
        "equal": draw.permutation(np.repeat(np.arange(10), 4)),
        "one huge": np.r_[np.zeros(50, int), draw.integers(1, 9, 20)],
        "singles": draw.permutation(30),
        "many ties": draw.permutation(np.r_[np.repeat(np.arange(40), 3), np.arange(40, 90)]),
        "words": np.array(list("abcdefghij"))[draw.integers(0, 10, 45)],
        "far apart": 10**12 * draw.integers(0, 9, 40),
    }[kind]


GROUPS = ["random", "equal", "one huge", "singles", "many ties", "words", "far apart"]


@pytest.mark.parametrize("kind", GROUPS)
@pytest.mark.parametrize("k", [2, 3, 5, 7])
@pytest.mark.parametrize("seed", range(3))
def test_grouped_is_that_of_scikit_learn(kind, k, seed, monkeypatch):
    # Older releases leave the order of equally large groups to the sort of the machine.
    monkeypatch.setattr(np, "argsort", partial(np.argsort, kind="stable"))
    groups = groups_of(kind, seed)
    expected = model_selection.GroupKFold(k).split(np.zeros(len(groups)), groups=groups)
    same(grouped(groups, k), expected)


@pytest.mark.parametrize("kind", GROUPS)
@pytest.mark.parametrize("drawn", [None, 0, 1, 2])
def test_no_group_trains_and_validates(kind, drawn):
    groups = groups_of(kind, 5)
    shuffle = None if drawn is None else generator(drawn)
    for train, val in partition(grouped(groups, 5, generator=shuffle), len(groups)):
        assert len(val) > 0
        assert not {*groups[train.numpy()]} & {*groups[val.numpy()]}


def test_shuffled_groups_of_equal_size_fill_equal_folds_with_others_each_time():
    groups = torch.arange(50) % 10
    folds = [
        [fold.val.tolist() for fold in grouped(groups, 5, generator=generator(s))] for s in (0, 1)
    ]
    assert folds[0] != folds[1]
    assert {len(val) for val in folds[0] + folds[1]} == {10}


@pytest.mark.parametrize("n", [6, 7, 20, 53])
@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize(("val_size", "gap", "most"), [(None, 0, None), (1, 0, 3), (2, 2, None)])
def test_time_series_is_that_of_scikit_learn(n, k, val_size, gap, most):
    theirs = model_selection.TimeSeriesSplit(
        k, max_train_size=most, test_size=val_size, gap=gap
    ).split(np.zeros(n))
    try:
        expected = list(theirs)
    except ValueError:
        with pytest.raises(ValueError, match="n must leave at least one example"):
            time_series(n, k, val_size=val_size, gap=gap, most=most)
        return
    same(time_series(n, k, val_size=val_size, gap=gap, most=most), expected)


def test_the_past_never_holds_the_future():
    for train, val in time_series(40, 6, gap=2):
        assert train.max() + 2 < val.min()


@pytest.mark.parametrize(("n", "k"), [(10, 3), (11, 11), (200, 5)])
def test_a_shuffled_fold_holds_a_stretch_of_the_permutation(n, k):
    order = torch.randperm(n, generator=generator(3))
    folds = partition(k_fold(n, k, generator=generator(3)), n)
    stretches = [val for _, val in model_selection.KFold(k).split(np.zeros(n))]
    for fold, stretch in zip(folds, stretches, strict=True):
        assert fold.val.tolist() == sorted(order[torch.from_numpy(stretch)].tolist())


def test_the_generator_decides_and_the_global_state_is_left_alone():
    before = torch.get_rng_state()
    one, again, other = (list(k_fold(30, 3, generator=generator(s))) for s in (1, 1, 2))
    assert all(torch.equal(a.val, b.val) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0].val, other[0].val)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("split", "what"), [(k_fold, 30), (stratified, [0, 1] * 15), (grouped, [*range(10)] * 3)]
)
def test_repeated_splits_anew_each_time(split, what):
    folds = list(repeated(split, what, 3, times=4, generator=generator()))
    assert len(folds) == 12
    rounds = [partition(folds[3 * r : 3 * r + 3], 30) for r in range(4)]
    firsts = {tuple(rounds[r][0].val.tolist()) for r in range(4)}
    assert len(firsts) == 4
    before = torch.get_rng_state()
    list(repeated(split, what, 3, times=1))
    assert not torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("seed", [None, 0])
def test_nested_folds_choose_without_the_outer_validation(seed):
    y = torch.arange(60) % 3
    shuffle = None if seed is None else generator(seed)
    rounds = list(nested(stratified, y, 5, 4, generator=shuffle))
    partition([fold for fold, _ in rounds], 60)
    for fold, inner in rounds:
        assert len(inner) == 4
        held = torch.cat([part.val for part in inner])
        assert held.sort().values.tolist() == fold.train.tolist()
        for part in inner:
            assert {*part.train.tolist(), *part.val.tolist()} == {*fold.train.tolist()}
            assert (y[part.val].bincount() - 4).abs().max() <= 1


def test_nested_keeps_groups_together_inside_too():
    groups = torch.arange(48) % 12
    for fold, inner in nested(grouped, groups, 3, 2):
        for part in inner:
            parts = [{*groups[index].tolist()} for index in (part.train, part.val, fold.val)]
            assert not parts[0] & parts[1]
            assert not (parts[0] | parts[1]) & parts[2]
    assert len(list(nested(k_fold, 20, 4, 3))) == 4
    assert len(list(nested(k_fold, np.int64(20), 4, 3))) == 4


def test_all_folds_are_one_population():
    digits = data.load("digits")
    part = data.Split(digits.train.x[:60], digits.train.y[:60])
    both = data.Splits(part, part, digits.test, "few", digits.classes)
    folds = list(k_fold(60, 5, generator=generator()))
    options = dict(epochs=3, batch_size=16, loss=nn.CrossEntropyLoss(), progress=False)
    make = partial(models.mlp, (64, 8, 10))
    together = fit_many(
        make,
        both,
        runs=[0] * 5,
        train_indices=[fold.train for fold in folds],
        val_indices=[fold.val for fold in folds],
        **options,
    )
    for r, (train, val) in enumerate(folds):
        own = data.Splits(
            data.Split(part.x[train], part.y[train]),
            data.Split(part.x[val], part.y[val]),
            digits.test,
            "fold",
            digits.classes,
        )
        alone = fit(make(seed=0), own, seed=0, **options)
        np.testing.assert_allclose(together["val_loss"][r], alone["val_loss"], rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: k_fold(10.0), TypeError, "n must be an integer, got 10.0"),
        (lambda: k_fold(10, "5"), TypeError, "k must be an integer, got '5'"),
        (lambda: k_fold(1, 2), ValueError, "n must be at least 2, got 1"),
        (lambda: k_fold(10, 1), ValueError, "k must be at least 2, got 1"),
        (lambda: leave_one_out(1), ValueError, "n must be at least 2, got 1"),
        (lambda: stratified([0, 1, 2], 2), ValueError, "at most 1, the size of the largest class"),
        (lambda: stratified([0.5, 1, 1], 2), TypeError, "y must hold labels, got fractions"),
        (lambda: stratified([[0], [1]], 2), ValueError, r"one label for each .* \(2, 1\)"),
        (lambda: stratified([], 2), ValueError, r"one label for each example, got shape \(0,\)"),
        (lambda: grouped([0, 0, 1, 1], 3), ValueError, "at most 2, the number of groups, got 3"),
        (lambda: grouped([0.0, float("nan")], 2), TypeError, "groups must hold labels"),
        (lambda: time_series(5, 5), ValueError, "k must be below n = 5, got 5"),
        (lambda: time_series(9, 2, gap=-1), ValueError, "gap must be at least 0, got -1"),
        (lambda: time_series(9, 2, most=0), ValueError, "most must be at least 1, got 0"),
        (lambda: time_series(9, 2, val_size=0), ValueError, "val_size must be at least 1, got 0"),
        (lambda: repeated(k_fold, 9, 3, times=0), ValueError, "times must be at least 1, got 0"),
        (lambda: list(nested(k_fold, 9, 3, 7)), ValueError, "k must be at most 6"),
        (lambda: list(nested(grouped, [0, 1] * 4, 2, 2)), ValueError, "k must be at most 1"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_folds_that_lack_a_class_are_announced():
    with pytest.warns(UserWarning, match="smallest class has 2 members, fewer than k = 3 folds"):
        folds = stratified([0, 0, 0, 0, 1, 1], 3)
    assert all(isinstance(fold, Fold) for fold in folds)
