"""Metrics against scikit-learn, on random and on adversarial inputs."""

import warnings
from functools import partial

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from sklearn.exceptions import UndefinedMetricWarning

from l2g import fit, metrics, models
from l2g.data import Split, Splits
from l2g.metrics import accuracy

close = partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12)
AVERAGES = ["micro", "macro", "weighted", None]
TRIALS = range(40)


@pytest.fixture(autouse=True)
def quiet():
    """scikit-learn warns where a ratio is 0/0; both count it as 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


def drawn(seed):
    """A generator, a number of examples, and weights (none, real, or with zeros among them)."""
    generator = torch.Generator().manual_seed(seed)
    n = int(torch.randint(1, 60, (), generator=generator))
    weight = torch.rand(n, dtype=torch.float64, generator=generator) + 0.01
    if seed % 4 == 3:
        weight = (weight > 0.4) * weight
        weight[0] = 1.0
    return generator, n, None if seed % 2 == 0 else weight


# --- Counts ---------------------------------------------------------------------------------------

SCORED = {
    "precision": (metrics.precision, sk.precision_score),
    "recall": (metrics.recall, sk.recall_score),
    "f1": (metrics.f1, sk.f1_score),
}
each_score = pytest.mark.parametrize("name", SCORED)


@each_score
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("seed", TRIALS)
def test_scores_of_many_classes_are_those_of_scikit_learn(name, average, seed):
    ours, theirs = SCORED[name]
    generator, n, weight = drawn(seed)
    classes = 2 + seed % 7  # more than some draws have examples: classes are absent
    p, y = torch.randint(classes, (2, n), generator=generator)
    labels = range(classes) if average is None else None
    found = ours(p, y, average=average, classes=classes, sample_weight=weight)
    close(found, theirs(y, p, average=average, labels=labels, sample_weight=weight))


@each_score
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("seed", TRIALS)
def test_scores_of_several_labels_are_those_of_scikit_learn(name, average, seed):
    ours, theirs = SCORED[name]
    generator, n, weight = drawn(seed)
    p, y = (torch.rand(2, n, 1 + seed % 4, generator=generator) < 0.3).long()
    if y.shape[1] == 1:  # scikit-learn takes one column for a single question
        y, p = torch.cat([y, y], 1), torch.cat([p, 1 - p], 1)
    found = ours(p.bool(), y, average=average, sample_weight=weight)
    close(found, theirs(y, p, average=average, sample_weight=weight))


@each_score
@pytest.mark.parametrize(
    ("p", "y"),
    [
        ([0, 0, 0], [0, 0, 0]),  # no positives anywhere
        ([1, 1], [1, 1]),
        ([0, 0, 1], [1, 1, 0]),  # nothing right
        ([0, 0, 0, 0], [0, 1, 0, 1]),  # nothing called positive
        ([1, 1, 1], [0, 0, 0]),
        ([1], [0]),
    ],
)
def test_scores_of_two_classes_are_those_of_scikit_learn(name, p, y):
    ours, theirs = SCORED[name]
    close(ours(torch.tensor(p), torch.tensor(y)), theirs(y, p))
    for average in ("micro", "macro", "weighted"):
        close(
            ours(torch.tensor(p), torch.tensor(y), average=average), theirs(y, p, average=average)
        )


@pytest.mark.parametrize("seed", TRIALS)
def test_the_confusion_matrix_is_that_of_scikit_learn(seed):
    generator, n, weight = drawn(seed)
    p, y = torch.randint(5, (2, n), generator=generator)
    found = metrics.confusion_matrix(p, y, classes=6, sample_weight=weight)
    close(found, sk.confusion_matrix(y, p, labels=range(6), sample_weight=weight))
    assert found.is_floating_point() == (weight is not None)


def test_logits_are_decided_by_their_largest():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 4, generator=generator)
    y = torch.randint(3, (50,), generator=generator)  # class 3 occurs among predictions only
    p = logits.argmax(dim=1)
    assert torch.equal(metrics.confusion_matrix(logits, y), metrics.confusion_matrix(p, y))
    assert metrics.f1(logits, y, average="micro") == pytest.approx(accuracy(logits, y).item())
    close(metrics.f1(logits, y, average="macro"), sk.f1_score(y, p, average="macro"))


def test_most_confused_lists_the_mistakes_and_leaves_out_the_rare_ones():
    matrix = torch.tensor([[9, 5, 0], [1, 8, 7], [5, 0, 9]])
    assert metrics.most_confused(matrix) == [(1, 2, 7), (0, 1, 5), (2, 0, 5), (1, 0, 1)]
    names = ["cat", "dog", "fox"]
    found = metrics.most_confused(matrix, min_count=5, names=names)
    assert found == [("dog", "fox", 7), ("cat", "dog", 5), ("fox", "cat", 5)]
    assert metrics.most_confused(matrix, min_count=8) == []
    assert metrics.most_confused(torch.eye(3)) == []


# --- Curves ---------------------------------------------------------------------------------------


def scored(seed):
    """Scores and targets of both kinds; more and more ties, and now and then single precision."""
    generator, n, weight = drawn(seed)
    n = max(n, 2)
    levels = (2, 5, 1000)[seed % 3]
    scores = torch.randint(levels, (n,), generator=generator) / levels - 0.5
    y = torch.randint(2, (n,), generator=generator)
    y[:2] = torch.tensor([0, 1])
    if weight is not None:
        weight = torch.cat([weight, weight])[:n]
        weight[:2] = 0.5
    return scores if seed % 5 else scores.double(), y, weight


@pytest.mark.parametrize("seed", TRIALS)
def test_curves_and_areas_are_those_of_scikit_learn(seed):
    scores, y, weight = scored(seed)
    given = {"sample_weight": weight}
    found = metrics.roc_curve(scores, y, **given)
    theirs = sk.roc_curve(y, scores, drop_intermediate=False, **given)
    for ours, other in zip(found, theirs, strict=True):
        close(ours, other)
    close(metrics.auc(scores, y, **given), sk.roc_auc_score(y, scores, **given))
    close(
        metrics.average_precision(scores, y, **given),
        sk.average_precision_score(y, scores, **given),
    )
    kept = torch.ones(len(y)).bool() if weight is None else weight > 0  # theirs keep a weight of 0
    given = {"sample_weight": None if weight is None else weight[kept]}
    p, r, t = metrics.precision_recall_curve(scores, y, **{"sample_weight": weight})
    theirs = sk.precision_recall_curve(y[kept], scores[kept], **given)
    for ours, other in zip((p, r, t[1:]), theirs, strict=True):
        close(ours.flip(0), other)


@pytest.mark.parametrize("seed", range(20))
def test_the_area_is_the_probability_of_outranking(seed):
    scores, y, weight = scored(seed)
    weight = torch.ones(len(y)).double() if weight is None else weight
    positive, negative = y == 1, y == 0
    lead = scores[positive][:, None] - scores[negative][None, :]
    pairs = weight[positive][:, None] * weight[negative][None, :]
    won = (pairs * ((lead > 0) + 0.5 * (lead == 0))).sum() / pairs.sum()
    close(metrics.auc(scores, y, sample_weight=weight), won)


@pytest.mark.parametrize("seed", range(20))
def test_areas_of_several_columns_are_means(seed):
    generator = torch.Generator().manual_seed(seed)
    n, k = 30, 3 + seed % 3
    y = torch.cat([torch.arange(k), torch.randint(k, (n - k,), generator=generator)])
    probs = torch.randn(n, k, dtype=torch.float64, generator=generator).softmax(dim=1)
    close(metrics.auc(probs, y), sk.roc_auc_score(y, probs, multi_class="ovr"))
    close(metrics.average_precision(probs, y), sk.average_precision_score(y, probs))
    labels = torch.nn.functional.one_hot(y, k)
    labels[:, 0] = 1 - labels[:, 0]
    close(metrics.auc(probs, labels), sk.roc_auc_score(labels, probs))
    close(metrics.average_precision(probs, labels), sk.average_precision_score(labels, probs))


def test_two_logits_are_one_score_and_so_is_one_column():
    scores, y, _ = scored(2)
    logits = torch.stack([1 - scores.double(), 1 + scores.double()], dim=1)
    close(metrics.auc(logits, y), metrics.auc(scores, y))
    close(metrics.auc(scores[:, None], y), metrics.auc(scores, y))
    close(metrics.auc(scores[:, None], y[:, None]), metrics.auc(scores, y))


# --- Rankings -------------------------------------------------------------------------------------


def queries(seed):
    generator = torch.Generator().manual_seed(seed)
    q, d = (int(v) for v in torch.randint(2, 9, (2,), generator=generator))
    levels = (3, 1000)[seed % 2]
    scores = torch.randint(levels, (q, d), generator=generator) / levels
    grades = torch.randint(4, (q, d), generator=generator)
    grades[:, 0] = 2
    return scores, grades


@pytest.mark.parametrize("seed", TRIALS)
def test_rankings_are_those_of_scikit_learn(seed):
    scores, grades = queries(seed)
    close(metrics.ndcg(scores, grades), sk.ndcg_score(grades, scores))
    for k in (1, 2, 20):
        close(metrics.ndcg(scores, grades, k=k), sk.ndcg_score(grades, scores, k=k))
    hits = (grades > 1).long()
    found = metrics.mean_average_precision(scores, hits)
    close(found, sk.label_ranking_average_precision_score(hits, scores))
    one = torch.zeros_like(hits)
    one[:, 0] = 1  # with one relevant document precision at its rank is 1 / rank
    close(metrics.mrr(scores, one), sk.label_ranking_average_precision_score(one, scores))


def test_the_first_relevant_document_decides():
    scores = torch.tensor([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    hits = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]])
    close(metrics.mrr(scores, hits), (1 / 3 + 1) / 2)
    close(metrics.mrr(scores[0], hits[0]), 1 / 3)
    close(metrics.mean_average_precision(scores[0], hits[0]), (1 / 3 + 2 / 4) / 2)


# --- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", TRIALS)
def test_errors_are_those_of_scikit_learn(seed):
    generator, n, weight = drawn(seed)
    n, shape = max(n, 2), ((), (3,))[seed % 3 == 0]
    weight = None if weight is None else torch.cat([weight, weight])[:n] + 0.01
    p, y = torch.randn(2, n, *shape, dtype=torch.float64, generator=generator)
    given = {"sample_weight": weight}
    close(metrics.mae(p, y, **given), sk.mean_absolute_error(y, p, **given))
    close(metrics.mse(p, y, **given), sk.mean_squared_error(y, p, **given))
    close(metrics.r2(p, y, **given), sk.r2_score(y, p, **given), rtol=1e-10)


@pytest.mark.parametrize("seed", range(20))
def test_brier_is_that_of_scikit_learn(seed):
    generator, n, weight = drawn(seed)
    y = torch.randint(2, (n,), generator=generator)
    p = torch.rand(n, dtype=torch.float64, generator=generator)
    theirs = sk.brier_score_loss(y, p, sample_weight=weight, pos_label=1)
    close(metrics.brier(p, y, sample_weight=weight), theirs)
    close(metrics.brier(torch.stack([1 - p, p], dim=1), y, sample_weight=weight), 2 * theirs)


@pytest.mark.parametrize("bins", [1, 3, 15])
def test_ece_compares_belief_and_accuracy_bin_by_bin(bins):
    from sklearn.calibration import calibration_curve

    generator = torch.Generator().manual_seed(0)
    p = torch.rand(500, dtype=torch.float64, generator=generator)
    y = (torch.rand(500, generator=generator) < 0.3 + 0.3 * p).long()
    right, belief = calibration_curve(y, p, n_bins=bins)
    held, _ = np.histogram(p, bins=bins, range=(0, 1))
    close(metrics.ece(p, y, bins=bins), (held[held > 0] * abs(right - belief)).sum() / 500)


def test_ece_of_many_classes_looks_at_the_favourite():
    probs = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.7, 0.2], [0.1, 0.0, 0.9]]).double()
    close(metrics.ece(probs, torch.tensor([0, 2, 2]), bins=10), (abs(1.4 - 1) + 0.1) / 3)
    sure = torch.eye(3)
    assert metrics.ece(sure, torch.arange(3)) == 0
    assert metrics.ece(sure, torch.tensor([1, 2, 0])) == 1


# --- In training, and bad input -------------------------------------------------------------------


def test_metrics_can_be_watched_in_training():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(120, 3, generator=generator)
    y = (x[:, 0] + 0.5 * torch.randn(120, generator=generator) > 0.8).long()
    part = Split(x, y)
    watched = {
        "auc": metrics.auc,
        "average_precision": metrics.average_precision,
        "f1": metrics.f1,
        "macro_f1": partial(metrics.f1, average="macro"),
    }
    model = models.mlp((3, 8, 2), seed=0)
    history = fit(model, Splits(part, part, part, "toy"), epochs=2, seed=0, metrics=watched)
    with torch.no_grad():
        logits = model(x)
    scores, p = logits[:, 1] - logits[:, 0], logits.argmax(dim=1)
    for name, value in {
        "auc": sk.roc_auc_score(y, scores),
        "average_precision": sk.average_precision_score(y, scores),
        "f1": sk.f1_score(y, p),
        "macro_f1": sk.f1_score(y, p, average="macro"),
    }.items():
        assert history[f"val_{name}"][-1] == pytest.approx(value)  # of the whole split at once


T = torch.tensor


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.f1(T([0, 1]), T([0, 1, 1])), ValueError, "predictions and targets must"),
        (lambda: metrics.f1(T([0.2, 0.9]), T([0, 1])), TypeError, "scores must be decided first"),
        (lambda: metrics.f1(T([[0.2], [0.9]]), T([0, 1])), ValueError, "at least two classes"),
        (lambda: metrics.f1(T([0, 2]), T([0, 1])), ValueError, "average='binary' is for two"),
        (lambda: metrics.f1(T([[0, 1]]), T([[0, 1]])), ValueError, "for 2 labels say which"),
        (lambda: metrics.f1(T([[0, 2]]), T([[0, 1]]), average="micro"), ValueError, "zeros and"),
        (lambda: metrics.f1(T([0, 1]), T([0, 1]), average="mean"), ValueError, "one of 'binary'"),
        (
            lambda: metrics.f1(T([0, 3]), T([0, 1]), classes=3),
            ValueError,
            "lie in 0..2, got values",
        ),
        (lambda: metrics.f1(T([0, -1]), T([0, 1])), ValueError, "got values from -1 to 0"),
        (lambda: metrics.f1(T([0, 1]), T([0.0, 1.0])), TypeError, "integer class indices"),
        (lambda: metrics.f1(T([[0.0, torch.nan]]), T([0])), ValueError, "got 1 NaN or infinite"),
        (lambda: metrics.f1(T([]).long(), T([]).long()), ValueError, "at least one example"),
        (lambda: metrics.f1([0, 1], T([0, 1])), TypeError, "must be a torch.Tensor, got list"),
        (lambda: metrics.confusion_matrix(T([0]), T([0]), classes=1), ValueError, "at least 2"),
        (lambda: metrics.confusion_matrix(T([[0]]), T([[0]])), ValueError, r"shape \(N,\)"),
        (lambda: metrics.most_confused(torch.zeros(2, 3)), ValueError, r"shape \(K, K\)"),
        (lambda: metrics.most_confused(torch.eye(3), names="ab"), ValueError, "hold 3, one for"),
        (lambda: metrics.auc(T([0.1, 0.2]), T([1, 1])), ValueError, "got no negatives"),
        (lambda: metrics.auc(T([0.1, 0.2]), T([0, 0])), ValueError, "got no positives"),
        (lambda: metrics.average_precision(T([0.1]), T([0])), ValueError, "got no positives"),
        (lambda: metrics.auc(T([0.1, torch.nan]), T([0, 1])), ValueError, "scores must be finite"),
        (lambda: metrics.auc(T([0.1, 0.2]), T([0, 2])), ValueError, "zeros and ones only, got 1"),
        (lambda: metrics.auc(T([0.1, 0.2]), T([0])), ValueError, r"got \(2,\) and \(1,\)"),
        (lambda: metrics.auc(torch.zeros(3, 4), T([0, 1, 4])), ValueError, "lie in 0..3"),
        (lambda: metrics.auc(T([]), T([])), ValueError, "at least one example"),
        (
            lambda: metrics.auc(T([0.1, 0.2]), T([0, 1]), sample_weight=T([1.0])),
            ValueError,
            r"sample_weight must have shape \(2,\)",
        ),
        (
            lambda: metrics.auc(T([0.1, 0.2]), T([0, 1]), sample_weight=T([1.0, -1.0])),
            ValueError,
            "must not be negative",
        ),
        (lambda: metrics.mrr(T([0.1, 0.2]), T([0, 0])), ValueError, "1 of them have none"),
        (lambda: metrics.mrr(T([0.1, 0.2]), T([0, 3])), ValueError, "zeros and ones"),
        (lambda: metrics.ndcg(T([0.1, 0.2]), T([0, -3])), ValueError, "at least 0, got -3"),
        (lambda: metrics.ndcg(T([0.1, 0.2]), T([0, 1]), k=0), ValueError, "k must be at least 1"),
        (lambda: metrics.ndcg(torch.ones(1, 1, 2), torch.ones(1, 1, 2)), ValueError, r"\(Q, D\)"),
        (lambda: metrics.mae(T([1.0]), T([[1.0]])), ValueError, r"got \(1,\) and \(1, 1\)"),
        (lambda: metrics.mse(T([torch.inf]), T([1.0])), ValueError, "predictions must be finite"),
        (lambda: metrics.r2(T([1.0, 2.0]), T([3.0, 3.0])), ValueError, "targets must vary"),
        (lambda: metrics.brier(T([0.2, 1.2]), T([0, 1])), ValueError, r"lie in \[0, 1\]"),
        (lambda: metrics.brier(T([[0.2, 0.2]]), T([0])), ValueError, "must sum to 1, got 0.4"),
        (lambda: metrics.brier(T([[0.2, 0.8]]), T([2])), ValueError, "lie in 0..1"),
        (lambda: metrics.ece(T([0.2]), T([0]), bins=0), ValueError, "bins must be at least 1"),
        (lambda: metrics.ece(torch.ones(1, 1, 1), T([0])), ValueError, r"\(N,\) or \(N, K\)"),
    ],
)
def test_bad_input_is_named_in_one_sentence(call, error, message):
    with pytest.raises(error, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


# --- Accuracy -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("targets_dtype", [torch.int64, torch.int32, torch.uint8])
def test_accuracy_agrees_with_scikit_learn(dtype, targets_dtype):
    generator = torch.Generator().manual_seed(0)
    # A random permutation in each row: no ties, also in bfloat16.
    logits = torch.rand(157, 7, generator=generator).argsort(1).to(dtype)
    targets = torch.randint(7, (157,), generator=generator).to(targets_dtype)
    value = accuracy(logits, targets)
    assert value.shape == ()
    assert value.item() == pytest.approx(sk.accuracy_score(targets, logits.float().argmax(1)))


def test_accuracy_counts_every_position():
    targets = torch.tensor([[0, 1], [1, 1]])
    logits = torch.nn.functional.one_hot(targets, 3).movedim(-1, 1).float()
    assert accuracy(logits, targets) == 1
    assert accuracy(logits, torch.tensor([[0, 1], [1, 2]])) == 0.75


def test_a_row_with_nan_is_never_right():
    logits = torch.tensor([[1.0, 0.0], [float("nan"), 0.0], [0.0, float("nan")]])
    assert accuracy(logits, torch.tensor([0, 0, 1])) == pytest.approx(1 / 3)


def test_infinite_logits_are_compared_like_numbers():
    logits = torch.tensor([[float("inf"), 0.0], [-float("inf"), 0.0]])
    assert accuracy(logits, torch.tensor([0, 1])) == 1


@pytest.mark.parametrize(
    ("logits", "targets", "error", "message"),
    [
        (torch.zeros(4, 3), torch.zeros(5, dtype=torch.long), ValueError, r"\(4, 3\) and \(5,\)"),
        (torch.zeros(4), torch.zeros(4, dtype=torch.long), ValueError, "shapes"),
        (torch.zeros(4, 3), torch.zeros(4, 1, dtype=torch.long), ValueError, "shapes"),
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), ValueError, "at least one"),
        (torch.zeros(4, 3), torch.zeros(4), TypeError, "integer class indices, got torch.float32"),
        (torch.zeros(4, 3), torch.zeros(4, dtype=torch.bool), TypeError, "torch.bool"),
    ],
)
def test_accuracy_refuses_what_it_cannot_count(logits, targets, error, message):
    with pytest.raises(error, match=message):
        accuracy(logits, targets)
