"""Networks small enough to read, a perceptron and the CNN of the study, and one trained already."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from l2g.models.imagenet import Pretrained, freeze, pretrained
from l2g.numbers import whole_number

__all__ = ["Pretrained", "TinyConvNet", "freeze", "mlp", "pretrained"]


def mlp(
    sizes: Sequence[int],
    *,
    activation: Callable[[], nn.Module] = nn.ReLU,
    seed: int | None = None,
) -> nn.Sequential:
    """A multilayer perceptron that returns logits: no activation after the last layer.

    Args:
        sizes: widths from input to output, e.g. ``(64, 128, 10)``. Inputs are flattened, so
            images of 8×8 pixels enter a first layer of 64.
        activation: makes the activation between two linear layers.
        seed: draws the initial weights (PyTorch's default initialization) without touching the
            global random state; ``None`` draws from the global state.

    Raises:
        TypeError: a size is no whole number.
        ValueError: fewer than two sizes, or a size below 1.
    """
    sizes = tuple(whole_number(f"sizes[{i}]", size, least=1) for i, size in enumerate(sizes))
    if len(sizes) < 2:
        raise ValueError(f"sizes must be at least two, of inputs and outputs, got {sizes}")

    def build() -> nn.Sequential:
        layers: list[nn.Module] = [nn.Flatten()]
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), activation()]
        return nn.Sequential(*layers[:-1])

    return _with_seed(build, seed)


class TinyConvNet(nn.Module):
    """Three strided convolutions and a linear head: 44,548 parameters at the default sizes.

    Block i is Conv2d(kernel 4, stride 2, padding 1, no bias) → ``norm`` → LeakyReLU(0.2) →
    ``drop``, with 6, 12 and 24 channels; each block halves height and width. The head is linear
    and returns logits (N, n_classes) unless ``output`` adds a layer.

    Args:
        n_classes: number of classes K.
        in_shape: (C, H, W) of one image; H and W at least 8.
        norm: makes a normalization layer from a number of channels, e.g. ``nn.BatchNorm2d``.
        drop: makes a layer that follows each activation, e.g. ``lambda: nn.Dropout(0.5)``.
        head_drop: makes a layer between the flattened features and the linear head.
        output: makes a last layer, e.g. ``nn.Sigmoid`` to reproduce a classic mistake.
        seed: draws the initial weights without touching the global random state.

    Raises:
        TypeError: a size is no whole number.
        ValueError: ``n_classes`` below 1, or an image too small for three halvings.
    """

    def __init__(
        self,
        n_classes: int = 100,
        *,
        in_shape: tuple[int, int, int] = (3, 32, 32),
        norm: Callable[[int], nn.Module] | None = None,
        drop: Callable[[], nn.Module] | None = None,
        head_drop: Callable[[], nn.Module] | None = None,
        output: Callable[[], nn.Module] | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        n_classes = whole_number("n_classes", n_classes, least=1)
        sizes = tuple(whole_number(f"in_shape[{i}]", size) for i, size in enumerate(in_shape))
        if len(sizes) != 3 or sizes[0] < 1 or min(sizes[1:]) < 8:
            raise ValueError(f"in_shape must be (C, H, W) with H and W at least 8, got {in_shape}")
        channels, height, width = sizes

        def build() -> nn.Sequential:
            layers: list[nn.Module] = []
            for c_in, c_out in [(channels, 6), (6, 12), (12, 24)]:
                layers.append(nn.Conv2d(c_in, c_out, 4, stride=2, padding=1, bias=False))
                layers += [norm(c_out)] if norm else []
                layers.append(nn.LeakyReLU(0.2))
                layers += [drop()] if drop else []
            layers += [nn.Flatten(), *([head_drop()] if head_drop else [])]
            layers.append(nn.Linear(24 * (height // 8) * (width // 8), n_classes))
            layers += [output()] if output else []
            return nn.Sequential(*layers)

        self.layers = _with_seed(build, seed)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) float → (N, n_classes)."""
        return self.layers(x)


def _with_seed(build: Callable[[], nn.Sequential], seed: int | None) -> nn.Sequential:
    if seed is None:
        return build()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
