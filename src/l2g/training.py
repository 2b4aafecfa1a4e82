"""The training loop of chapter 5: ``fit`` trains, ``evaluate`` measures."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l2g.checkpoint import Checkpoint, seeded
from l2g.checks import check_classes, check_model, check_roles, ready, whole_number
from l2g.data import Split, Splits, batches
from l2g.history import EarlyStopping, History, Hook
from l2g.losses import cross_entropy
from l2g.metrics import accuracy
from l2g.schedules.pace import Pace

__all__ = ["EarlyStopping", "History", "choose_device", "evaluate", "fit"]

Measure = Callable[[Tensor, Tensor], Tensor]
Transform = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def fit(
    model: nn.Module,
    splits: Splits,
    *,
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = torch.optim.Adam,
    loss: Measure = cross_entropy,
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

    ``seed`` fixes the order of the batches and the global generators inside the run (dropout), and
    leaves the caller's random state alone: on a CPU the same seed gives the same weights bit for
    bit. Afterwards the model is on ``device`` and in evaluation mode, as it is for the hooks.

    Args:
        optimizer: a factory, parameters → optimizer, e.g. ``partial(torch.optim.SGD, lr=0.1)``.
        loss: (outputs, targets) → scalar mean over the batch.
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
        metrics: name → (outputs, targets) → scalar mean over the batch; by default ``accuracy``
            where targets are integers.
        device: by default cuda, mps or cpu, the first there is.
        progress: show a bar over the epochs of runs longer than two seconds.

    Raises:
        TypeError: an argument has the wrong type, e.g. an optimizer in place of a factory.
        ValueError: an argument is out of range; data are empty, uneven, NaN or infinite; outputs
            and targets do not fit; the checkpoint is damaged or of another configuration.
        OSError: the checkpoint cannot be written.
        FloatingPointError: the running loss of an epoch is NaN or infinite.
    """
    epochs = whole_number("epochs", epochs, least=1)
    batch_size = whole_number("batch_size", batch_size, least=1)
    seed = whole_number("seed", seed, least=0)
    check_roles(model, optimizer, early_stopping, after_epoch)
    device = choose_device(device)
    train, val, measures = prepared(model, splits, loss, metrics, device)
    watched = {"train": train, "val": val} if eval_train else {"val": val}
    history = History(seed, empty_columns(watched, measures, early_stopping))
    optim = optimizer(model.parameters())
    pace = Pace(schedule, optim)
    generator = torch.Generator().manual_seed(seed)
    hooks = [hook for hook in (early_stopping, *after_epoch) if hook is not None]
    settings = dict(batch_size=batch_size, loss=loss, transform=transform, train=train, val=val)
    store = Checkpoint(checkpoint, model, optim, generator, [*hooks, pace.schedule], settings)

    with seeded(seed, device):
        history = store.start(history, epochs)
        left = bar(range(history.epochs + 1, epochs + 1), progress)
        for epoch in takewhile(lambda _: not history.stopped_early, left):
            started = time.perf_counter()
            model.train()
            total = zeros(device)
            for x, y in _drawn(train, batch_size, generator, transform):
                optim.zero_grad()
                batch_loss = measures["loss"](model(x), y)
                batch_loss.backward()
                optim.step()
                pace.after_batch()
                total += batch_loss.detach() * len(x)
            model.eval()
            curves = {"running_loss": _finite(total.item() / len(train.x), epoch)}
            curves |= _curves(model, watched, measures, batch_size)
            pace.after_epoch(curves["val_loss"])
            history.append(curves, time.perf_counter() - started)
            history.stopped_early = True in [bool(hook(history, model)) for hook in hooks]
            store.save(history)
    if early_stopping is not None:
        early_stopping.restore(model)
    model.eval()
    return history


def evaluate(
    model: nn.Module,
    split: Split,
    *,
    loss: Measure = cross_entropy,
    metrics: Mapping[str, Measure] | None = None,
    batch_size: int = 1024,
    device: str | torch.device | None = None,
) -> dict[str, float]:
    """Means over all examples of the loss and the metrics, in evaluation mode, without gradients.

    Every module is put back into the mode that it was in. Batches are weighted by their size, so
    the result does not depend on ``batch_size`` if the measures are means over examples.

    Args:
        loss, metrics: as for ``fit``.
        batch_size: examples per forward pass.
        device: where to compute; the model moves there. By default it stays where it is.

    Returns:
        ``{"loss": ..., "accuracy": ...}``: the loss under that name, each metric under its own.

    Raises:
        TypeError, ValueError: as ``fit``.
    """
    batch_size = whole_number("batch_size", batch_size, least=1)
    check_model(model)
    if device is None:
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
    device = choose_device(device)
    split = ready("split", split, device)
    measures = _measures(loss, metrics, split)
    model.to(device)
    check_outputs("split", model, split, measures)
    return _means(model, split, measures, batch_size)


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for, or else the first of cuda, mps and cpu that this machine has.

    Raises:
        ValueError: there is no such device here.
    """
    if device is None:
        mps = "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device("cuda" if torch.cuda.is_available() else mps)
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA: AssertionError
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device must be one of this machine, such as 'cpu', got {str(device)!r}: {reason}"
        ) from error


def _means(
    model: nn.Module, split: Split, measures: Mapping[str, Measure], batch_size: int
) -> dict[str, float]:
    totals = {name: zeros(split.x.device) for name in measures}
    with _evaluation_mode(model), torch.inference_mode():
        for x, y in batches(split, batch_size):
            outputs = model(x)
            for name, measure in measures.items():
                totals[name] += measure(outputs, y) * len(x)
    return {name: total.item() / len(split.x) for name, total in totals.items()}


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _drawn(
    train: Split, batch_size: int, generator: torch.Generator, transform: Transform | None
) -> Iterator[tuple[Tensor, Tensor]]:
    for x, y in batches(train, batch_size, generator=generator):
        yield transform(x, y) if transform else (x, y)


def _curves(
    model: nn.Module, watched: Mapping[str, Split], measures: Mapping[str, Measure], batch_size: int
) -> dict[str, float]:
    curves = {}
    for name, split in watched.items():
        # Large batches are faster, but those of large images must fit: 4 million numbers at most.
        size = max(batch_size, min(1024, 2**22 // max(1, split.x[0].numel())))
        for measure, mean in _means(model, split, measures, size).items():
            curves[f"{name}_{measure}"] = mean
    return curves


def zeros(device: torch.device, *shape: int) -> Tensor:
    """Sums that stay on the device, in double precision where the device has it."""
    dtype = torch.float32 if device.type == "mps" else torch.float64
    return torch.zeros(shape, dtype=dtype, device=device)


def prepared(
    model: nn.Module,
    splits: Splits,
    loss: Measure,
    metrics: Mapping[str, Measure] | None,
    device: torch.device,
) -> tuple[Split, Split, dict[str, Measure]]:
    """Model and data on the device, checked; the training and validation split, the measures."""
    train = ready("splits.train", splits.train, device)
    val = ready("splits.val", splits.val, device)
    measures = _measures(loss, metrics, train)
    model.to(device)
    with seeded(0, device):  # a forward pass may draw random numbers
        check_outputs("splits.train", model, train, measures)
        check_outputs("splits.val", model, val, measures)
    return train, val, measures


def _measures(
    loss: Measure, metrics: Mapping[str, Measure] | None, split: Split
) -> dict[str, Measure]:
    if metrics is None:
        metrics = {} if split.y.is_floating_point() else {"accuracy": accuracy}
    if "loss" in metrics:
        raise ValueError("metrics must not use the name 'loss', which stands for the loss itself")
    return {"loss": partial(_loss_or_nan, loss), **metrics}


def _loss_or_nan(loss: Measure, outputs: Tensor, targets: Tensor) -> Tensor:
    """Losses that refuse NaN would hide a divergence behind a message about one batch."""
    try:
        return loss(outputs, targets)
    except ValueError:
        if not (outputs.isnan() | outputs.isposinf()).any():
            raise
        return outputs.sum() * math.nan


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


def empty_columns(
    watched: Mapping[str, Split], measures: Mapping[str, Measure], early_stopping: Any
) -> dict[str, list[float]]:
    names = ["running_loss", *(f"{split}_{measure}" for split in watched for measure in measures)]
    if early_stopping is not None and early_stopping.monitor not in names:
        raise ValueError(
            f"monitor must be one of {', '.join(names)}, got {early_stopping.monitor!r}"
        )
    return {name: [] for name in names}


def check_outputs(
    name: str, model: nn.Module, split: Split, measures: Mapping[str, Measure]
) -> None:
    """Try model and measures on two examples, and look at the range of all targets."""
    x, y = next(batches(Split(split.x[:2], split.y[:2]), 2))
    with _evaluation_mode(model), torch.no_grad():
        outputs = model(x)
        shapes = f"{name}: model turns x {_shape(x)} into {_shape(outputs)}, y is {_shape(y)}"
        if not isinstance(outputs, Tensor) or outputs.shape[:1] != x.shape[:1]:
            raise ValueError(f"{shapes}; expected one row of outputs per example")
        if y.is_floating_point() and outputs.numel() == y.numel() and outputs.shape != y.shape:
            raise ValueError(f"{shapes}; expected equal shapes, which do not broadcast")
        if accuracy in measures.values() and outputs.ndim > 1:
            check_classes(name, split.y, outputs.shape[1])
        for key, measure in measures.items():
            if torch.as_tensor(measure(outputs, y)).ndim:
                raise ValueError(f"{key} must return one number, the mean over the batch")


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
