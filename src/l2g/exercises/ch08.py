"""The exercises of chapter 8, metrics: right answers, test cases, known mistakes."""

import torch
from torch import Generator, Tensor

from l2g.exercises import Exercise, Inputs, double, draw_dtype, draw_int, without

# A few levels for many scores: ties within a class and across the two.
LEVELS = (2, 4, 10, 1000)


def _draw_scores(generator: Generator) -> Inputs:
    """Scores (N,) and targets (N,) of both kinds."""
    n, levels = draw_int(2, 14, generator), LEVELS[draw_int(0, 3, generator)]
    scores = torch.randint(levels, (n,), generator=generator).double() / 4 - 1
    y = torch.randint(2, (n,), generator=generator)
    y[:2] = torch.tensor([0, 1])
    order = torch.randperm(n, generator=generator)
    return scores.to(draw_dtype(generator)), y[order]


def _scored(scores: list[float], y: list[int]) -> Inputs:
    return double(*scores), torch.tensor(y)


# lowest_cost


def lowest_cost(scores: Tensor, y: Tensor, miss: float, alarm: float) -> Tensor:
    """The lowest total cost over all thresholds, also one above all scores."""
    return _costs(scores, y, miss, alarm).min().double()


def _costs(scores: Tensor, y: Tensor, miss: float, alarm: float) -> Tensor:
    """The cost at each score as the threshold, and, last, without any alarm."""
    thresholds = torch.cat([scores, scores.max()[None] + 1])
    says_yes = scores >= thresholds[:, None]
    misses = (~says_yes & (y == 1)).sum(dim=1)
    return miss * misses + alarm * (says_yes & (y == 0)).sum(dim=1)


def _strict_costs(scores: Tensor, y: Tensor, miss: float, alarm: float) -> Tensor:
    says_yes = scores > scores[:, None]
    return miss * (~says_yes & (y == 1)).sum(1) + alarm * (says_yes & (y == 0)).sum(1)


def _untied_costs(scores: Tensor, y: Tensor, miss: float, alarm: float) -> Tensor:
    y = y[scores.argsort(descending=True, stable=True)]
    false_alarms, misses = (1 - y).cumsum(0), y.sum() - y.cumsum(0)
    return torch.cat([miss * y.sum()[None], miss * misses + alarm * false_alarms])


def _draw_costs(generator: Generator) -> Inputs:
    return *_draw_scores(generator), draw_int(1, 12, generator), draw_int(1, 6, generator)


LOWEST_COST = Exercise(
    name="lowest_cost",
    reference=lowest_cost,
    draw=_draw_costs,
    edges=(
        (*_scored([1, 2], [0, 1]), 5, 1),
        (*_scored([2, 1], [0, 1]), 5, 1),
        (*_scored([3, 2, 1], [0, 0, 1]), 1, 4),  # best: no alarm at all
        (*_scored([0, 0, 0, 1], [0, 1, 1, 0]), 3, 1),
    ),
    mistakes={
        "what does it cost to raise no alarm at all?": lambda s, y, m, a: _costs(s, y, m, a)[
            :-1
        ].min(),
        "the two costs are exchanged: a miss is a positive not called": lambda s, y, m, a: (
            lowest_cost(s, y, a, m)
        ),
        "a score equal to the threshold is called positive: ≥, not >": lambda s, y, miss, alarm: (
            _strict_costs(s, y, miss, alarm).min()
        ),
        "equal scores are called together, or none of them": lambda s, y, m, a: _untied_costs(
            s, y, m, a
        ).min(),
        "the total cost is asked for, not the mean": lambda s, y, miss, alarm: (
            lowest_cost(s, y, miss, alarm) / len(y)
        ),
        "this is the cost at the threshold 0: try them all": lambda s, y, miss, alarm: (
            miss * ((s < 0) & (y == 1)).sum() + alarm * ((s >= 0) & (y == 0)).sum()
        ),
        "this counts mistakes: a miss costs `miss`, a false alarm `alarm`": lambda s, y, m, a: (
            lowest_cost(s, y, 1, 1)
        ),
        "this threshold makes the fewest mistakes; look for the lowest cost": lambda s, y, m, a: (
            _costs(s, y, m, a)[_costs(s, y, 1, 1).argmin()]
        ),
        "this is the highest cost": lambda s, y, miss, alarm: _costs(s, y, miss, alarm).max(),
    },
)

# rank_auc


def rank_auc(scores: Tensor, y: Tensor) -> Tensor:
    """The share of pairs in which the positive outranks the negative, ties ½."""
    return _wins(scores, y).mean()


def _wins(scores: Tensor, y: Tensor, tie: float = 0.5) -> Tensor:
    scores = scores.double()
    lead = scores[y == 1][:, None] - scores[y == 0]
    return (lead > 0) + tie * (lead == 0)


def _by_order(scores: Tensor, y: Tensor) -> Tensor:
    y = y[scores.argsort(stable=True)]
    below = (1 - y).cumsum(0)
    return (below * y).sum() / (y.sum() * (1 - y).sum())


RANK_AUC = Exercise(
    name="rank_auc",
    reference=rank_auc,
    draw=_draw_scores,
    rules=(
        without(
            *("roc_auc_score", "roc_curve", "auc", "trapezoid", "trapz", "trapezoidal"),
            "mannwhitneyu",
            instead="compare each positive with each negative",
        ),
    ),
    edges=(
        _scored([1, 2], [0, 1]),
        _scored([2, 1], [0, 1]),
        _scored([1, 1], [0, 1]),
        _scored([1, 1, 2, 0], [0, 1, 0, 1]),
        _scored([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]),
    ),
    mistakes={
        "a tie counts ½, not 0": lambda s, y: _wins(s, y, tie=0.0).mean(),
        "a tie counts ½, not 1": lambda s, y: _wins(s, y, tie=1.0).mean(),
        "ties are decided by the order in which examples stand; they should count ½": _by_order,
        "positives should outrank negatives: you count the reverse": lambda s, y: (
            1 - rank_auc(s, y)
        ),
        "this is the number of pairs that were won: divide by that of all pairs": lambda s, y: (
            _wins(s, y).sum()
        ),
        "only pairs of a positive and a negative count, also below the line": lambda s, y: (
            _wins(s, y).sum() / len(s) ** 2
        ),
        "this is the accuracy at the threshold 0: AUC has no threshold": lambda s, y: (
            ((s >= 0) == (y == 1)).double().mean()
        ),
        "this is the difference of two means: only the order of the scores counts": lambda s, y: (
            s[y == 1].mean() - s[y == 0].mean()
        ),
    },
)

# macro_f1


def macro_f1(matrix: Tensor) -> Tensor:
    """The mean of the classes' F1s from counts (K, K), true classes in rows."""
    return _mean(matrix, _f1s(matrix))


def _mean(matrix: Tensor, values: Tensor) -> Tensor:
    """Over the classes that occur, in their row or in their column."""
    return values[matrix.sum(dim=0) + matrix.sum(dim=1) > 0].mean()


def _f1s(matrix: Tensor) -> Tensor:
    said, true = matrix.sum(dim=0), matrix.sum(dim=1)
    return 2 * matrix.diagonal().double() / (said + true).clamp(min=1)


def _ratios(matrix: Tensor, dim: int) -> Tensor:
    return matrix.diagonal().double() / matrix.sum(dim=dim).clamp(min=1)


def _harmonic(p: Tensor, r: Tensor) -> Tensor:
    return torch.where(p + r > 0, 2 * p * r / (p + r), 0.0)


def _draw_matrix(generator: Generator) -> Inputs:
    """Counts of 2–5 classes; now and then one that never occurs."""
    classes = draw_int(2, 5, generator)
    matrix = torch.randint(12, (classes, classes), generator=generator)
    if draw_int(0, 3, generator) == 0:
        matrix[-1], matrix[:, -1] = 0, 0
    matrix[0, 0] += 1
    return (matrix,)


def _counts(*rows: list[int]) -> Inputs:
    return (torch.tensor(rows),)


MACRO_F1 = Exercise(
    name="macro_f1",
    reference=macro_f1,
    draw=_draw_matrix,
    edges=(
        _counts([3, 1], [2, 4]),
        _counts([5, 0], [0, 5]),
        _counts([9, 1, 0], [0, 1, 3], [2, 0, 4]),
        _counts([4, 1, 0], [1, 4, 0], [0, 0, 0]),
        _counts([4, 1, 1], [1, 4, 0], [0, 0, 0]),  # a class that is said and never true
    ),
    mistakes={
        "this is micro-F1, the accuracy: macro takes F1 of each class first": lambda m: (
            m.diagonal().sum() / m.sum()
        ),
        "this is F1 of the mean precision and recall: take F1 first, then the mean": lambda m: (
            _harmonic(_mean(m, _ratios(m, 0)), _mean(m, _ratios(m, 1)))
        ),
        "this is the mean recall": lambda m: _mean(m, _ratios(m, 1)),
        "this is the mean precision": lambda m: _mean(m, _ratios(m, 0)),
        "this is weighted by how frequent a class is: macro gives each the same say": lambda m: (
            _f1s(m) @ m.sum(dim=1).double() / m.sum()
        ),
        "right answers count twice in F1: the denominator is 2 TP + FP + FN": lambda m: _mean(
            m, m.diagonal().double() / (m.sum(0) + m.sum(1) - m.diagonal()).clamp(min=1)
        ),
        "half of it: what about the 2 in 2 TP?": lambda m: macro_f1(m) / 2,
        "these are the F1s of the classes; their mean is asked for": _f1s,
        "a class that occurs nowhere has 0/0, which is NaN: leave it out": lambda m: (
            (2 * m.diagonal() / (m.sum(0) + m.sum(1))).double().mean()
        ),
        "a class that occurs nowhere is left out of the mean; you count it as 0": lambda m: _f1s(
            m
        ).mean(),
        "a class that is said and never true does occur: its F1 is 0": lambda m: _f1s(m)[
            m.sum(dim=1) > 0
        ].mean(),
    },
)

# ndcg


def ndcg(gains: Tensor) -> Tensor:
    """DCG of relevances (D,) in the order of the list, divided by that of the best order."""
    return _dcg(gains) / _dcg(_best(gains))


def _dcg(gains: Tensor, first: int = 1) -> Tensor:
    ranks = torch.arange(first, len(gains) + first, dtype=torch.float64)
    return (gains / (1 + ranks).log2()).sum()


def _best(gains: Tensor) -> Tensor:
    return gains.sort(descending=True).values


def _natural(gains: Tensor) -> Tensor:
    ranks = torch.arange(1, len(gains) + 1, dtype=torch.float64)
    return (gains / (1 + ranks)).sum() / (_best(gains) / (1 + ranks)).sum()


def _draw_gains(generator: Generator) -> Inputs:
    gains = torch.randint(4, (draw_int(2, 9, generator),), generator=generator).double()
    gains[draw_int(0, len(gains) - 1, generator)] = 2.0
    return (gains,)


NDCG = Exercise(
    name="ndcg",
    reference=ndcg,
    draw=_draw_gains,
    edges=(
        (double(0, 2, 0, 1),),
        (double(1, 0),),
        (double(0, 1),),
        (double(3, 2, 1, 0),),
        (double(0, 0, 0, 3),),
    ),
    mistakes={
        "this is DCG; divide it by that of the best order": _dcg,
        "the best order has the largest relevance first": lambda g: _dcg(g) / _dcg(g.sort().values),
        "the discount is a logarithm of 1 + rank, not 1 + rank itself": _natural,
        "ranks begin at 1, so the first discount is 1/log₂ 2": lambda g: (
            _dcg(g, first=2) / _dcg(_best(g), first=2)
        ),
        "divide by the DCG of the best order, not by the sum of the relevances": lambda g: (
            _dcg(g) / g.sum()
        ),
        "the gain is the relevance itself here, not 2 to its power minus 1": lambda g: ndcg(
            2**g - 1
        ),
        "graded relevance counts: 2 is worth twice as much as 1": lambda g: ndcg((g > 0).double()),
        "the reciprocal: the best order belongs below the line": lambda g: 1 / ndcg(g),
    },
)

EXERCISES = (LOWEST_COST, RANK_AUC, MACRO_F1, NDCG)
