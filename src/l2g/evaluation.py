"""What a network does on a split: all its outputs, its loss, its metrics (chapters 5 and 8)."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from l2g.checkpoint import seeded
from l2g.checks import check_classes, check_model, ready
from l2g.data import Split, Splits, batches
from l2g.losses import cross_entropy
from l2g.metrics import Measure, accuracy
from l2g.numbers import whole_number

__all__ = ["choose_device", "evaluate", "predict"]


def predict(
    model: nn.Module,
    split: Split,
    *,
    batch_size: int = 1024,
    device: str | torch.device | None = None,
) -> Tensor:
    """All outputs of ``model`` on a split, (N, ...), in its order: evaluation mode, no gradients.

    Args:
        split: its x is what the model sees, (N, ...); y is not used.
        batch_size: examples per forward pass; the outputs do not depend on it.
        device: where to compute; the model moves there. By default it stays where it is.

    Raises:
        TypeError, ValueError: as ``fit``.
    """
    batch_size = whole_number("batch_size", batch_size, least=1)
    device = _home(model, device)
    split = ready("split", split, device)
    model.to(device)
    outputs_of("split", model, split)
    with evaluation_mode(model), torch.no_grad():
        return torch.cat([model(x) for x, _ in batches(split, batch_size)])


def evaluate(
    model: nn.Module,
    split: Split,
    *,
    loss: Measure = cross_entropy,
    metrics: Mapping[str, Measure] | None = None,
    batch_size: int = 1024,
    device: str | torch.device | None = None,
) -> dict[str, float]:
    """The loss and the metrics of ``model`` on a split, in evaluation mode, without gradients.

    The loss is the mean over all examples. Each metric sees the outputs and targets of all
    examples at once. So neither depends on ``batch_size``. Every module is put back into the mode
    that it was in.

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
    device = _home(model, device)
    split = ready("split", split, device)
    loss, metrics = partial(_loss_or_nan, loss), metrics_for(metrics, split)
    model.to(device)
    check_outputs("split", model, split, loss, metrics)
    return measured(model, split, loss, metrics, batch_size)


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


def _home(model: nn.Module, device: str | torch.device | None) -> torch.device:
    """The device asked for, or else the one that holds the model."""
    check_model(model)
    if device is None:
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
    return choose_device(device)


def measured(
    model: nn.Module,
    split: Split,
    loss: Measure,
    metrics: Mapping[str, Measure],
    batch_size: int,
) -> dict[str, float]:
    """The mean loss, over batches weighted by their size, and the metrics of all outputs."""
    total, outputs = zeros(split.x.device), []
    with evaluation_mode(model), torch.inference_mode():
        for x, y in batches(split, batch_size):
            output = model(x)
            total += loss(output, y) * len(x)
            if metrics:
                outputs.append(output)
        found = {"loss": total.item() / len(split.x)}
        if metrics:
            every = torch.cat(outputs)
            found |= {name: float(metric(every, split.y)) for name, metric in metrics.items()}
    return found


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode; afterwards each is in the mode that it was in."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def zeros(device: torch.device, *shape: int) -> Tensor:
    """Sums that stay on the device, in double precision where the device has it."""
    dtype = torch.float32 if device.type == "mps" else torch.float64
    return torch.zeros(shape, dtype=dtype, device=device)


# --- Checked before anything is trained or measured -----------------------------------------------


def prepare(
    model: nn.Module,
    splits: Splits,
    loss: Measure,
    metrics: Mapping[str, Measure] | None,
    device: torch.device,
) -> tuple[Split, Split, Measure, dict[str, Measure]]:
    """Model and data on the device, checked: training and validation split, loss and metrics."""
    train = ready("splits.train", splits.train, device)
    val = ready("splits.val", splits.val, device)
    loss, metrics = partial(_loss_or_nan, loss), metrics_for(metrics, train)
    model.to(device)
    with seeded(0, device):  # a forward pass may draw random numbers
        check_outputs("splits.train", model, train, loss, metrics)
        check_outputs("splits.val", model, val, loss, metrics)
    return train, val, loss, metrics


def metrics_for(metrics: Mapping[str, Measure] | None, split: Split) -> dict[str, Measure]:
    """The metrics asked for, or else accuracy where targets are integers."""
    if metrics is None:
        metrics = {} if split.y.is_floating_point() else {"accuracy": accuracy}
    if "loss" in metrics:
        raise ValueError("metrics must not use the name 'loss', which stands for the loss itself")
    return dict(metrics)


def _loss_or_nan(loss: Measure, outputs: Tensor, targets: Tensor) -> Tensor:
    """Losses that refuse NaN would hide a divergence behind a message about one batch."""
    try:
        return loss(outputs, targets)
    except ValueError:
        if not (outputs.isnan() | outputs.isposinf()).any():
            raise
        return outputs.sum() * math.nan


def check_outputs(
    name: str,
    model: nn.Module,
    split: Split,
    loss: Measure,
    metrics: Mapping[str, Measure],
) -> None:
    """Try model, loss and metrics on two examples, and look at the range of all targets."""
    few = Split(split.x[:2], split.y[:2])
    outputs, y = outputs_of(name, model, few), few.y
    if y.is_floating_point() and outputs.numel() == y.numel() and outputs.shape != y.shape:
        raise ValueError(
            f"{name}: model turns x {_shape(few.x)} into {_shape(outputs)}, y is {_shape(y)}; "
            "expected equal shapes, which do not broadcast"
        )
    if accuracy in metrics.values() and outputs.ndim > 1:
        check_classes(name, split.y, outputs.shape[1])
    for key, measure in {"loss": loss, **metrics}.items():
        value = _tried(measure, outputs, y) if key in metrics else loss(outputs, y)
        if value is None:  # two examples are too few for some metrics: then try on all
            value = measure(predict(model, split), split.y)
        if torch.as_tensor(value).ndim:
            what = "the mean over the batch" if key == "loss" else "for all outputs and targets"
            raise ValueError(f"{key} must return one number, {what}")


def _tried(metric: Measure, outputs: Tensor, targets: Tensor) -> Tensor | None:
    try:
        return metric(outputs, targets)
    except Exception:
        return None


def outputs_of(name: str, model: nn.Module, split: Split) -> Tensor:
    """The outputs for the first two examples, checked: one row for each."""
    x, y = next(batches(Split(split.x[:2], split.y[:2]), 2))
    with evaluation_mode(model), torch.no_grad():
        try:
            outputs = model(x)
        except RuntimeError as error:
            own = {p.dtype for p in model.parameters() if p.is_floating_point()}
            if x.is_floating_point() and own and x.dtype not in own:
                raise TypeError(
                    f"{name}.x is {_plain(x.dtype)}, but the model's parameters are "
                    f"{', '.join(sorted(map(_plain, own)))}: convert one of them, e.g. with "
                    f"model.to({x.dtype}) or x.to({next(iter(own))})"
                ) from error
            raise
    if not isinstance(outputs, Tensor) or outputs.shape[:1] != x.shape[:1]:
        raise ValueError(
            f"{name}: model turns x {_shape(x)} into {_shape(outputs)}, y is {_shape(y)}; "
            "expected one row of outputs per example"
        )
    return outputs


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
