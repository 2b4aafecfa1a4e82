"""What `gpu.py` computes on the device and on the CPU: functions from a device to tensors."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

from l2g import data, fit, fit_many, layers, losses, metrics, models, optim, penalties
from l2g.data import Split, Splits
from l2g.history import EarlyStopping, History
from l2g.schedules import CosineAnnealingLR
from l2g.transforms import SmoothLabels

Results = Sequence[Tensor]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- Losses, layers, optimizers -------------------------------------------------------------------


def loss(device: torch.device) -> Results:
    logits, indices = 9 * drawn(40, 10).to(device), torch.arange(40, device=device) % 10
    soft, weight = drawn(40, 10, seed=1).softmax(1).to(device), torch.arange(10.0, device=device)
    options = [{}, {"label_smoothing": 0.1}, {"weight": weight}, {"ignore_index": 3}]
    cases = [(indices, each) for each in options] + [(soft, each) for each in options[:3]]
    found = []
    for targets, each in cases:
        leaf = logits.clone().requires_grad_()
        value = losses.cross_entropy(leaf, targets, **each)
        found += [value, *torch.autograd.grad(value, leaf)]
    return found


def metric(device: torch.device) -> Results:
    """One of each kind: of decisions, of rankings, of numbers and of probabilities."""
    logits = drawn(60, 3).to(device)
    classes = torch.arange(60, device=device) % 3
    scores, hits = logits[:, 0].round(decimals=1), classes % 2  # with ties
    queries, grades = logits.reshape(12, 15), classes.reshape(12, 5).repeat(1, 3)
    return [
        metrics.confusion_matrix(logits, classes),
        metrics.f1(logits, classes, average="macro"),
        *metrics.roc_curve(scores, hits)[:2],
        metrics.auc(logits, classes),
        metrics.average_precision(scores, hits),
        metrics.ndcg(queries, grades),
        metrics.r2(logits[:, 0], logits[:, 1]),
        metrics.ece(logits.softmax(dim=1), classes),
    ]


class ByHand(nn.Module):
    """Batch normalization with the backward pass of chapter 18."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(drawn(8)), nn.Parameter(drawn(8, seed=1))

    def forward(self, x: Tensor) -> Tensor:
        return layers.BatchNormFunction.apply(x, self.weight, self.bias, 1e-5)


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "BatchNorm1d": (partial(layers.BatchNorm1d, 8), (16, 8)),
    "BatchNorm2d": (partial(layers.BatchNorm2d, 3), (4, 3, 5, 5)),
    "BatchNormFunction": (ByHand, (16, 8)),
    "DropConnect": (partial(layers.DropConnect, 8, 4), (16, 8)),
    "DropPath": (layers.DropPath, (16, 8)),
    "Dropout": (layers.Dropout, (16, 8)),
    "Dropout2d": (layers.Dropout2d, (4, 3, 5, 5)),
    "LayerNorm": (partial(layers.LayerNorm, 8), (16, 8)),
}


def mask_of_the_cpu(shape: Sequence[int], p: float, like: Tensor) -> Tensor:
    """Generators of different devices draw different numbers: here all get those of the CPU."""
    return layers.mask(shape, p, like.cpu()).to(like.device)


def layer(name: str, device: torch.device) -> Results:
    """Outputs, gradients, and what the layer has kept, in training; then outputs in evaluation."""
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    module, x = make().double().to(device), drawn(*shape).to(device).requires_grad_()
    with mock.patch("l2g.layers.dropout.mask", mask_of_the_cpu):
        y = module(x)
    y.backward(drawn(*y.shape, seed=1).to(device))
    gradients = [x.grad, *(p.grad for p in module.parameters())]
    return [y, *gradients, *module.state_dict().values(), module.eval()(x)]


def share_dropped(device: torch.device) -> Results:
    """What the device's own generator drops, of a million."""
    dropped = layers.mask((1_000_000,), 0.3, torch.zeros(1, device=device)) == 0
    return [dropped.double().mean()]


OPTIMIZERS = [name for name in optim.__all__ if name not in ("Optimizer", "optimizer_for")]


def optimizer(name: str, device: torch.device) -> Results:
    """Weights after 50 steps, and all that the optimizer remembers of them."""
    model = models.mlp((5, 8, 3), activation=nn.Tanh, seed=0).double().to(device)
    x, y = drawn(20, 5).to(device), torch.arange(20, device=device) % 3
    steps = getattr(optim, name)(model.parameters(), lr=0.01, weight_decay=0.01)
    for _ in range(50):
        steps.zero_grad()
        losses.cross_entropy(model(x), y).backward()
        steps.step()
    kept = [value for state in steps.state.values() for value in state.values()]
    return [*model.parameters(), *map(torch.as_tensor, kept)]


# --- Whole runs -----------------------------------------------------------------------------------


def network(seed: int, *, noisy: bool = False) -> nn.Sequential:
    first = nn.Linear(64, 32, bias=False)  # the gradient of a bias would be rounding and no more
    with torch.no_grad():
        first.weight.copy_(drawn(32, 64, seed=seed) / 8)
    hidden = [layers.BatchNorm1d(32), nn.ReLU(), layers.Dropout(0.2 if noisy else 0.0)]
    return nn.Sequential(nn.Flatten(), first, *hidden, *models.mlp((32, 10), seed=seed)).double()


def numbers(history: History, trained: Sequence[nn.Module]) -> Results:
    """All curves, and all that the networks hold."""
    weights = [value for model in trained for value in model.state_dict().values()]
    return [*(torch.from_numpy(history[name]) for name in history.columns), *weights]


class Runs:
    """Runs on some of the digits, each the same on every device up to rounding."""

    def __init__(self, examples: int, epochs: int) -> None:
        digits = data.load("digits")
        parts = [Split(s.x[:examples].double(), s.y[:examples]) for s in (digits.train, digits.val)]
        self.splits, self.epochs = Splits(*parts, parts[1], "digits"), epochs
        steps = epochs * -(-len(parts[0].x) // 32)
        self.common = {
            "epochs": epochs,
            "batch_size": 32,
            "schedule": partial(CosineAnnealingLR, T_max=steps),
            "progress": False,
        }

    def fit(self, device: torch.device, **options: object) -> Results:
        model = options.pop("model", None) or network(0)
        common = self.common | {"optimizer": partial(optim.Adam, lr=0.01), "seed": 0}
        history = fit(model, self.splits, **common | options, device=device)
        return numbers(history, [model])

    def with_everything(self, device: torch.device) -> Results:
        return self.fit(
            device,
            optimizer=partial(optim.Momentum, lr=0.05),
            groups=partial(penalties.parameter_groups, weight_decay=0.01),
            penalty=lambda model: 1e-4 * penalties.l1(model),
            transform=SmoothLabels(10),
            early_stopping=EarlyStopping(patience=self.epochs),
        )

    def convolutions(self, device: torch.device) -> Results:
        model = models.TinyConvNet(10, in_shape=(1, 8, 8), norm=layers.BatchNorm2d, seed=0)
        return self.fit(device, model=model.double())

    def many(self, stack: bool, device: torch.device) -> Results:
        history = fit_many(
            network,
            self.splits,
            runs=4,
            optimizer=optim.Adam,
            penalty=lambda model, strength: strength * penalties.l2(model),
            hyper={"lr": [0.02, 0.01, 0.005, 0.002], "strength": [0.0, 1e-4, 1e-3, 1e-2]},
            stack=stack,
            device=device,
            **self.common,
        )
        return numbers(history, history.models)

    def resumed(self, first: torch.device | None, noisy: bool, device: torch.device) -> Results:
        """Interrupted after one epoch, on ``first`` if given; then from its checkpoint."""
        with tempfile.TemporaryDirectory() as folder:
            here = {"checkpoint": Path(folder) / "run.pt"}
            self.fit(first or device, model=network(0, noisy=noisy), epochs=1, **here)
            return self.fit(device, model=network(0, noisy=noisy), **here)

    def mixed(self, dtype: torch.dtype | None, device: torch.device) -> Results:
        """The running and the validation loss of a network that computes in ``dtype``."""
        model = Mixed(network(0).float(), dtype)
        single = [Split(s.x.float(), s.y) for s in (self.splits.train, self.splits.val)]
        splits = Splits(*single, single[1], "digits")
        common = self.common | {"optimizer": partial(optim.Adam, lr=0.01), "seed": 0}
        history = fit(model, splits, **common, device=device)
        return [torch.from_numpy(history[name]) for name in ("running_loss", "val_loss")]


# --- Mixed precision ------------------------------------------------------------------------------


class Mixed(nn.Module):
    """A network that computes under autocast; its weights stay in single precision."""

    def __init__(self, network: nn.Module, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.network, self.dtype = network, dtype

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, self.dtype, enabled=self.dtype is not None):
            return self.network(x).float()


def scaled(dtype: torch.dtype | None, device: torch.device) -> Results:
    """Losses of 20 steps with PyTorch's scaler of gradients, which half precision needs."""
    model = network(0).float().to(device)
    x, y = drawn(64, 64).float().to(device), torch.arange(64, device=device) % 10
    steps = optim.Adam(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype is not None, init_scale=1024.0)
    found = []
    for _ in range(20):
        steps.zero_grad()
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            value = losses.cross_entropy(model(x), y)
        scaler.scale(value).backward()
        scaler.step(steps)
        scaler.update()
        found.append(value.detach())
    return found
