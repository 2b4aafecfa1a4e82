"""The training loop of chapter 5: ``fit``."""

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l2g.checkpoint import Checkpoint, seeded
from l2g.checks import check_roles
from l2g.data import Split, Splits, batches, to_float
from l2g.evaluation import choose_device, measured, prepare, zeros
from l2g.history import EarlyStopping, History, Hook
from l2g.losses import cross_entropy
from l2g.metrics import Measure
from l2g.numbers import whole_number
from l2g.optim.matched import Groups, optimizer_for
from l2g.schedules.pace import Pace

__all__ = ["EarlyStopping", "History", "fit"]

Transform = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Penalty = Callable[..., Tensor | float]


def no_penalty(model: nn.Module) -> float:
    return 0.0


def fit(
    model: nn.Module,
    splits: Splits,
    *,
    optimizer: Callable[[Iterable[Any]], torch.optim.Optimizer] = torch.optim.Adam,
    groups: Groups | None = None,
    loss: Measure = cross_entropy,
    penalty: Penalty = no_penalty,
    epochs: int,
    batch_size: int = 128,
    schedule: Callable[[Any], Any] | None = None,
    transform: Transform | None = None,
    seed: int,
    early_stopping: EarlyStopping | None = None,
    after_epoch: Sequence[Hook] = (),
    checkpoint: str | Path | None = None,
    eval_train: bool = True,
    metrics: Mapping[str, Measure] | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> History:
    """Train ``model`` in place on ``splits.train``; watch ``splits.val``; never touch the test set.

    ``seed`` fixes the order of the batches and PyTorch's global generators inside the run, as
    dropout uses them, and leaves the caller's random state alone: on a CPU, with the same number of
    threads, the same seed gives the same weights bit for bit. (A transform that draws from NumPy's
    or Python's own generators must seed them itself.) Afterwards the model is on ``device`` and in
    evaluation mode, as it is for the hooks. Modules that are in evaluation mode inside a model in
    training mode, such as frozen batch normalization, stay in it.

    Args:
        optimizer: a factory, parameters → optimizer, e.g. ``partial(torch.optim.SGD, lr=0.1)``.
        groups: model → parameter groups for the optimizer, in place of ``model.parameters()``, e.g.
            ``partial(penalties.parameter_groups, weight_decay=0.01)``.
        loss: (outputs, targets) → scalar mean over the batch.
        penalty: model → scalar, added to the loss of each batch before its gradient is taken, e.g.
            ``lambda model: 1e-4 * penalties.l1(model)``. No reported loss contains it.
        epochs: passes through the training data; a hook can end the run earlier.
        batch_size: examples per step; the last batch of an epoch may be smaller.
        schedule: a factory, optimizer → learning-rate schedule, e.g.
            ``partial(CosineAnnealingLR, T_max=steps)``; stepped after every batch. One that
            watches the loss, ``ReduceLROnPlateau``, gets ``val_loss`` after every epoch.
        transform: (x, y) → (x, y) of a training batch, on the device: augmentation, soft targets.
        early_stopping: an ``EarlyStopping``, or ``None``.
        after_epoch: hooks, called as ``hook(history, model)``; a true result ends the run.
        checkpoint: file for the full state after every epoch. If it exists, the run goes on from
            it, and ends as if it had never been interrupted.
        eval_train: whether to measure the training split after each epoch as well.
        metrics: name → (outputs, targets) → one number for all examples of a split at once; by
            default ``accuracy`` where targets are integers.
        device: by default cuda, mps or cpu, the first there is.
        progress: show a bar over the epochs of runs longer than two seconds.

    Raises:
        TypeError: an argument has the wrong type, e.g. an optimizer in place of a factory.
        ValueError: an argument is out of range; data are empty, uneven, NaN or infinite; outputs
            and targets do not fit; the optimizer does not hold the trainable parameters of the
            model; the checkpoint is damaged or of another configuration.
        OSError: the checkpoint cannot be written.
        FloatingPointError: the running loss of an epoch is NaN or infinite. With early stopping
            the model then has the weights of the best epoch before.
    """
    epochs = whole_number("epochs", epochs, least=1)
    batch_size = whole_number("batch_size", batch_size, least=1)
    seed = whole_number("seed", seed, least=0)
    check_roles(model, optimizer, early_stopping, after_epoch)
    train, val, loss_or_nan, metrics = prepare(model, splits, loss, metrics, choose_device(device))
    check_last_batch(model, train.x, len(train.x), batch_size)
    watched = {"train": train, "val": val} if eval_train else {"val": val}
    history = empty_history(seed, watched, metrics, early_stopping)
    optim = optimizer_for(model, optimizer, groups)
    pace = Pace(schedule, optim)
    generator = torch.Generator().manual_seed(seed)
    hooks = [hook for hook in (early_stopping, *after_epoch) if hook is not None]
    settings: dict[str, Any] = dict(batch_size=batch_size, train=train, val=val)
    settings |= dict(loss=loss, metrics=metrics, penalty=penalty, transform=transform)
    store = Checkpoint(checkpoint, model, optim, generator, [*hooks, pace.schedule], settings)
    learning = learning_modules(model)
    with seeded(seed, train.x.device), in_good_order(model, early_stopping):
        history = store.start(history, epochs)
        left = bar(range(history.epochs + 1, epochs + 1), progress)
        for epoch in takewhile(lambda _: not history.stopped_early, left):
            started = time.perf_counter()
            set_training(learning)
            total = zeros(train.x.device)
            for x, y in _drawn(train, batch_size, generator, transform):
                optim.zero_grad()
                batch_loss = loss_or_nan(model(x), y)
                (batch_loss + penalty(model)).backward()
                optim.step()
                pace.after_batch()
                total += batch_loss.detach() * len(x)
            model.eval()
            curves = {"running_loss": _finite(total.item() / len(train.x), epoch)}
            curves |= _curves(model, watched, loss_or_nan, metrics, batch_size)
            pace.after_epoch(curves["val_loss"])
            history.append(curves, time.perf_counter() - started)
            history.stopped_early = True in [bool(hook(history, model)) for hook in hooks]
            store.save(history)
    if early_stopping is not None:
        early_stopping.restore(model)
    return history


def _drawn(
    train: Split, batch_size: int, generator: torch.Generator, transform: Transform | None
) -> Iterator[tuple[Tensor, Tensor]]:
    for x, y in batches(train, batch_size, generator=generator):
        yield transform(x, y) if transform else (x, y)


def _curves(
    model: nn.Module,
    watched: Mapping[str, Split],
    loss: Measure,
    metrics: Mapping[str, Measure],
    batch_size: int,
) -> dict[str, float]:
    curves = {}
    for name, split in watched.items():
        # Large batches are faster, but those of large images must fit: 4 million numbers at most.
        size = max(batch_size, min(1024, 2**22 // max(1, split.x[0].numel())))
        for measure, value in measured(model, split, loss, metrics, size).items():
            curves[f"{name}_{measure}"] = value
    return curves


def learning_modules(model: nn.Module) -> list[nn.Module]:
    """The modules that train in training mode: all, less those frozen in a model that is not."""
    return [m for m in model.modules() if m.training or not model.training]


def set_training(learning: Iterable[nn.Module]) -> None:
    for module in learning:
        module.training = True


@contextmanager
def in_good_order(model: nn.Module, early_stopping: EarlyStopping | None) -> Iterator[None]:
    """However a run ends, its model is in evaluation mode.

    One that diverges has the weights of its best epoch, if early stopping has kept any.
    """
    if early_stopping is not None:
        early_stopping.best_epoch = early_stopping.best_weights = None
    try:
        yield
    except FloatingPointError:
        if early_stopping is not None and early_stopping.best_weights is not None:
            early_stopping.restore(model)
        raise
    finally:
        model.eval()


def check_last_batch(model: nn.Module, x: Tensor, n: int, batch_size: int) -> None:
    """Batch normalization takes no batch of one value for each channel: say so before training."""
    if n % batch_size != 1 and batch_size != 1:
        return
    trial = copy.deepcopy(model)
    set_training(learning_modules(trial))
    try:
        with seeded(0, x.device), torch.no_grad():
            trial(to_float(x[:1]))
    except ValueError as error:
        raise ValueError(
            f"batch_size {batch_size} leaves a batch of one of {n} examples, which the model "
            f"refuses ({str(error).rstrip('.')}): choose another batch_size"
        ) from error


def _finite(running_loss: float, epoch: int) -> float:
    if not math.isfinite(running_loss):
        raise FloatingPointError(
            f"the running loss of epoch {epoch} is {running_loss}: training diverged; "
            "a lower lr is the first remedy to try"
        )
    return running_loss


def bar(steps: range, progress: bool, unit: str = "epoch") -> Iterable[int]:
    """The numbers from 1 or later, under a bar where they take longer than two seconds."""
    if not progress:
        return steps
    from tqdm import tqdm  # plain text: no widget state in a saved notebook

    done = {"initial": steps.start - 1, "total": steps.stop - 1}
    return tqdm(steps, desc="fit", unit=unit, delay=2, leave=False, **done)


def empty_history(
    seed: int,
    watched: Mapping[str, Split],
    metrics: Mapping[str, Measure],
    early_stopping: EarlyStopping | None,
) -> History:
    measures = ["loss", *metrics]
    names = ["running_loss", *(f"{split}_{measure}" for split in watched for measure in measures)]
    history = History(seed, {name: [] for name in names})
    if early_stopping is not None:
        history.monitor, history.mode = early_stopping.monitor, str(early_stopping.mode)
    if history.monitor not in names:
        raise ValueError(f"monitor must be one of {', '.join(names)}, got {history.monitor!r}")
    return history
