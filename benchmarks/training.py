"""One epoch of training: `l2g.fit` and other trainers against the limit, in one run.

The limit is forward, backward and step on one ready batch, as often as the epoch has batches. Each
trainer stands between two measurements of it. Prints the share of the limit's speed that each one
reaches (median over interleaved rounds, with the range), and draws it to `benchmarks/training.svg`.

Trainers that are not installed are left out: `pip install -r benchmarks/requirements.txt`.
"""

import argparse
import importlib.util
import logging
import statistics
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
import torchvision
from measure import DEVICE, hardware, seconds, spread
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms

from l2g import data, fit, losses, models, plots
from l2g.data import Split, Splits
from l2g.transforms import crop_and_flip

N, CLASSES, BATCH_SIZE = 50_000, 100, 128
Batches = Iterable[tuple[Tensor, Tensor]]


def images(n: int) -> Splits:
    """CIFAR-100 if it is in the cache, or else noise of its size; two images of validation."""
    if (data.cache_home() / "cifar100.npz").exists():
        loaded = data.load("cifar100")
        x, y = (torch.cat([loaded.train[i], loaded.val[i]])[:n] for i in (0, 1))
    else:
        generator = torch.Generator().manual_seed(0)
        x = torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator)
        y = torch.randint(CLASSES, (n,), generator=generator)
    few = Split(x[:2], y[:2])
    return Splits(Split(x.to(DEVICE), y.to(DEVICE)), few, few, "cifar100")


def network() -> nn.Module:
    return models.TinyConvNet(CLASSES, seed=0).to(DEVICE)


def by_item(loss: Tensor, hits: Tensor) -> None:
    """What most loops do at each step: it waits for the device."""
    loss.item(), hits.sum().item()


def by_python(loss: Tensor, hits: Tensor) -> None:
    """What the experiment of chapter 19 did: Python adds up 128 tensors."""
    loss.item(), sum(hits.cpu()).item()


def plain_loop(
    batches: Batches, *, watch: Callable[[Tensor, Tensor], None] | None = None, lr: float = 1e-3
) -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for x, y in batches:
        x, y = x.to(DEVICE), y.to(DEVICE)
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        optimizer.step()
        if watch:
            watch(loss, logits.argmax(1) == y)


# --- What is compared: each takes the data, and trains for one epoch -----------------------------


def limit(splits: Splits) -> None:
    x, y = splits.train.x[:BATCH_SIZE].float() / 255, splits.train.y[:BATCH_SIZE]
    # At a rate of 0 every step costs the same. A batch that is learned by heart gets slower: its
    # gradients become denormal numbers.
    plain_loop(((x, y) for _ in range(0, len(splits.train.x), BATCH_SIZE)), lr=0.0)


def our_fit(splits: Splits, **options: object) -> None:
    fit(
        network(),
        splits,
        **{"loss": F.cross_entropy, **options},
        epochs=1,
        batch_size=BATCH_SIZE,
        seed=0,
        eval_train=False,
        metrics={},
        device=DEVICE,
        progress=False,
    )


def cropped(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return crop_and_flip(x), y


def resident(splits: Splits, **options: object) -> None:
    """What one writes first when the data are in memory."""
    (x, y), order = splits.train, torch.randperm(len(splits.train.x))
    parts = (index.to(DEVICE) for index in order.split(BATCH_SIZE))
    plain_loop(((x[index].float() / 255, y[index]) for index in parts), **options)


def through_pil(
    splits: Splits, *, workers: int, augmented: bool = False, **options: object
) -> None:
    """torchvision's data set, image by image through PIL, as most tutorials have it."""
    dataset = object.__new__(torchvision.datasets.CIFAR100)  # filled from memory, not from a file
    dataset.data = splits.train.x.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    dataset.targets, dataset.target_transform = splits.train.y.tolist(), None
    crop = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    dataset.transform = transforms.Compose([*(crop if augmented else []), transforms.ToTensor()])
    loader = DataLoader(dataset, BATCH_SIZE, shuffle=True, num_workers=workers)
    plain_loop(loader, **{"watch": by_item, **options})


def tensors(splits: Splits) -> TensorDataset:
    """The peers' best case: floats in memory."""
    return TensorDataset(splits.train.x.cpu().float() / 255, splits.train.y.cpu())


def with_fastai(splits: Splits, dataset: TensorDataset) -> None:
    import fastai.callback.progress  # noqa: F401  (adds no_bar to Learner)
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader as FastaiLoader
    from fastai.learner import Learner
    from fastai.optimizer import Adam

    loader = FastaiLoader(dataset, bs=BATCH_SIZE, shuffle=True)
    few = FastaiLoader(TensorDataset(*dataset[:2]), bs=2)
    learner = Learner(
        DataLoaders(loader, few, device=DEVICE), network(), F.cross_entropy, opt_func=Adam
    )
    with learner.no_bar(), learner.no_logging():
        learner.fit(1, lr=1e-3)


def with_lightning(splits: Splits, dataset: TensorDataset) -> None:
    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = network()

        def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
            x, y = batch
            return F.cross_entropy(self.model(x), y)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters())

    quiet = dict.fromkeys(["enable_progress_bar", "enable_model_summary"], False)
    trainer = lightning.Trainer(
        accelerator="gpu" if DEVICE.type == "cuda" else "cpu",
        devices=1,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        **quiet,
    )
    trainer.fit(Module(), DataLoader(dataset, BATCH_SIZE, shuffle=True))


def with_skorch(splits: Splits, dataset: TensorDataset) -> None:
    from skorch import NeuralNetClassifier

    classifier = NeuralNetClassifier(
        network(),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=1,
        batch_size=BATCH_SIZE,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        device=str(DEVICE),
    )
    classifier.fit(dataset, None)


def trainers(splits: Splits) -> dict[str, Callable[[Splits], None]]:
    dataset = tensors(splits)
    found = {
        "l2g.fit": our_fit,
        "l2g.fit, its own cross_entropy": partial(our_fit, loss=losses.cross_entropy),
        "l2g.fit, crop and flip": partial(our_fit, transform=cropped),
        "resident loop": resident,
        "resident loop, .item()": partial(resident, watch=by_item),
        "PIL, 0 workers, .item()": partial(through_pil, workers=0),
        "PIL, 0 workers, Python's sum": partial(through_pil, workers=0, watch=by_python),
        "PIL, 2 workers, .item()": partial(through_pil, workers=2),
        "PIL, 0 workers, crop and flip": partial(through_pil, workers=0, augmented=True),
    }
    peers = {"fastai": with_fastai, "lightning": with_lightning, "skorch": with_skorch}
    for name, train in peers.items():
        if importlib.util.find_spec(name):
            found[f"{name}, tensors"] = partial(train, dataset=dataset)
        else:
            print(f"{name} is not installed: pip install -r benchmarks/requirements.txt")
    return found


def draw(shares: dict[str, list[float]]) -> None:
    plots.use_style()
    order = sorted(shares, key=lambda name: statistics.median(shares[name]))
    _, ax = plt.subplots(figsize=(6.4, 0.36 * len(order) + 0.9))
    for i, name in enumerate(order):
        low, middle, high = min(shares[name]), statistics.median(shares[name]), max(shares[name])
        ours = name.startswith("l2g")
        colour, marker = (plots.COLOURS[1], "s") if ours else (plots.COLOURS[0], "o")
        ax.plot([low, high], [i, i], color=colour)
        ax.plot(middle, i, color=colour, marker=marker)
    ax.axvline(1, color=plots.MUTED, linestyle=":")
    ax.set(yticks=range(len(order)), yticklabels=order)
    ax.set_xlim(left=0)
    ax.set_xlabel("share of the speed of bare forward, backward and step")
    plt.savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=N)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    splits = images(given.images)
    compared = trainers(splits)
    print(f"{hardware()}; TinyConvNet, {given.images:,} images, batches of {BATCH_SIZE}, Adam")
    print("share of the limit's speed in one epoch: median [range]")
    shares: dict[str, list[float]] = {name: [] for name in compared}
    bare = partial(limit, splits)
    for round_ in range(-1, given.rounds):  # round -1 warms up
        before = seconds(bare)
        for name, train in compared.items():
            taken = seconds(partial(train, splits))
            after = seconds(bare)
            if round_ >= 0:
                shares[name].append((before + after) / 2 / taken)
            before = after
        print(f"round {round_ + 1} of {given.rounds}", flush=True)
    for name, found in shares.items():
        print(f"{name:32} {spread(found)}")
    draw(shares)


if __name__ == "__main__":
    main()
