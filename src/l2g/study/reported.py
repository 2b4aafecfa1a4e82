"""The experiment as it was reported, with all its faults: nothing here is to be imitated."""

import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2g.checkpoint import Checkpoint, seeded
from l2g.data import Split, batches
from l2g.history import History
from l2g.models import TinyConvNet
from l2g.study.conditions import CLASSES, REPORTED
from l2g.training import bar

BATCH_SIZE, PATIENCE, WATCHED = 128, 20, 10_000
COLUMNS = (
    "running_loss",
    "running_accuracy",
    "train_loss",
    "test_loss",
    "test_accuracy",
    "accuracy_before_sigmoid",
    "tied",
    "above_0.9",
)


def train_as_reported(
    condition: str,
    train: Split,
    test: Split,
    *,
    seed: int,
    epochs: int,
    checkpoint: Path,
    device: torch.device,
) -> History:
    """Batches in the order of the file, a sigmoid before the loss, the test set as a stopwatch.

    Stops 20 epochs after the last minimum of the test loss. ``running_*`` are means over the epoch
    in training mode, as they were reported; ``train_loss`` is measured afterwards, in evaluation
    mode, on the first 10,000 training images. ``tied`` is the share of test images whose largest
    output two or more classes share, ``above_0.9`` the mean number of outputs above 0.9.
    """
    slots, weight_decay = REPORTED[condition]
    model = TinyConvNet(CLASSES, output=nn.Sigmoid, seed=seed, **slots).to(device)
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=weight_decay)
    train, test = (Split(split.x.to(device), split.y.to(device)) for split in (train, test))
    history = History(seed, {name: [] for name in COLUMNS})
    unused = torch.Generator()
    store = Checkpoint(checkpoint, model, optimizer, unused, [], {"condition": condition})
    with seeded(seed, device):
        history = store.start(history, epochs)
        for _ in bar(range(history.epochs + 1, epochs + 1), progress=True):
            if _stale(history.columns["test_loss"]):
                break
            started = time.perf_counter()
            values = _epoch(model, optimizer, train) | _measured(model, train, test)
            history.append(values, time.perf_counter() - started)
            store.save(history)
    return history


def _stale(losses: list[float]) -> bool:
    """Whether the minimum, the last one of equals, lies ``PATIENCE`` epochs back."""
    return bool(losses) and losses[::-1].index(min(losses)) >= PATIENCE


def _epoch(model: nn.Module, optimizer: torch.optim.Optimizer, train: Split) -> dict[str, float]:
    model.train()
    loss, correct = torch.zeros(2, dtype=torch.float64, device=train.x.device)
    for x, y in batches(train, BATCH_SIZE):
        outputs = model(x)
        batch_loss = F.cross_entropy(outputs, y)
        optimizer.zero_grad()
        batch_loss.backward()
        optimizer.step()
        loss += batch_loss.detach() * len(x)
        correct += (outputs.argmax(1) == y).sum()
    n = len(train.x)
    return {"running_loss": loss.item() / n, "running_accuracy": correct.item() / n}


@torch.inference_mode()
def _measured(model: nn.Module, train: Split, test: Split) -> dict[str, float]:
    model.eval()
    outputs, logits = _outputs(model, test.x)
    watched = Split(train.x[:WATCHED], train.y[:WATCHED])
    largest = outputs.max(1, keepdim=True).values
    return {
        "train_loss": F.cross_entropy(_outputs(model, watched.x)[0], watched.y).item(),
        "test_loss": F.cross_entropy(outputs, test.y).item(),
        "test_accuracy": _share(outputs.argmax(1) == test.y),
        "accuracy_before_sigmoid": _share(logits.argmax(1) == test.y),
        "tied": _share((outputs == largest).sum(1) > 1),
        "above_0.9": (outputs > 0.9).sum(1).double().mean().item(),
    }


def _outputs(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """All outputs, and what they were before the sigmoid, (N, 100) each."""
    before = nn.Sequential(*list(model.layers)[:-1])  # type: ignore[arg-type]
    parts = [before(x_part) for x_part, _ in batches(Split(x, x), 1000)]
    logits = torch.cat(parts)
    return logits.sigmoid(), logits


def _share(flags: Tensor) -> float:
    return flags.double().mean().item()
