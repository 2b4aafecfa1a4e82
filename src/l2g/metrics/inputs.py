"""What the metrics are given: each check returns what is computed with, or says why it cannot."""

import torch
from torch import Tensor

from l2g.numbers import whole_number


def precise(values: Tensor) -> Tensor:
    """In double precision where the device has it."""
    return values.float() if values.device.type == "mps" else values.double()


def shape(values: Tensor) -> str:
    return str(tuple(values.shape))


def alike(name: str, values: Tensor, targets_name: str, targets: Tensor) -> None:
    """Both are tensors of one shape, with at least one example."""
    for key, tensor in {name: values, targets_name: targets}.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{key} must be a torch.Tensor, got {type(tensor).__name__}")
    if values.shape != targets.shape:
        raise ValueError(
            f"{name} and {targets_name} must have equal shapes, got {shape(values)} and "
            f"{shape(targets)}"
        )
    if targets.numel() == 0 or targets.ndim == 0:
        raise ValueError(f"{targets_name} must hold at least one example, got {shape(targets)}")


def finite(name: str, values: Tensor) -> Tensor:
    """The numbers in double precision, none of them NaN or infinite."""
    if not isinstance(values, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(values).__name__}")
    if bad := int((~values.isfinite()).sum()):
        raise ValueError(f"{name} must be finite, got {bad} NaN or infinite numbers")
    return precise(values)


def zeros_and_ones(name: str, values: Tensor) -> Tensor:
    """The values in double precision, each of them 0 or 1."""
    values = finite(name, values)
    if bad := int(((values != 0) & (values != 1)).sum()):
        raise ValueError(f"{name} must hold zeros and ones only, got {bad} other values")
    return values


def class_indices(name: str, values: Tensor, classes: int) -> Tensor:
    """Whole numbers from 0 to ``classes`` − 1."""
    if values.is_floating_point() or values.is_complex():
        raise TypeError(f"{name} must hold integer class indices, got {values.dtype}")
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= classes:
        raise ValueError(f"{name} must lie in 0..{classes - 1}, got values from {low} to {high}")
    return values.long()


def decided(
    predictions: Tensor, targets: Tensor, classes: int | None
) -> tuple[Tensor, Tensor, int]:
    """Predicted and true classes, (N,), or decisions for each of several labels, (N, L)."""
    classes = None if classes is None else whole_number("classes", classes, least=2)
    if isinstance(predictions, Tensor) and predictions.is_floating_point():
        if predictions.ndim != 2 or not isinstance(targets, Tensor) or targets.ndim != 1:
            raise TypeError(
                "predictions must be classes, or logits (N, K) beside targets (N,); scores must be "
                f"decided first, as in scores >= 0.5, got {predictions.dtype} {shape(predictions)}"
            )
        if predictions.shape[1] < 2:
            raise ValueError(
                f"predictions must be logits of at least two classes, got {shape(predictions)}"
            )
        classes = classes or predictions.shape[1]
        predictions = finite("predictions", predictions).argmax(dim=1)
    alike("predictions", predictions, "targets", targets)
    if targets.ndim > 2:
        raise ValueError(f"targets must have shape (N,) or (N, L), got {shape(targets)}")
    if targets.ndim == 2:
        pair = zeros_and_ones("predictions", predictions), zeros_and_ones("targets", targets)
        return *pair, targets.shape[1]
    if classes is None:
        classes = max(2, int(predictions.max()) + 1, int(targets.max()) + 1)
    return (
        class_indices("predictions", predictions, classes),
        class_indices("targets", targets, classes),
        classes,
    )


def weights(sample_weight: Tensor | None, like: Tensor) -> Tensor:
    """The weight of each example, (N,): ones where none are given."""
    if sample_weight is None:
        return torch.ones_like(precise(like.reshape(len(like), -1)[:, 0]))
    weight = finite("sample_weight", sample_weight)
    if weight.shape != like.shape[:1]:
        raise ValueError(
            f"sample_weight must have shape ({len(like)},), one for each example, got "
            f"{shape(weight)}"
        )
    if (weight < 0).any() or weight.sum() == 0:
        raise ValueError("sample_weight must not be negative, nor 0 throughout")
    return weight
