"""Exercises of chapter 4, Bootstrap, bagging, boosting."""

import torch
from torch import Tensor

from l2g.exercises import Exercise, Inputs, double, draw_dtype, draw_int, without_autograd


def out_of_bag_accuracy(votes: Tensor, draws: Tensor, y: Tensor) -> float:
    """The share of examples that the members which have not seen them classify rightly.

    Votes (B, n): what each member says to each example. Draws (B, n): what each was trained on.
    """
    said, judged = _out_of_bag(votes, _unseen(draws, votes.shape[1]))
    return float((said == y)[judged].double().mean())


def boost_pool(answers: Tensor, y: Tensor, rounds: int) -> Tensor:
    """AdaBoost's votes (M,) for a pool of learners whose answers −1 or +1 are given, (M, n)."""
    return _boosted(answers, y, rounds)


def pseudo_residual(F: Tensor, y: Tensor) -> Tensor:
    """The negative gradient of ln(1 + exp(−yF)) in the scores F (n,); targets −1 or +1 (n,)."""
    return y * torch.sigmoid(-y * F)


def _unseen(draws: Tensor, n: int) -> Tensor:
    """Which member has not seen which example: (B, n)."""
    return (draws[:, :, None] != torch.arange(n)).all(dim=1)


def _out_of_bag(votes: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """The majority of the members that are out, and where there is any."""
    counts = torch.stack([((votes == k) & out).sum(dim=0) for k in range(int(votes.max()) + 1)])
    return counts.argmax(dim=0), out.any(dim=0)


def _share(votes: Tensor, out: Tensor, y: Tensor) -> float:
    """The out-of-bag accuracy, given who counts as out."""
    said, judged = _out_of_bag(votes, out)
    return float((said == y)[judged].double().mean()) if judged.any() else 0.0


def _boosted(
    answers: Tensor,
    y: Tensor,
    rounds: int,
    *,
    factor: float = 0.5,
    grows: float = 1.0,
    replace: bool = False,
    raw: bool = False,
    normalize: bool = True,
    total: float = 1.0,
) -> Tensor:
    """AdaBoost on a pool, and what becomes of it by the usual mistakes."""
    wrong = (answers != y).double()
    w = torch.full((len(y),), total / len(y), dtype=torch.float64)
    votes = torch.zeros(len(answers), dtype=torch.float64)
    for _ in range(rounds):
        errors = wrong @ w
        j = int(errors.argmin())
        alpha = factor * torch.log((1 - errors[j]) / errors[j])
        votes[j] = alpha if replace else votes[j] + (1 if raw else alpha)
        w = w * torch.exp(-grows * alpha * y.double() * answers[j])
        w = w / w.sum() if normalize else w
    return votes


def _draw_votes(generator: torch.Generator) -> Inputs:
    """3–7 members, 6–12 examples, 2–4 classes; some example is out of some bag."""
    members, n = draw_int(3, 7, generator), draw_int(6, 12, generator)
    classes = draw_int(2, 4, generator)
    y = torch.randint(classes, (n,), generator=generator)
    votes = torch.randint(classes, (members, n), generator=generator)
    votes = torch.where(torch.rand(members, n, generator=generator) < 0.5, y, votes)
    return votes, torch.randint(n, (members, n), generator=generator), y


def _draw_pool(generator: torch.Generator) -> Inputs:
    """A pool of 4–6 learners for 9–15 examples in which every round has one clear winner."""
    while True:
        size, n = draw_int(4, 6, generator), draw_int(9, 15, generator)
        rounds = draw_int(1, 4, generator)  # by the usual mistakes ε is not yet lost in rounding
        y = 2 * torch.randint(2, (n,), generator=generator) - 1
        right = torch.rand(size, n, generator=generator) < 0.7
        answers = torch.where(right, y, -y)
        if _clear(answers, y, rounds):
            return answers, y, rounds


def _clear(answers: Tensor, y: Tensor, rounds: int) -> bool:
    """Whether no round has a tie, a learner without a mistake, or only coins."""
    wrong, w = (answers != y).double(), torch.full((len(y),), 1 / len(y), dtype=torch.float64)
    for _ in range(rounds):
        errors = wrong @ w
        first, second = errors.sort().values[:2].tolist()
        if not 0.02 < first < 0.48 or second - first < 0.001:
            return False
        alpha = 0.5 * torch.log((1 - errors.min()) / errors.min())
        w = w * torch.exp(-alpha * y * answers[errors.argmin()])
        w = w / w.sum()
    return True


def _draw_scores(generator: torch.Generator) -> Inputs:
    """Scores of all sizes, targets −1 or +1."""
    n = draw_int(2, 8, generator)
    scale = (1.0, 4.0, 2000.0)[draw_int(0, 2, generator)]
    F = scale * torch.randn(n, generator=generator, dtype=torch.float64)
    y = 2.0 * torch.randint(2, (n,), generator=generator) - 1
    dtype = draw_dtype(generator)
    return F.to(dtype), y.to(dtype)


OUT_OF_BAG_ACCURACY = Exercise(
    name="out_of_bag_accuracy",
    reference=out_of_bag_accuracy,
    draw=_draw_votes,
    edges=(
        (
            torch.tensor([[0, 1, 1], [1, 1, 0]]),
            torch.tensor([[0, 0, 1], [2, 1, 2]]),
            torch.tensor([1, 1, 1]),
        ),
        (torch.tensor([[2, 0], [0, 1]]), torch.tensor([[0, 0], [0, 1]]), torch.tensor([2, 0])),
    ),
    mistakes={
        "members that have seen an example vote, too: only the others may": lambda v, d, y: _share(
            v, torch.ones_like(v, dtype=torch.bool), y
        ),
        "it is the other way round: here those vote that have seen the example": lambda v, d, y: (
            _share(v, ~_unseen(d, v.shape[1]), y)
        ),
        "examples that every member has seen count as wrong here; they should not "
        "count": lambda v, d, y: float(
            ((_out_of_bag(v, _unseen(d, len(y)))[0] == y) & _out_of_bag(v, _unseen(d, len(y)))[1])
            .double()
            .mean()
        ),
        "examples that every member has seen have no votes, and count here as class 0; they should "
        "not count": lambda v, d, y: float(
            (_out_of_bag(v, _unseen(d, len(y)))[0] == y).double().mean()
        ),
        "this is the mean over single votes: first let the members of each example vote, then "
        "compare": lambda v, d, y: float((v == y)[_unseen(d, len(y))].double().mean()),
        "this is the share of mistakes": lambda v, d, y: 1 - out_of_bag_accuracy(v, d, y),
    },
)

BOOST_POOL = Exercise(
    name="boost_pool",
    reference=boost_pool,
    draw=_draw_pool,
    edges=(
        (
            torch.tensor([[1, 1, -1, -1, 1], [1, -1, -1, -1, -1], [1, 1, 1, 1, -1]]),
            torch.tensor([1, 1, -1, -1, -1]),
            1,
        ),
    ),
    mistakes={
        "twice too large: the ½ before the logarithm is missing, in the vote and in the "
        "weights": lambda a, y, r: _boosted(a, y, r, factor=1.0),
        "the logarithm has its fraction upside down: a good learner needs a positive "
        "vote": lambda a, y, r: _boosted(a, y, r, factor=-0.5),
        "the weights grow where the answer is right; it is the mistakes that should become "
        "heavier": lambda a, y, r: _boosted(a, y, r, grows=-1.0),
        "the weights never change": lambda a, y, r: _boosted(a, y, r, grows=0.0),
        "a learner that is chosen again must add to its vote, not replace it": lambda a, y, r: (
            _boosted(a, y, r, replace=True)
        ),
        "every chosen learner gets the vote 1; it should get its α": lambda a, y, r: _boosted(
            a, y, r, raw=True
        ),
        "the weights no longer sum to 1 after the first round: divide them by their "
        "sum": lambda a, y, r: _boosted(a, y, r, normalize=False),
        "ε must be a share of all weight: the weights should sum to 1, in the first round, "
        "too": lambda a, y, r: _boosted(a, y, r, normalize=False, total=len(y)),
    },
)

PSEUDO_RESIDUAL = Exercise(
    name="pseudo_residual",
    reference=pseudo_residual,
    draw=_draw_scores,
    rules=(without_autograd,),
    edges=(
        (double(0, 0)[:, None].flatten(), double(1, -1)),
        (double(1000, -1000), double(-1, -1)),
        (double(2, -2), double(1, 1)),
    ),
    mistakes={
        "this is the gradient; the negative gradient is asked for": lambda F, y: (
            -pseudo_residual(F, y)
        ),
        "this is the residual of the squared error": lambda F, y: y - F,
        "the sign inside the sigmoid: a clear and right answer, yF large, should hardly "
        "push": lambda F, y: y * torch.sigmoid(y * F),
        "the factor y is missing: which way should F move where y = −1?": lambda F, y: (
            torch.sigmoid(-y * F)
        ),
        "this overflows where yF is very negative: use the sigmoid": lambda F, y: (
            y * torch.exp(-y * F) / (1 + torch.exp(-y * F))
        ),
        "this is AdaBoost's, of the exponential loss": lambda F, y: y * torch.exp(-y * F),
        "this is for targets 0 and 1: here they are −1 and +1": lambda F, y: y - torch.sigmoid(F),
        "this is the loss, not its slope": lambda F, y: torch.nn.functional.softplus(-y * F),
    },
)

EXERCISES = (OUT_OF_BAG_ACCURACY, BOOST_POOL, PSEUDO_RESIDUAL)
