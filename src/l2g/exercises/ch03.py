"""The exercises of chapter 3, cross-validation: right answers, test cases, known mistakes."""

import torch
from torch import Generator, Tensor

from l2g.exercises import Exercise, Inputs, double, draw_dtype, draw_int
from l2g.exercises.rules import without, without_loop

Pairs = list[tuple[Tensor, Tensor]]


def k_fold_indices(order: Tensor, k: int) -> Pairs:
    """A permutation (n,) cut into k parts: for each part (train, val), val being the part."""
    n = len(order)
    sizes = [n // k + (i < n % k) for i in range(k)]
    parts = order.split(sizes)
    return [(torch.cat([*parts[:i], *parts[i + 1 :]]), parts[i]) for i in range(k)]


def corrected_t(differences: Tensor, n_train: int, n_val: int) -> Tensor:
    """Mean of the differences (J,) over its corrected standard error (Nadeau and Bengio, 2003)."""
    factor = 1 / len(differences) + n_val / n_train
    return differences.mean() / (factor * differences.var()).sqrt()


def leave_one_out_residuals(x: Tensor, y: Tensor, decay: float) -> Tensor:
    """Residuals (n,) of ridge regression on (n, d), each of an example that did not train."""
    hat = _hat(x, decay)
    return (y - hat @ y) / (1 - hat.diagonal())


def one_standard_error(scores: Tensor) -> int:
    """The first row of (candidates, folds) within one standard error of the best mean."""
    return _first_within(scores, scores[_best(scores)].std() / scores.shape[1] ** 0.5)


def _hat(x: Tensor, decay: float) -> Tensor:
    gram = x.T @ x + decay * torch.eye(x.shape[1], dtype=x.dtype)
    return x @ torch.linalg.solve(gram, x.T)


def _best(scores: Tensor) -> int:
    return int(scores.mean(dim=1).argmax())


def _first_within(scores: Tensor, width: Tensor | float) -> int:
    means = scores.mean(dim=1)
    return int((means >= means.max() - width).double().argmax())


def _blocks(order: Tensor, k: int) -> list[Tensor]:
    """Parts of ceil(n / k), the last ones shorter or empty."""
    size = -(-len(order) // k)
    return [order[i * size : (i + 1) * size] for i in range(k)]


def _with_parts(order: Tensor, parts: list[Tensor]) -> Pairs:
    return [(order[~torch.isin(order, part)], part) for part in parts]


def _draw_order(generator: Generator) -> Inputs:
    """5–23 examples; in two of three cases k does not divide n."""
    n = draw_int(5, 23, generator)
    return torch.randperm(n, generator=generator), draw_int(2, 5, generator)


def _draw_differences(generator: Generator) -> Inputs:
    count, n_val = draw_int(3, 12, generator), draw_int(3, 30, generator)
    values = torch.randn(count, generator=generator, dtype=torch.float64) + 0.5
    n_train = n_val * draw_int(2, 9, generator) + draw_int(1, 3, generator)
    return values.to(draw_dtype(generator)), n_train, n_val


def _draw_regression(generator: Generator) -> Inputs:
    n, d = draw_int(5, 9, generator), draw_int(1, 3, generator)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    y = 2 * torch.randn(n, generator=generator, dtype=torch.float64)
    dtype = draw_dtype(generator)
    return x.to(dtype), y.to(dtype), 0.5 * draw_int(1, 6, generator)


def _draw_scores(generator: Generator) -> Inputs:
    """Scores that rise and level off: the best row is seldom the first within its error."""
    rows, folds = draw_int(4, 9, generator), draw_int(4, 8, generator)
    curve = 0.8 - 0.3 * 0.5 ** torch.arange(rows, dtype=torch.float64)
    noise = 0.04 * torch.randn(rows, folds, generator=generator, dtype=torch.float64)
    return (curve[:, None] + noise,)


K_FOLD_INDICES = Exercise(
    name="k_fold_indices",
    reference=k_fold_indices,
    draw=_draw_order,
    edges=(
        (torch.tensor([2, 0, 1, 3]), 2),
        (torch.tensor([4, 1, 0, 3, 2]), 2),
        (torch.tensor([1, 2, 0]), 3),
        (torch.arange(7), 3),
    ),
    rules=(
        without("KFold", "k_fold", "tensor_split", "array_split", instead="cut the order yourself"),
    ),
    mistakes={
        "the parts are cut from 0, 1, 2, …: they should be cut from `order`": lambda order, k: (
            k_fold_indices(torch.arange(len(order)), k)
        ),
        "train and val are exchanged": lambda order, k: [
            (val, train) for train, val in k_fold_indices(order, k)
        ],
        "the last examples never validate: n is not always a multiple of k": lambda order, k: (
            _with_parts(
                order, [order[i * (len(order) // k) :][: len(order) // k] for i in range(k)]
            )
        ),
        "all that is left over goes to the last part: the first n mod k parts should hold one "
        "more each": lambda order, k: _with_parts(
            order,
            [
                order[i * (len(order) // k) : (i + 1) * (len(order) // k) if i < k - 1 else None]
                for i in range(k)
            ],
        ),
        "every k-th example validates; here a part is a stretch of `order`, in a row": (
            lambda order, k: _with_parts(order, [order[i::k] for i in range(k)])
        ),
        "all examples train, also those that validate": lambda order, k: [
            (order, val) for _, val in k_fold_indices(order, k)
        ],
        "the parts are rounded up, so that the last ones are too small": lambda order, k: (
            _with_parts(order, _blocks(order, k))
        ),
        "the training indices are out of order; they stay as they stand in `order`": (
            lambda order, k: [(train.sort().values, val) for train, val in k_fold_indices(order, k)]
        ),
        "the indices are sorted; here they stay as they stand in `order`": lambda order, k: [
            (train.sort().values, val.sort().values) for train, val in k_fold_indices(order, k)
        ],
    },
)

CORRECTED_T = Exercise(
    name="corrected_t",
    reference=corrected_t,
    draw=_draw_differences,
    edges=((double(0, 1), 4, 1), (double(1, 2, 3), 9, 3), (double(-1, -2, -4, 0), 80, 20)),
    mistakes={
        "this is the usual t: the overlap of the training sets is not paid for": lambda d, a, b: (
            d.mean() / (d.var() / len(d)).sqrt()
        ),
        "the ratio is turned over: it is n_val / n_train": lambda d, a, b: (
            d.mean() / ((1 / len(d) + a / b) * d.var()).sqrt()
        ),
        "the ratio is to n_train, not to all examples": lambda d, a, b: (
            d.mean() / ((1 / len(d) + b / (a + b)) * d.var()).sqrt()
        ),
        "the variance divides by J − 1": lambda d, a, b: (
            d.mean() / ((1 / len(d) + b / a) * d.var(correction=0)).sqrt()
        ),
        "1/J is missing": lambda d, a, b: d.mean() / (b / a * d.var()).sqrt(),
        "a root is missing: the standard error is the root of the variance": lambda d, a, b: (
            d.mean() / ((1 / len(d) + b / a) * d.var())
        ),
        "the root belongs over the factor, too": lambda d, a, b: (
            d.mean() / ((1 / len(d) + b / a) * d.std())
        ),
        "this is the standard error; t is the mean over it": lambda d, a, b: (
            (1 / len(d) + b / a) * d.var()
        ).sqrt(),
    },
)

LEAVE_ONE_OUT_RESIDUALS = Exercise(
    name="leave_one_out_residuals",
    reference=leave_one_out_residuals,
    draw=_draw_regression,
    edges=(
        (double([1], [1]), double(1, 3), 1.0),
        (double([1, 0], [0, 1], [1, 1]), double(1, 2, 0), 0.5),
    ),
    rules=(without_loop,),
    mistakes={
        "these are the residuals of examples that did train": lambda x, y, c: y - _hat(x, c) @ y,
        "the sign is turned: a residual is the target minus the prediction": lambda x, y, c: (
            (_hat(x, c) @ y - y) / (1 - _hat(x, c).diagonal())
        ),
        "divided by the diagonal itself, not by 1 minus it": lambda x, y, c: (
            (y - _hat(x, c) @ y) / _hat(x, c).diagonal()
        ),
        "multiplied by 1 − H: it should be divided": lambda x, y, c: (
            (y - _hat(x, c) @ y) * (1 - _hat(x, c).diagonal())
        ),
        "divided by the mean of 1 − H: each example has its own": lambda x, y, c: (
            (y - _hat(x, c) @ y) / (1 - _hat(x, c).diagonal().mean())
        ),
        "the weight decay is missing": lambda x, y, c: leave_one_out_residuals(x, y, 0.0),
        "these are the predictions; their distances from the targets are asked for": (
            lambda x, y, c: y - leave_one_out_residuals(x, y, c)
        ),
        "these are squares: the residuals themselves are asked for": lambda x, y, c: (
            leave_one_out_residuals(x, y, c).square()
        ),
    },
)

ONE_STANDARD_ERROR = Exercise(
    name="one_standard_error",
    reference=one_standard_error,
    draw=_draw_scores,
    edges=(
        (double([1, 2, 3], [2, 3, 4]),),
        (double([0, 0], [1, 3], [2, 2]),),
        (double([0, 1], [5, 5], [5, 5]),),
        (double([5, 5], [5, 5]),),
        (double([-2, 2], [1.1, 1.1], [1, 2]),),
        (double([0, 0], [-3, 5], [1.2, 1.3], [2, 0.8]),),
    ),
    mistakes={
        "this is the best row: a simpler one within its standard error will do": _best,
        "the standard deviation is taken, not the standard error: divide by the root of the number "
        "of folds": lambda s: _first_within(s, s[_best(s)].std()),
        "the standard deviation divides by k − 1 (NumPy takes k if not told)": lambda s: (
            _first_within(s, s[_best(s)].std(correction=0) / s.shape[1] ** 0.5)
        ),
        "each row is given its own standard error: that of the best row counts for all": (
            lambda s: int(
                (s.mean(1) + s.std(1) / s.shape[1] ** 0.5 >= s.mean(1).max()).double().argmax()
            )
        ),
        "the last row within the error is taken: the simplest one comes first": lambda s: int(
            (s.mean(1) >= s.mean(1).max() - s[_best(s)].std() / s.shape[1] ** 0.5).nonzero().max()
        ),
        "it counts from 1: rows are numbered from 0": lambda s: one_standard_error(s) + 1,
        "this is the lowest mean: the scores are accuracies": lambda s: int(s.mean(1).argmin()),
        "the standard error over the candidates: take that of the best one, over its folds": (
            lambda s: _first_within(s, s.mean(1).std() / s.shape[0] ** 0.5)
        ),
    },
)

EXERCISES = (K_FOLD_INDICES, CORRECTED_T, LEAVE_ONE_OUT_RESIDUALS, ONE_STANDARD_ERROR)
