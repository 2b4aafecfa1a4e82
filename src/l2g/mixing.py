"""Targets and images that are mixtures: label smoothing, mixup and CutMix, on a batch at once.

Each is a transform for ``fit``: called with a batch (x, y) it returns the new batch, whose targets
are probabilities (N, K), as ``torch.nn.functional.cross_entropy`` takes them. One λ is drawn for
each batch, from the global generator, which ``fit`` seeds.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class SmoothLabels:
    """(1 − ε) of the target stays, ε is spread evenly over all K classes.

    Source: Szegedy et al. (2016), "Rethinking the Inception architecture", section 7.
    """

    classes: int
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        _between("epsilon", self.epsilon)

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        hard = F.one_hot(y, self.classes).to(x.dtype)
        return x, (1 - self.epsilon) * hard + self.epsilon / self.classes


@dataclass(frozen=True)
class Mixup:
    """λ of one image and 1 − λ of another, in the pixels and in the targets; λ ~ Beta(α, α).

    Source: Zhang et al. (2018), "mixup: beyond empirical risk minimization".
    """

    classes: int
    alpha: float = 0.2

    def __post_init__(self) -> None:
        _above_zero("alpha", self.alpha)

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        lam, partner = _share(self.alpha), torch.randperm(len(x), device=x.device)
        hard = F.one_hot(y, self.classes).to(x.dtype)
        return lam * x + (1 - lam) * x[partner], lam * hard + (1 - lam) * hard[partner]


@dataclass(frozen=True)
class CutMix:
    """A rectangle of one image pasted into another; targets mix by the area that was pasted.

    The box has the share 1 − λ of the image, λ ~ Beta(α, α), and is clipped at the border; the
    targets use what is left of it.

    Source: Yun et al. (2019), "CutMix: regularization strategy to train strong classifiers".
    """

    classes: int
    alpha: float = 1.0

    def __post_init__(self) -> None:
        _above_zero("alpha", self.alpha)

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        height, width = x.shape[-2:]
        side, partner = math.sqrt(1 - _share(self.alpha)), torch.randperm(len(x), device=x.device)
        rows, columns = _window(height, side), _window(width, side)
        mixed = x.clone()
        mixed[..., rows, columns] = x[partner][..., rows, columns]
        pasted = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        hard = F.one_hot(y, self.classes).to(x.dtype)
        return mixed, (1 - pasted) * hard + pasted * hard[partner]


def _share(alpha: float) -> float:
    return torch.distributions.Beta(alpha, alpha).sample().item()


def _window(size: int, side: float) -> slice:
    """A window of ``side`` times the size around a random centre, clipped at both ends."""
    centre, half = torch.randint(size, ()).item(), int(size * side) // 2
    return slice(max(0, centre - half), min(size, centre + half))


def _between(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")


def _above_zero(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0 and finite, got {value!r}")
