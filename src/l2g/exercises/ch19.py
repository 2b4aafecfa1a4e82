"""The exercises of chapter 19, the CIFAR-100 study: right answers, test cases, known mistakes."""

import math

import torch
from torch import Generator, Tensor

from l2g.exercises import Exercise, Inputs, double, draw_dtype, draw_int


def candidate_share(losses: Tensor, m: int, K: int, a: float) -> Tensor:
    """Share of images (n,) whose class is among the m candidates, from losses (n,) in nats.

    Candidates have an output of a, the K − m others of 0, and the outputs went into softmax and
    cross-entropy. A result outside [0, 1] says that no such candidates have this loss.
    """
    return (_log_sum(m, K, a) - losses) / a


def _log_sum(m: int, K: int, a: float) -> float:
    return math.log(K - m + m * math.exp(a))


def fair_accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Accuracy, a scalar, averaged over all ways to number the classes of ``outputs`` (N, K).

    Among m classes that share the largest output, the true one is chosen with probability 1/m.
    """
    tied, hit = _tied(outputs, targets)
    return (hit / tied.sum(1)).to(outputs.dtype).mean()


def _tied(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Which classes share the largest output (N, K), and whether the true one does (N,)."""
    tied = outputs == outputs.amax(1, keepdim=True)
    return tied, tied.gather(1, targets[:, None])[:, 0]


def _share(right: Tensor, outputs: Tensor) -> Tensor:
    return right.to(outputs.dtype).mean()


def _draw_losses(generator: Generator) -> Inputs:
    K = (10, 100, 200, 1000)[draw_int(0, 3, generator)]
    m, a = draw_int(1, 9, generator), (0.5, 1.0, 2.0, 4.0)[draw_int(0, 3, generator)]
    share = torch.rand(draw_int(1, 4, generator), generator=generator, dtype=torch.float64)
    return (_log_sum(m, K, a) - a * share).to(draw_dtype(generator)), m, K, a


def _draw_outputs(generator: Generator) -> Inputs:
    """Outputs at few levels, so that many of them tie; now and then logits, and large ones."""
    N, K, levels = (draw_int(low, high, generator) for low, high in [(2, 8), (2, 6), (2, 4)])
    outputs = torch.randint(levels, (N, K), generator=generator) / (levels - 1)
    scale = (1.0, 1.0, 8.0, 2000.0)[draw_int(0, 3, generator)]
    outputs = (scale * outputs).to(draw_dtype(generator))
    return outputs, torch.randint(K, (N,), generator=generator)


CANDIDATE_SHARE = Exercise(
    name="candidate_share",
    reference=candidate_share,
    draw=_draw_losses,
    edges=(
        (double([4.119, 4.080])[0], 10, 100, 1.0),
        (double([4.119])[0], 1, 100, 1.0),
        (double([1.5, 2000.0])[0], 3, 10, 2.0),
    ),
    mistakes={
        "right for a = 1: the output of the true class is a or 0, so the loss falls by a for each "
        "hit": lambda L, m, K, a: _log_sum(m, K, a) - L,
        "a is missing in the sum: a candidate adds eᵃ": lambda L, m, K, a: (
            (_log_sum(m, K, 1.0) - L) / a
        ),
        "this is the formula of the page, for outputs of 1": lambda L, m, K, a: (
            _log_sum(m, K, 1.0) - L
        ),
        "a candidate adds eᵃ to the sum, not a times e": lambda L, m, K, a: (
            (math.log(K - m + m * a * math.e) - L) / a
        ),
        "the K − m classes with output 0 count, too: each adds e⁰ = 1": lambda L, m, K, a: (
            (math.log(m) + a - L) / a
        ),
        "the candidates are counted twice, as eᵃ and as 1: only K − m classes add "
        "1": lambda L, m, K, a: (math.log(K + m * math.exp(a)) - L) / a,
        "the sign is turned: a lower loss means a larger share": lambda L, m, K, a: (
            (L - _log_sum(m, K, a)) / a
        ),
        "this is a single guess: all m candidates have an output of a": lambda L, m, K, a: (
            (_log_sum(1, K, a) - L) / a
        ),
        "divided by m: this is the accuracy of a random candidate, not the share of images whose "
        "class is among them": lambda L, m, K, a: (_log_sum(m, K, a) - L) / (a * m),
        "you compare with chance, ln K: candidates raise the sum": lambda L, m, K, a: (
            (math.log(K) - L) / a
        ),
        "losses are in nats: use the natural logarithm": lambda L, m, K, a: (
            (_log_sum(m, K, a) / math.log(10) - L) / a
        ),
        "do not clip to [0, 1]: a value outside says that no such candidates have this "
        "loss": lambda L, m, K, a: ((_log_sum(m, K, a) - L) / a).clamp(0, 1),
        "this is the share of images whose class is missing: one minus it": lambda L, m, K, a: (
            1 - (_log_sum(m, K, a) - L) / a
        ),
    },
)

FAIR_ACCURACY = Exercise(
    name="fair_accuracy",
    reference=fair_accuracy,
    draw=_draw_outputs,
    edges=(
        (double([1, 1, 0], [1, 1, 0]), torch.tensor([0, 1])),
        (double([0, 1, 1], [1, 0, 0]), torch.tensor([0, 0])),
        (double([0.5, 0.5, 0.5, 0.5]), torch.tensor([3])),
        (double([0.2, 0.7, 0.1]), torch.tensor([1])),
    ),
    mistakes={
        "argmax takes the lowest number of a tie: that is the accuracy you want to be rid "
        "of": lambda z, y: _share(z.argmax(1) == y, z),
        "the highest number of a tie wins: as unfair as the lowest": lambda z, y: _share(
            z.shape[1] - 1 - z.flip(1).argmax(1) == y, z
        ),
        "a tie with the true class counts as right: it should count 1/m": lambda z, y: _share(
            _tied(z, y)[1], z
        ),
        "a tie counts as wrong: with the true class in it, it is right in one of m numberings, on "
        "average": lambda z, y: _share(_tied(z, y)[1] & (_tied(z, y)[0].sum(1) == 1), z),
        "1/m for every tie: is the true class in it?": lambda z, y: (
            (1 / _tied(z, y)[0].sum(1)).to(z.dtype).mean()
        ),
        "divided by K: only the m classes at the top share the choice": lambda z, y: (
            _share(_tied(z, y)[1], z) / z.shape[1]
        ),
        "one half for every tie: m classes may share the top": lambda z, y: (
            (_tied(z, y)[1] / _tied(z, y)[0].sum(1).clamp(max=2)).to(z.dtype).mean()
        ),
        "a sum over images: divide by N": lambda z, y: fair_accuracy(z, y) * len(z),
        "hits and tied classes are each summed over all images: take the ratio image by "
        "image": lambda z, y: (_tied(z, y)[1].sum() / _tied(z, y)[0].sum()).to(z.dtype),
    },
)

EXERCISES = (CANDIDATE_SHARE, FAIR_ACCURACY)
