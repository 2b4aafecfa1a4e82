"""How much cross-validation costs: all folds as one population against `fit`, fold after fold.

Both train an MLP 64-64-10 on 200 digits, with validation after each epoch. Prints ratios of
processor time (median over rounds, with their range).
"""

import argparse
import time
from functools import partial

import torch
import torch.nn.functional as F
from measure import hardware, spread

from l2g import data, fit, fit_many, models
from l2g.data import Split, Splits
from l2g.resampling import Fold, k_fold, nested

EPOCHS, BATCH_SIZE = 20, 32
NETWORK = partial(models.mlp, (64, 64, 10))
OPTIONS = dict(
    optimizer=partial(torch.optim.Adam, lr=3e-3),
    loss=F.cross_entropy,
    epochs=EPOCHS,
    batch_size=BATCH_SIZE,
    eval_train=False,
    progress=False,
)


def few() -> Splits:
    digits = data.load("digits")
    part = Split(digits.train.x[:200], digits.train.y[:200])
    return Splits(part, part, digits.test, "200 digits", digits.classes)


def as_population(whole: Splits, folds: list[Fold]) -> None:
    train, val = zip(*folds, strict=True)
    runs = range(len(folds))
    fit_many(NETWORK, whole, runs=runs, train_indices=train, val_indices=val, **OPTIONS)


def one_by_one(whole: Splits, folds: list[Fold]) -> None:
    x, y = whole.train
    for seed, (train, val) in enumerate(folds):
        own = Splits(
            Split(x[train], y[train]), Split(x[val], y[val]), whole.test, "fold", whole.classes
        )
        fit(NETWORK(seed=seed), own, seed=seed, **OPTIONS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(hardware())
    print("how many times faster than one fold after another: median [range]")
    whole = few()
    all_inner = [fold for _, inner in nested(k_fold, 200, 5, 5) for fold in inner]
    cases = {"5 folds": k_fold(200, 5), "20 folds": k_fold(200, 20), "5 × 5": all_inner}
    for name, folds in cases.items():
        folds = list(folds)
        ratios = []
        for _ in range(rounds):
            began = time.process_time()
            one_by_one(whole, folds)
            between = time.process_time()
            as_population(whole, folds)
            ratios.append((between - began) / (time.process_time() - between))
        print(f"{name:8} {spread(ratios)}", flush=True)


if __name__ == "__main__":
    main()
