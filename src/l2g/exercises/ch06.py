"""The exercises of chapter 6, cross-entropy: right answers, test cases, known mistakes."""

import math
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from l2g.exercises import Exercise, Inputs, double, draw_int, without, without_autograd


def log_softmax(logits: Tensor) -> Tensor:
    """Logits (N, K) to log-probabilities (N, K), stable for logits of any size."""
    return logits - reduce(torch.logaddexp, logits.unbind(dim=-1))[..., None]


def cross_entropy_grad(logits: Tensor, targets: Tensor) -> Tensor:
    """Gradient (N, K) of the mean cross-entropy with respect to the logits; targets (N,)."""
    return (F.softmax(logits, dim=-1) - _one_hot(logits, targets)) / len(logits)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of logits (N, K) and class indices (N,), stable for logits of any size."""
    return -_picked(log_softmax(logits), targets).mean()


def _one_hot(logits: Tensor, targets: Tensor) -> Tensor:
    return F.one_hot(targets, logits.shape[1]).to(logits.dtype)


def _picked(rows: Tensor, targets: Tensor) -> Tensor:
    return rows.gather(1, targets[:, None]).squeeze(1)


def _draw_logits(generator: Generator) -> Tensor:
    """(N, K) with 1–5 rows, 2–6 classes; now and then large, now and then in single precision."""
    shape = draw_int(1, 5, generator), draw_int(2, 6, generator)
    scale = (1.0, 3.0, 30.0, 2000.0)[draw_int(0, 3, generator)]
    dtype = (torch.float64, torch.float64, torch.float32)[draw_int(0, 2, generator)]
    return (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).to(dtype)


def _draw_rows(generator: Generator) -> Inputs:
    return (_draw_logits(generator),)


def _draw_batch(generator: Generator) -> Inputs:
    logits = _draw_logits(generator)
    n_rows, n_classes = logits.shape
    return logits, torch.randint(n_classes, (n_rows,), generator=generator)


# log_softmax: how it goes wrong


def _max(logits: Tensor) -> Tensor:
    return logits.amax(-1, keepdim=True)


def _log_sum_exp(logits: Tensor) -> Tensor:
    return torch.logsumexp(logits, -1, keepdim=True)


def _naive_log_sum_exp(logits: Tensor) -> Tensor:
    return logits.exp().sum(-1, keepdim=True).log()


def _shifted_by(shift: Tensor, logits: Tensor) -> Tensor:
    return (logits - shift) - _naive_log_sum_exp(logits - shift)


SOFTMAX = ("softmax", "log_softmax", "softmin", "gumbel_softmax", "cross_entropy")
LOSSES = ("logsumexp", "logcumsumexp", "nll_loss", "cross_entropy_loss", "logaddexp2")
POWERS = ["exp", "exp2", "expm1", "pow", "__rpow__", "sigmoid", "expit", "softplus"]
POWERS += ["logsumexp", "logcumsumexp"]
LARGEST = ("max", "amax", "maximum", "aminmax", "argmax", "fmax", "cummax", "topk", "sort")


LOG_SOFTMAX = Exercise(
    name="log_softmax",
    reference=log_softmax,
    draw=_draw_rows,
    rules=(without(*SOFTMAX, *POWERS, *LARGEST, instead="`torch.logaddexp` is all it takes"),),
    edges=(
        (double([0, 0]),),
        (double([1, 2, 3]),),
        (double([1000, 0]),),
        (double([-1000, -1001]),),
        (double([200, 0, -200]).float(),),
        (double([1000, 999], [-1000, -1001]),),
        (double([0, 1], [2, 5]),),
        (double([1e4, -1e4, 0], [1e4, 1e4, 1e4]).float(),),
    ),
    mistakes={
        "fine for small logits, infinite for large ones: what is exp(1000)? Which number may "
        "you subtract from a whole row of logits without changing its softmax?": lambda z: (
            z - _naive_log_sum_exp(z)
        ),
        "NaN for large logits: exp(1000)/exp(1000) is inf/inf. Can you avoid the quotient, and "
        "keep every exponent at or below 0?": lambda z: (
            z.exp() / z.exp().sum(-1, keepdim=True)
        ).log(),
        "the softmax is stable, its logarithm is not: a probability that underflows to 0 has "
        "the log −inf. Simplify log(exp(a)/s) on paper first": lambda z: F.softmax(z, -1).log(),
        "these columns sum to 1 after exp, the rows do not: over which dimension do the "
        "classes of one example run?": lambda z: F.log_softmax(z, 0),
        "after exp, the whole matrix sums to 1: each row is a distribution of its own": lambda z: (
            F.log_softmax(z.flatten(), 0).view_as(z)
        ),
        "the shift went into the sum of exponentials only: log Σ exp(z − m) is not "
        "log Σ exp z. By how much do they differ?": lambda z: z - _naive_log_sum_exp(z - _max(z)),
        "the shift is taken off the logits but not off what stands in the exponentials: both "
        "must use the same shifted logits": lambda z: (z - _max(z)) - _naive_log_sum_exp(z),
        "the shift is counted twice: if the logits are shifted already, the normalizer must "
        "not get the maximum back": lambda z: (z - _max(z)) - _log_sum_exp(z),
        "off by ln K in each row: the normalizer adds the exponentials up, it does not average "
        "them": lambda z: _shifted_by(_max(z), z) + math.log(z.shape[-1]),
        "one shift for the whole matrix: a row that lies far below the largest entry "
        "underflows to Σ exp = 0. Which maximum does each row need?": lambda z: _shifted_by(
            z.max(), z
        ),
        "each column got its own shift: entries of one row must all move by the same number, "
        "or their differences change": lambda z: _shifted_by(z.amax(0, keepdim=True), z),
        "the smallest logit as a shift leaves the largest exponent positive: it still "
        "overflows. Which entry should become 0?": lambda z: _shifted_by(
            z.amin(-1, keepdim=True), z
        ),
        "these are probabilities; their logarithm is asked for": lambda z: F.softmax(z, -1),
        "log-probabilities are at most 0; yours are the losses −log p": lambda z: (
            -F.log_softmax(z, -1)
        ),
        "the logarithm of a quotient is a difference: "
        "look at the sign before the normalizer": lambda z: (
            (z - _max(z)) + _naive_log_sum_exp(z - _max(z))
        ),
        "the normalizer is the logarithm of the sum of exponentials; "
        "yours is the sum itself": lambda z: (
            (z - _max(z)) - (z - _max(z)).exp().sum(-1, keepdim=True)
        ),
        "shifting is only the first half: exp of your result does not sum to 1 yet": lambda z: (
            z - _max(z)
        ),
        "exp of a row sums to less than 1, as if there were one more class with the score 0: "
        "what is the LSE of nothing?": lambda z: z - _log_sum_exp(F.pad(z, (1, 0))),
        "exp of a row sums to less than 1: one class stands in the normalizer twice": lambda z: (
            z - _log_sum_exp(torch.cat([z[..., :1], z], -1))
        ),
        "the normalizer has seen two classes only; it must take in all K": lambda z: (
            z - _log_sum_exp(z[..., :2])
        ),
    },
)


CROSS_ENTROPY_GRAD = Exercise(
    name="cross_entropy_grad",
    reference=cross_entropy_grad,
    draw=_draw_batch,
    rules=(without_autograd,),
    edges=(
        (double([0, 0]), torch.tensor([0])),
        (double([1, 2, 3]), torch.tensor([2])),
        (double([0, 1], [2, 5]), torch.tensor([1, 0])),
        (double([1000, 0], [-1000, 0]), torch.tensor([1, 1])),
        (double([1, 2, 3, 4], [0, 0, 0, 0]), torch.tensor([3, 3])),
    ),
    mistakes={
        "each row is right, the size is not: the loss is a mean over the batch, so what does "
        "the chain rule do to the gradient of each row?": lambda z, y: (
            F.softmax(z, -1) - _one_hot(z, y)
        ),
        "the sign is turned: a step against the gradient must raise the true class's logit, so "
        "what sign has the true class's entry?": lambda z, y: -cross_entropy_grad(z, y),
        "two things: the sign (which way must the true class's logit go to lower the loss?) "
        "and the size (the loss is a mean over the batch)": lambda z, y: (
            _one_hot(z, y) - F.softmax(z, -1)
        ),
        "divided by the number of classes: over what does the mean of the loss run?": lambda z, y: (
            (F.softmax(z, -1) - _one_hot(z, y)) / z.shape[1]
        ),
        "divided by the number of all entries: the loss has one term per row, "
        "not per entry": lambda z, y: cross_entropy_grad(z, y) / z.shape[1],
        "the targets play no part in your result: "
        "what does the term −z_y of the loss add?": lambda z, y: F.softmax(z, -1) / len(z),
        "only the term −z_y of the loss is there: "
        "what is the derivative of log Σ exp(z)?": lambda z, y: -_one_hot(z, y) / len(z),
        "the probabilities of each row must sum to 1: "
        "over which dimension is your softmax?": lambda z, y: (
            (F.softmax(z, 0) - _one_hot(z, y)) / len(z)
        ),
        "p(1 − p) is the derivative of a single sigmoid: here the loss is −log p_y, and every "
        "logit of the row enters it": lambda z, y: (
            F.softmax(z, -1) * (1 - F.softmax(z, -1)) / len(z)
        ),
        "only the true class gets a gradient: the other logits are in the normalizer, do they "
        "not change the loss?": lambda z, y: cross_entropy_grad(z, y) * _one_hot(z, y),
        "1 is subtracted in every column: only one class per row is the true one": lambda z, y: (
            (F.softmax(z, -1) - 1) / len(z)
        ),
        "this is the gradient with respect to the probabilities: one more link of the chain "
        "leads to the logits": lambda z, y: -_one_hot(z, y) / F.softmax(z, -1) / len(z),
        "this is the gradient of −p_y: it vanishes where the model is confidently wrong. The "
        "logarithm is missing": lambda z, y: (
            cross_entropy_grad(z, y) * F.softmax(z, -1).gather(1, y[:, None])
        ),
        "the logits stand where probabilities should: what is the derivative of log Σ exp(z)?"
        " Each row of the result sums to 0": lambda z, y: (z - _one_hot(z, y)) / len(z),
        "NaN for large logits: the exponentials overflow before they are divided": lambda z, y: (
            (z.exp() / z.exp().sum(-1, keepdim=True) - _one_hot(z, y)) / len(z)
        ),
        "1 is subtracted at the predicted class: "
        "the gradient has to know the true one": lambda z, y: cross_entropy_grad(z, z.argmax(-1)),
        "indexing [:, targets] takes these columns from every row: each row has one target of "
        "its own, so pair the rows with the targets": lambda z, y: (
            (F.softmax(z, -1) - _one_hot(z, y).amax(0)) / len(z)
        ),
        "a class number is not an amount: what is subtracted is 1, and where it is subtracted "
        "is what the number says": lambda z, y: (F.softmax(z, -1) - y[:, None]) / len(z),
    },
)


def _true_scores_below(log_sums: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    return (log_sums.squeeze(1) - _picked(logits, targets)).mean()


CROSS_ENTROPY = Exercise(
    name="cross_entropy",
    reference=cross_entropy,
    draw=_draw_batch,
    rules=(without(*SOFTMAX, *LOSSES, instead="build it from `exp`, `log`, `max` and `sum`"),),
    edges=(
        (double([0, 0]), torch.tensor([0])),
        (double([1, 2, 3]), torch.tensor([0])),
        (double([0, 1], [2, 5]), torch.tensor([1, 0])),
        (double([1000, 0], [-1000, 0]), torch.tensor([1, 1])),
        (double([1000, 999], [-1000, -1001]), torch.tensor([0, 0])),
        (double([1, 2, 3, 4], [0, 0, 0, 0]), torch.tensor([3, 3])),
    ),
    mistakes={
        "fine for small logits, infinite for large ones: what is exp(1000)? Which number may "
        "you subtract from a whole row of logits without changing its loss?": lambda z, y: (
            _true_scores_below(_naive_log_sum_exp(z), z, y)
        ),
        "NaN for large logits: exp(1000)/exp(1000) is inf/inf. Can you avoid the quotient, and "
        "keep every exponent at or below 0?": lambda z, y: (
            -_picked((z.exp() / z.exp().sum(-1, keepdim=True)).log(), y).mean()
        ),
        "the softmax is stable, its logarithm is not: a probability that underflows to 0 has "
        "the log −inf. Simplify log(exp(a)/s) on paper first": lambda z, y: (
            -_picked(F.softmax(z, -1).log(), y).mean()
        ),
        "a small number under the logarithm hides the −∞ and keeps the loss of a hopeless answer "
        "near 28, whatever the scores: what is it really? Never take the logarithm of a "
        "probability": lambda z, y: -_picked((F.softmax(z, -1) + 1e-12).log(), y).mean(),
        "one shift for the whole matrix: a row that lies far below the largest entry "
        "underflows to Σ exp = 0. Which maximum does each row need?": lambda z, y: (
            -_picked(_shifted_by(z.max(), z), y).mean()
        ),
        "the shift is in the sum of exponentials only: what is taken off there must be taken off "
        "the true score, too": lambda z, y: _true_scores_below(
            _naive_log_sum_exp(z - _max(z)), z, y
        ),
        "these are the losses of the rows, added: the mean is asked for": lambda z, y: (
            cross_entropy(z, y) * len(z)
        ),
        "one number is asked for, the mean over the rows": lambda z, y: F.cross_entropy(
            z, y, reduction="none"
        ),
        "divided by the number of classes as well: the loss has one term per row, not per "
        "entry": lambda z, y: cross_entropy(z, y) / z.shape[1],
        "a loss is at least 0; yours is the mean log-probability itself": lambda z, y: (
            -cross_entropy(z, y)
        ),
        "this is minus the probability of the true class: the logarithm is missing": lambda z, y: (
            -_picked(F.softmax(z, -1), y).mean()
        ),
        "this is the loss of the likeliest class: the targets say which entry of each row "
        "counts": lambda z, y: cross_entropy(z, z.argmax(-1)),
        "indexing [:, targets] takes these columns from every row: each row has one target of "
        "its own, so pair the rows with the targets": lambda z, y: (
            -F.log_softmax(z, -1)[:, y].mean()
        ),
        "this is the entropy of the predictions: the targets play no part in it": lambda z, y: (
            -(F.softmax(z, -1) * F.log_softmax(z, -1)).sum(-1).mean()
        ),
        "over which dimension do the classes of one example run?": lambda z, y: (
            -_picked(F.log_softmax(z, 0), y).mean()
        ),
        "off by ln K: the normalizer adds the exponentials up, it does not average "
        "them": lambda z, y: cross_entropy(z, y) - math.log(z.shape[1]),
        "only the true scores are there: what keeps them from growing is the log-sum-exp of the "
        "row": lambda z, y: -_picked(z, y).mean(),
    },
)

EXERCISES = (CROSS_ENTROPY, CROSS_ENTROPY_GRAD, LOG_SOFTMAX)
