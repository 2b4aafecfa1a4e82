"""Metrics of `l2g.metrics` against scikit-learn's, in one run.

Prints how long ours takes in units of scikit-learn's (median over interleaved rounds, with the
range); both start from tensors.
"""

import argparse
from collections.abc import Callable
from functools import partial

import sklearn.metrics as sk
import torch
from measure import hardware, seconds, spread
from torch import Tensor

from l2g import metrics

Measure = Callable[[Tensor, Tensor], object]
macro = {"average": "macro"}
# Which inputs: one score or the class of each example; ours, theirs with its arguments turned.
PAIRS: dict[str, tuple[str, Measure, Measure]] = {
    "auc": ("scores", metrics.auc, lambda s, y: sk.roc_auc_score(y, s)),
    "average_precision": (
        "scores",
        metrics.average_precision,
        lambda s, y: sk.average_precision_score(y, s),
    ),
    "brier": ("scores", metrics.brier, lambda s, y: sk.brier_score_loss(y, s)),
    "confusion_matrix": (
        "classes",
        metrics.confusion_matrix,
        lambda p, y: sk.confusion_matrix(y, p),
    ),
    "f1, macro": (
        "classes",
        partial(metrics.f1, **macro),
        lambda p, y: sk.f1_score(y, p, **macro),
    ),
}


def inputs(kind: str, n: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    if kind == "classes":
        p, y = torch.randint(10, (2, n), generator=generator)
        return p, y
    y = torch.randint(2, (n,), generator=generator)
    return torch.rand(n, dtype=torch.float64, generator=generator), y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    sizes = (10**3, 10**5, 10**6)
    print(hardware(torch.device("cpu")))
    print(f"{'examples':18}", *(f"{n:>20,}" for n in sizes))
    for name, (kind, ours, theirs) in PAIRS.items():
        cells = []
        for n in sizes:
            given = inputs(kind, n)
            ours(*given), theirs(*given)  # once, to warm up
            ratios = [
                seconds(partial(ours, *given)) / seconds(partial(theirs, *given))
                for _ in range(rounds)
            ]
            cells.append(spread(ratios))
        print(f"{name:18}", *(f"{cell:>20}" for cell in cells))


if __name__ == "__main__":
    main()
