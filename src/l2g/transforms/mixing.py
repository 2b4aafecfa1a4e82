"""Targets and images that are mixtures: label smoothing, mixup and CutMix, on a batch at once.

Each is a transform for ``fit``: called with a batch (x, y) it returns the new batch, whose targets
are probabilities (N, K), as ``l2g.losses.cross_entropy`` takes them. It takes class indices (N,) of
any integer dtype, or probabilities (N, K), such as another of these transforms returns: they are
mixed as they are. One λ is drawn for each batch, from the global generator, which ``fit`` seeds.

All of them raise a TypeError for tensors of a wrong dtype and for options that are no numbers, and
a ValueError for wrong shapes and for numbers out of range; class indices are compared with
``classes`` on the CPU only, as looking at them would stall an accelerator.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from l2g.numbers import above_zero, in_unit_interval, whole_number
from l2g.transforms.inputs import (
    check_images,
    check_mixable,
    probabilities,
)


@dataclass(frozen=True)
class SmoothLabels:
    """(1 − ε) of the target stays, ε is spread evenly over all K classes. x is of any shape.

    Source: Szegedy et al. (2016), "Rethinking the Inception architecture", section 7.
    """

    classes: int
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        whole_number("classes", self.classes, 1)
        in_unit_interval("epsilon", self.epsilon)

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        q = probabilities(y, self.classes, x)
        return x, (1 - self.epsilon) * q + self.epsilon / self.classes


@dataclass(frozen=True)
class Mixup:
    """λ of one example and 1 − λ of another, in the inputs and in the targets; λ ~ Beta(α, α).

    The inputs x are floating-point, of any shape (N, ...).

    Source: Zhang et al. (2018), "mixup: beyond empirical risk minimization".
    """

    classes: int
    alpha: float = 0.2

    def __post_init__(self) -> None:
        whole_number("classes", self.classes, 1)
        above_zero("alpha", self.alpha)

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        check_mixable(x)
        q = probabilities(y, self.classes, x)
        lam, partner = _share(self.alpha), torch.randperm(len(x), device=x.device)
        return lam * x + (1 - lam) * x[partner], lam * q + (1 - lam) * q[partner]


@dataclass(frozen=True)
class CutMix:
    """A rectangle of one image pasted into another; targets mix by the area that was pasted.

    The box has the share 1 − λ of the image, λ ~ Beta(α, α), and is clipped at the border; the
    targets use what is left of it. The images x have the shape (N, C, H, W); their dtype stays.

    Source: Yun et al. (2019), "CutMix: regularization strategy to train strong classifiers".
    """

    classes: int
    alpha: float = 1.0

    def __post_init__(self) -> None:
        whole_number("classes", self.classes, 1)
        above_zero("alpha", self.alpha)

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        check_images(x)
        q = probabilities(y, self.classes, x)
        height, width = x.shape[2:]
        side, partner = math.sqrt(1 - _share(self.alpha)), torch.randperm(len(x), device=x.device)
        rows, columns = _window(height, side), _window(width, side)
        mixed = x.clone()
        mixed[..., rows, columns] = x[partner][..., rows, columns]
        pasted = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        return mixed, (1 - pasted) * q + pasted * q[partner]


def _share(alpha: float) -> float:
    return torch.distributions.Beta(float(alpha), float(alpha)).sample().item()


def _window(size: int, side: float) -> slice:
    """A window of ``side`` times the size around a random centre, clipped at both ends."""
    centre, half = torch.randint(size, ()).item(), int(size * side) // 2
    return slice(max(0, centre - half), min(size, centre + half))
