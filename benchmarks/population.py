"""How much R runs cost: `fit_many` against one plain PyTorch loop after another, in one run.

Prints ratios (median over interleaved rounds, with their range) and draws the cost as R grows to
`benchmarks/population.svg`.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from measure import DEVICE, hardware, seconds, spread
from torch import nn

from l2g import data, fit_many, models, plots
from l2g.data import Split

ADAM = partial(torch.optim.Adam, lr=1e-3)
BATCH_SIZE, LARGEST = 32, 256 if DEVICE.type == "cuda" else 64


def digits(side: int = 8) -> data.Splits:
    """Digits enlarged to side × side: where the arithmetic of a convolution begins to count."""
    splits = data.load("digits")
    parts = [Split(F.interpolate(x, side), y) for x, y in (splits.train, splits.val, splits.test)]
    return data.Splits(*parts, "digits", splits.classes)


def tiny(side: int, seed: int) -> nn.Module:
    return models.TinyConvNet(10, in_shape=(1, side, side), seed=seed)


# name → (network of one run, data, epochs, largest R)
CASES = {
    "MLP 64-64-10": (partial(models.mlp, (64, 64, 10)), digits(), 20, LARGEST),
    "TinyConvNet 8x8": (partial(tiny, 8), digits(), 10, LARGEST // 2),
    "TinyConvNet 32x32": (partial(tiny, 32), digits(32), 3, LARGEST // 8),
}


def plain_loop(make_model: Callable[..., nn.Module], splits: data.Splits, epochs: int, seed: int):
    """What a careful user writes: resident tensors, index batches, validation each epoch."""
    model = make_model(seed=seed).to(DEVICE)
    optimizer, generator = ADAM(model.parameters()), torch.Generator().manual_seed(seed)
    (x, y), (x_val, y_val) = [(s.x.to(DEVICE), s.y.to(DEVICE)) for s in (splits.train, splits.val)]
    for _ in range(epochs):
        model.train()
        for index in torch.randperm(len(x), generator=generator).to(DEVICE).split(BATCH_SIZE):
            optimizer.zero_grad()
            F.cross_entropy(model(x[index]), y[index]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            logits = model(x_val)
            F.cross_entropy(logits, y_val).item()
            (logits.argmax(1) == y_val).float().mean().item()


def measure(name: str, runs: int, rounds: int) -> list[float]:
    """Ratios plain / fit_many, one for each round; which of them goes first alternates."""
    make_model, splits, epochs, _ = CASES[name]
    many = partial(
        fit_many,
        make_model,
        splits,
        runs=runs,
        optimizer=ADAM,
        loss=F.cross_entropy,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        eval_train=False,
        progress=False,
    )

    def plain() -> None:
        for seed in range(runs):
            plain_loop(make_model, splits, epochs, seed)

    ratios = []
    for i in range(rounds):
        first, second = (plain, many) if i % 2 else (many, plain)
        a, b = seconds(first), seconds(second)
        ratios.append(a / b if i % 2 else b / a)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(hardware())
    print("how many times faster than R plain loops one after another: median [range]")
    plots.use_style()
    _, ax = plt.subplots()
    for i, (name, (_, _, _, largest)) in enumerate(CASES.items()):
        counts = [2**k for k in range(largest.bit_length())]
        measure(name, 2, 1)  # warm-up
        costs = []
        for runs in counts:
            ratios = measure(name, runs, rounds)
            costs.append([runs / ratio for ratio in ratios])
            print(f"{name:18} R = {runs:3}: {spread(ratios)}", flush=True)
        rows = list(zip(*costs, strict=True))
        plots.band(ax, counts, rows, i, label=name, marker=plots.MARKERS[i])
    most = [1, LARGEST]
    ax.plot(most, most, label="one after another", color=plots.MUTED, linestyle=":")
    ax.set(xscale="log", yscale="log", xlabel="number of runs R", ylabel="cost, in plain runs")
    ax.legend()
    plt.savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
