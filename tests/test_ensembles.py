"""Bias and variance: an identity on every draw; bagging and boosting against scikit-learn's."""

import math
import warnings
from inspect import signature

import numpy as np
import pytest
import torch
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    GradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from l2g.ensembles import AdaBoost, Bagging, GradientBoosting, Stump, bias_variance, majority

SIGMA = 0.3
X_TRAIN = torch.linspace(0, 1, 20, dtype=torch.float64)
X = torch.linspace(0, 1, 41, dtype=torch.float64)
PARTS = ("bias2", "variance", "noise", "error")


def f(x):
    return (2 * math.pi * x).sin()


def draw(x, runs, generator):
    noise = torch.randn(runs, x.shape[-1], generator=generator, dtype=torch.float64)
    return f(x) + SIGMA * noise


def draw_skewed(x, runs, generator):
    """Noise of mean zero that is neither symmetric nor the same at every x."""
    noise = -torch.rand(runs, x.shape[-1], generator=generator, dtype=torch.float64).log() - 1
    return f(x) + x * noise


def draw_whitened(x, runs, generator):
    """Noise whose sample mean is exactly 0 and whose sample covariance is exactly σ² times 1."""
    z = torch.randn(runs, len(x), generator=generator, dtype=torch.float64)
    return f(x) + SIGMA * math.sqrt(runs) * torch.linalg.qr(z - z.mean(dim=0)).Q


def features(x, degree):
    return x[..., None] ** torch.arange(degree + 1, dtype=torch.float64)


def polynomial(degree):
    def train(x_train, y_train, x):
        fitted = torch.linalg.lstsq(features(x_train, degree), y_train.T).solution
        return (features(x, degree) @ fitted).T

    return train


def nearest(x_train, y_train, x):
    return y_train[:, (x[:, None] - x_train).abs().argmin(dim=1)]


def nearest_of_each(x_train, y_train, x):
    return y_train.gather(1, (x[:, None] - x_train[:, None]).abs().argmin(dim=2))


def constant(x_train, y_train, x):
    return torch.zeros(len(y_train), len(x))


PROCEDURES = {
    "constant": constant,
    "line": polynomial(1),
    "degree 9": polynomial(9),
    "1-NN": nearest,
}


@pytest.mark.parametrize("noise", [draw, draw_skewed])
@pytest.mark.parametrize("runs", [2, 3, 100])
@pytest.mark.parametrize("name", PROCEDURES)
def test_the_error_is_the_sum_of_its_parts_at_every_point(name, runs, noise):
    parts = bias_variance(PROCEDURES[name], noise, X, f, x_train=X_TRAIN, runs=runs, seed=1)
    total = parts.bias2 + parts.variance + parts.noise
    torch.testing.assert_close(parts.error, total, rtol=1e-12, atol=1e-12)
    assert parts.predictions.shape == (runs, 41)
    assert all(getattr(parts, part).shape == (41,) for part in PARTS)


@pytest.mark.parametrize("degree", [0, 1, 3, 7])
def test_whitened_noise_gives_the_closed_forms_of_least_squares(degree):
    parts = bias_variance(polynomial(degree), draw_whitened, X, f, x_train=X_TRAIN, runs=100)
    smoother = features(X, degree) @ torch.linalg.pinv(features(X_TRAIN, degree))
    exact = {
        "bias2": (smoother @ f(X_TRAIN) - f(X)).square(),
        "variance": SIGMA**2 * smoother.square().sum(dim=1),
        "noise": torch.full((41,), SIGMA**2, dtype=torch.float64),
    }
    for part, value in exact.items():
        torch.testing.assert_close(getattr(parts, part), value, rtol=1e-9, atol=1e-12)


def test_the_error_is_what_a_plain_test_measures():
    parts = bias_variance(polynomial(3), draw, X, f, x_train=X_TRAIN, runs=4000)
    targets = draw(X, 4000, torch.Generator().manual_seed(99))
    plain = (targets - parts.predictions).square().mean()
    assert plain.item() == pytest.approx(parts.error.mean().item(), rel=0.02)


def test_a_procedure_that_ignores_the_data_has_no_variance():
    parts = bias_variance(constant, draw, X, f, x_train=X_TRAIN, runs=50)
    assert parts.variance.max() == 0
    torch.testing.assert_close(parts.bias2, f(X).square())


def test_each_run_may_have_inputs_of_its_own():
    generator = torch.Generator().manual_seed(5)
    x_train = torch.rand(200, 20, generator=generator, dtype=torch.float64)
    parts = bias_variance(nearest_of_each, draw, X, f, x_train=x_train, runs=200)
    total = parts.bias2 + parts.variance + parts.noise
    torch.testing.assert_close(parts.error, total, rtol=1e-12, atol=1e-12)
    fixed = bias_variance(nearest, draw, X, f, x_train=X_TRAIN, runs=200)
    assert parts.variance.mean() > fixed.variance.mean() > SIGMA**2 / 2


def test_single_precision_predictions_do_not_break_the_identity():
    def train(x_train, y_train, x):
        return polynomial(5)(x_train, y_train, x).float()

    parts = bias_variance(train, draw, X, f, x_train=X_TRAIN, runs=100)
    total = parts.bias2 + parts.variance + parts.noise
    torch.testing.assert_close(parts.error, total, rtol=1e-12, atol=1e-12)


def test_the_seed_decides_the_draws():
    first, again, other = (
        bias_variance(polynomial(3), draw, X, f, x_train=X_TRAIN, runs=5, seed=seed)
        for seed in (1, 1, 2)
    )
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first.predictions, other.predictions)


def spoilt(function, value):
    def spoil(*inputs):
        return function(*inputs) * value

    return spoil


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runs": 1}, "runs must be at least 2, got 1"),
        ({"train": lambda *_: X}, r"train must return shape \(10, 41\), got \(41,\)"),
        ({"f": lambda x: f(x)[None]}, r"f must return shape \(41,\), got \(1, 41\)"),
        ({"draw": lambda x, *_: draw(x, 10, None)[:, :20]}, r"draw must return shape \(10, 41\)"),
        ({"train": spoilt(polynomial(1), math.nan)}, "train returned 410 NaN or infinite values"),
        ({"f": spoilt(f, math.inf)}, "f returned 41 NaN or infinite"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(arguments, message):
    usual = {"train": polynomial(1), "draw": draw, "f": f, "x": X, "x_train": X_TRAIN, "runs": 10}
    with pytest.raises(ValueError, match=message):
        bias_variance(**(usual | arguments))


# --- Bagging, AdaBoost and gradient boosting against scikit-learn's -------------------------------


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def two_classes(n=120, d=4, seed=0, noise=0.1):
    """A ball in its surroundings, with some labels turned over."""
    g = generator(seed)
    x = torch.randn(n, d, generator=g, dtype=torch.float64)
    inside = x.square().sum(dim=1) > d - 0.7
    return x, torch.where(inside ^ (torch.rand(n, generator=g) < noise), 1, -1)


def coarse(n=80, seed=0):
    """Few different values in each column, so that many splits are equally good."""
    g = generator(seed)
    return torch.randint(3, (n, 3), generator=g).double(), 2 * torch.randint(
        2, (n,), generator=g
    ) - 1


def curve_data(n=150, seed=0):
    x = torch.rand(n, 3, generator=generator(seed), dtype=torch.float64)
    noise = torch.randn(n, generator=generator(seed + 1), dtype=torch.float64)
    return x, (6 * x[:, 0]).sin() + x[:, 1] + 0.2 * noise


def tree(seed):
    return DecisionTreeClassifier(random_state=seed)


class Replay:
    """Answers as a trained learner, and keeps what it was trained on: ties between equally good
    splits, which rounding decides, then cannot part two ensembles."""

    def __init__(self, learner):
        self.learner = learner

    def fit(self, X, y, sample_weight=None):
        self.X, self.y, self.w = X, y, sample_weight

    def predict(self, X):
        return self.learner.predict(X)


def replaying(learners):
    """A maker of one replay after another; and those that it has made."""
    made = [Replay(learner) for learner in learners]
    upcoming = iter(made)
    return lambda seed: next(upcoming), made


CASES = [
    two_classes(seed=0),
    two_classes(seed=1, noise=0.3),
    two_classes(d=2, seed=2),
    coarse(),
    coarse(seed=1),
]


def adaboost_classifier(learner, rounds):
    """scikit-learn's, by the rule of the page; its releases differ in how they are told so."""
    known = signature(AdaBoostClassifier).parameters
    options = {"algorithm": "SAMME"} if "algorithm" in known else {}
    return AdaBoostClassifier(learner, n_estimators=rounds, random_state=3, **options)


@pytest.mark.filterwarnings("ignore:The parameter 'algorithm':FutureWarning")
@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_adaboost_has_the_weights_of_scikit_learn_in_every_round(case, depth):
    x, y = CASES[case]
    theirs_seen = []

    class Tree(DecisionTreeClassifier):
        def fit(self, X, y, sample_weight=None):
            theirs_seen.append(sample_weight / sample_weight.sum())
            return super().fit(X, y, sample_weight)

    theirs = adaboost_classifier(Tree(max_depth=depth), 40).fit(x.numpy(), y.numpy())
    rounds = len(theirs.estimators_)
    make, made = replaying(theirs.estimators_)
    ours = AdaBoost(make, rounds).fit(x, y)
    assert len(ours.learners) == rounds
    close(2 * ours.alphas, theirs.estimator_weights_[:rounds])
    close(ours.errors, theirs.estimator_errors_[:rounds])
    for learner, w, their_w in zip(made, ours.weights[:-1], theirs_seen, strict=False):
        close(w, their_w)
        close(learner.w, their_w)
    new = torch.randn(50, x.shape[1], generator=generator(9), dtype=torch.float64)
    staged = list(theirs.staged_predict(new.numpy()))
    for F, answers in zip(ours.scores(new), staged, strict=True):
        clear = F.abs() > 1e-9
        assert torch.equal(F.sign()[clear], torch.tensor(answers)[clear].double())


@pytest.mark.filterwarnings("ignore:The parameter 'algorithm':FutureWarning")
def test_adaboost_trains_the_trees_that_scikit_learn_trains():
    x, y = two_classes(seed=1)
    theirs = adaboost_classifier(DecisionTreeClassifier(max_depth=1), 40).fit(x.numpy(), y.numpy())
    ours = AdaBoost(lambda seed: DecisionTreeClassifier(max_depth=1, random_state=seed), 40).fit(
        x, y
    )
    close(2 * ours.alphas, theirs.estimator_weights_)


def test_after_each_round_the_learner_is_as_good_as_a_coin():
    x, y = two_classes()
    boost = AdaBoost(lambda seed: Stump(), 50).fit(x, y)
    wrong = boost.predictions(x) != y
    close((boost.weights[1:] * wrong).sum(dim=1), torch.full((50,), 0.5))
    close((boost.weights[:-1] * wrong).sum(dim=1), boost.errors)


def test_adaboost_is_descent_on_the_exponential_loss():
    x, y = two_classes()
    boost = AdaBoost(lambda seed: Stump(), 30).fit(x, y)
    losses = torch.exp(-y * boost.scores(x)).mean(dim=1)
    factors = 2 * (boost.errors * (1 - boost.errors)).sqrt()
    close(losses, factors.cumprod(dim=0))
    weights = torch.exp(-y * boost.scores(x))
    close(boost.weights[1:], weights / weights.sum(dim=1, keepdim=True))
    mistakes = ((boost.scores(x) * y) < 0).double().mean(dim=1)
    assert (mistakes <= losses + 1e-12).all()


def test_margins_are_shares_of_the_vote():
    x, y = two_classes()
    boost = AdaBoost(lambda seed: Stump(), 20).fit(x, y)
    right = (boost.predictions(x) == y).double()
    share = (boost.alphas[:, None] * right).sum(dim=0) / boost.alphas.sum()
    close(boost.margins(x, y)[-1], 2 * share - 1)
    assert ((boost.margins(x, y)[-1] > 0) == (boost.predict(x) == y)).all()


def test_a_learner_without_a_mistake_decides_alone():
    x, y = two_classes()
    boost = AdaBoost(tree, 20).fit(x, y)
    assert len(boost.learners) == 1
    assert boost.alphas.tolist() == [1.0]
    assert torch.equal(boost.predict(x), y)
    perfect_later = iter([Stump(), Stump(), tree(0)])
    boost = AdaBoost(lambda seed: next(perfect_later), 3).fit(x, y)
    assert boost.alphas.tolist() == [1.0]
    assert torch.equal(boost.predict(x), y)


def test_learners_that_are_no_better_than_a_coin_end_the_training():
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    xor = torch.tensor([1, -1, -1, 1])
    with pytest.raises(ValueError, match="no better than a coin"):
        AdaBoost(lambda seed: Stump(), 5).fit(x, xor)
    three = AdaBoost(lambda seed: Stump(), 500).fit(x, torch.tensor([1, -1, -1, -1]))
    assert (three.errors < 0.5).all()


def test_resampling_draws_by_the_weights():
    x, y = two_classes(n=200)
    drawn = []

    class Spy(Stump):
        def fit(self, X, y, sample_weight=None):
            drawn.append(torch.as_tensor(X))
            return super().fit(X, y, sample_weight)

    boost = AdaBoost(lambda seed: Spy(), 60, resample=True, generator=generator()).fit(x, y)
    assert len(drawn) == 60
    assert len(boost.learners) <= 60
    last = (drawn[len(boost.learners) - 1][:, None] == x[None]).all(dim=2).double().sum(dim=0)
    w = boost.weights[len(boost.learners) - 1]
    assert torch.corrcoef(torch.stack([last, w]))[0, 1] > 0.3
    assert (boost.predict(x) == y).double().mean() > 0.75


def brute_force(x, y, w):
    """All stumps in the order of ties; the first whose error is lowest up to rounding."""
    found = []
    for j in range(x.shape[1]):
        values = x[:, j].unique()
        for threshold in [-math.inf, *((values[1:] + values[:-1]) / 2).tolist()]:
            for sign in (1, -1):
                answers = torch.where(x[:, j] > threshold, sign, -sign)
                found.append((float(w[answers != y].sum()), j, threshold, sign))
    lowest = min(found)[0]
    return next(stump for stump in found if stump[0] <= lowest + 1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_a_stump_is_the_first_of_the_best(seed):
    x, y = coarse(30, seed) if seed % 2 else two_classes(30, seed=seed, noise=0.4)
    w = (
        torch.rand(30, generator=generator(seed), dtype=torch.float64)
        if seed % 3
        else torch.ones(30) / 30
    )
    w = w / w.sum()
    stump = Stump().fit(x, y, w)
    _, feature, threshold, sign = brute_force(x, y, w.double())
    assert (stump.feature, stump.threshold, stump.sign) == (feature, threshold, sign)


def test_a_threshold_lies_between_neighbours_that_hardly_differ():
    low = torch.tensor(1.0, dtype=torch.float64)
    high = torch.nextafter(low, torch.tensor(2.0, dtype=torch.float64))
    x, y = torch.stack([low, high])[:, None], torch.tensor([-1, 1])
    assert torch.equal(Stump().fit(x, y).predict(x), y)


def draws_of(theirs):
    return torch.stack([torch.tensor(rows).long() for rows in theirs.estimators_samples_])


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("features", [None, 1])
def test_bagging_votes_as_scikit_learn_given_its_draws(case, features):
    x, y = CASES[case]
    y = (y + 1) // 2
    learner = DecisionTreeClassifier(max_features=features, max_depth=4)
    theirs = BaggingClassifier(learner, n_estimators=25, random_state=0).fit(x.numpy(), y.numpy())
    make, made = replaying(theirs.estimators_)
    ours = Bagging(make, 25).fit(x, y, draws_of(theirs))
    for member, rows in zip(made, theirs.estimators_samples_, strict=True):
        close(member.X, x[rows])
        close(member.y, y[rows])
    new = torch.randn(200, x.shape[1], generator=generator(5), dtype=torch.float64)
    theirs_predictions = np.stack([h.predict(new.numpy()) for h in theirs.estimators_])
    assert np.array_equal(ours.predictions(new), theirs_predictions)
    assert torch.equal(ours.predict(new), torch.tensor((theirs_predictions.mean(axis=0) > 0.5) * 1))


def test_a_forest_has_the_answers_of_scikit_learn():
    x, y = CASES[0]
    y = (y + 1) // 2
    theirs = RandomForestClassifier(30, random_state=0).fit(x.numpy(), y.numpy())
    make, _ = replaying(theirs.estimators_)
    draws = draws_of(theirs) if hasattr(theirs, "estimators_samples_") else None
    ours = Bagging(make, 30).fit(x, y, draws)
    assert torch.equal(ours.predict(x), torch.tensor(theirs.predict(x.numpy())))


def test_bagging_averages_as_scikit_learn_given_its_draws():
    x, y = curve_data()
    theirs = BaggingRegressor(
        DecisionTreeRegressor(), n_estimators=20, random_state=0, oob_score=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a row without an out-of-bag estimate
        theirs.fit(x.numpy(), y.numpy())
    make, _ = replaying(theirs.estimators_)
    ours = Bagging(make, 20).fit(x, y, draws_of(theirs))
    close(ours.predict(x), theirs.predict(x.numpy()))
    asked = ours.out_of_bag.isfinite()
    close(ours.out_of_bag[asked], theirs.oob_prediction_[asked.numpy()])


def test_out_of_bag_asks_only_those_who_have_not_seen_the_row():
    x, y = two_classes(40)
    y = (y + 1) // 2
    bag = Bagging(tree, 7, generator=generator()).fit(x, y)
    for i in range(40):
        votes = [
            int(bag.learners[b].predict(x[i : i + 1].numpy())[0])
            for b in range(7)
            if i not in bag.draws[b]
        ]
        expected = -1 if not votes else int(sum(votes) > len(votes) / 2)
        assert bag.out_of_bag[i] == expected
    assert (bag.predict(x) == y).all() or (bag.out_of_bag != y).any()


def test_draws_of_a_bag_have_the_size_of_the_data_and_repeat_rows():
    x, y = two_classes(300)
    bag = Bagging(tree, 50, generator=generator()).fit(x, (y > 0).long())
    assert bag.draws.shape == (50, 300)
    missing = 1 - torch.tensor([len(draw.unique()) / 300 for draw in bag.draws])
    assert abs(missing.mean() - math.exp(-1)) < 0.01
    again = Bagging(tree, 50, generator=generator()).fit(x, (y > 0).long())
    assert torch.equal(bag.draws, again.draws)
    assert torch.equal(bag.predictions(x), again.predictions(x))


@pytest.mark.parametrize(("rate", "depth"), [(1.0, 1), (0.1, 3), (0.3, 5)])
def test_gradient_boosting_has_the_predictions_of_scikit_learn_in_every_round(rate, depth):
    x, y = curve_data()
    theirs = GradientBoostingRegressor(
        n_estimators=50, learning_rate=rate, max_depth=depth, random_state=0
    ).fit(x.numpy(), y.numpy())
    make, made = replaying(theirs.estimators_[:, 0])
    ours = GradientBoosting(make, 50, rate=rate).fit(x, y)
    new = curve_data(seed=7)[0]
    staged = np.stack(list(theirs.staged_predict(new.numpy())))
    close(ours.scores(new)[1:], staged)
    close(ours.predict(new), staged[-1])
    close(ours.scores(new)[0], np.full(len(new), y.mean()))
    fitted = np.stack([np.full(len(y), y.mean()), *theirs.staged_predict(x.numpy())])
    for learner, F in zip(made, fitted, strict=False):
        close(learner.y, y.numpy() - F)


def test_gradient_boosting_trains_the_trees_that_scikit_learn_trains():
    x, y = curve_data()
    theirs = GradientBoostingRegressor(n_estimators=50, max_depth=1, random_state=0)
    theirs.fit(x.numpy(), y.numpy())
    ours = GradientBoosting(lambda s: DecisionTreeRegressor(max_depth=1, random_state=s), 50)
    close(ours.fit(x, y).predict(x), theirs.predict(x.numpy()))


def test_gradient_boosting_of_the_logistic_loss_fits_what_the_probability_lacks():
    x, y = two_classes()
    y, seen = (y > 0).double(), []

    class Tree(DecisionTreeRegressor):
        def fit(self, X, y):
            seen.append(torch.tensor(y))
            return super().fit(X, y)

    def log_loss(F, y):
        return torch.nn.functional.binary_cross_entropy_with_logits(F, y, reduction="sum")

    boost = GradientBoosting(
        lambda s: Tree(max_depth=2, random_state=s), 20, loss=log_loss, start=0.0
    )
    boost.fit(x, y)
    for F, residual in zip(boost.scores(x), seen, strict=False):
        close(residual, y - F.sigmoid())


def close(a, b):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-10, atol=1e-12)


def test_majority_breaks_ties_downwards_and_lets_members_abstain():
    votes = torch.tensor([[0, 2, -1, -1], [1, 2, 1, -1], [1, 0, 0, -1], [0, -1, -1, -1]])
    assert majority(votes).tolist() == [0, 2, 0, -1]


def test_bad_input_is_named():
    x, y = two_classes(10)
    with pytest.raises(ValueError, match="−1 and \\+1"):
        AdaBoost(tree, 3).fit(x, (y + 1) // 2)
    with pytest.raises(ValueError, match="classes 0"):
        Bagging(tree, 3).fit(x, y)
    with pytest.raises(ValueError, match="shapes"):
        GradientBoosting(tree, 3).fit(x, y[:5])
    with pytest.raises(ValueError, match="finite"):
        Stump().fit(x / 0, y)
    with pytest.raises(ValueError, match="sample_weight"):
        Stump().fit(x, y, -torch.ones(10))
    with pytest.raises(ValueError, match="members must be at least 1"):
        Bagging(tree, 0)
    with pytest.raises(ValueError, match="rate must be above 0"):
        GradientBoosting(tree, rate=0)
    with pytest.raises(ValueError, match="draws must have shape"):
        Bagging(tree, 3).fit(x, (y + 1) // 2, torch.zeros(2, 10, dtype=torch.long))
    with pytest.raises(TypeError, match="whole numbers"):
        majority(torch.zeros(2, 2))
    with pytest.raises(ValueError, match="shape \\(N, d\\)"):
        Bagging(tree, 1).fit(x, (y + 1) // 2).predict(x[0])
