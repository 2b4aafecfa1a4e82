"""The runs of a population: what each of them is made of, checked before any of them starts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn

from l2g.checkpoint import seeded
from l2g.checks import check_model
from l2g.data import Split
from l2g.evaluation import check_outputs
from l2g.history import EarlyStopping, History, Hook
from l2g.metrics import Measure
from l2g.numbers import whole_number
from l2g.training import Groups, Penalty, Transform, check_last_batch, learning_modules


@dataclass
class Run:
    """One run of a population: its network, what it trains on and with, and what came of it."""

    seed: int
    model: nn.Module
    optimizer: Callable[[Iterable[Any]], torch.optim.Optimizer]
    options: Mapping[str, Any]  # what sets its optimizer apart from those of the other runs
    strengths: Mapping[str, Any]  # what sets its penalty apart
    learning: Sequence[str]  # names of the modules that train in training mode
    train: Tensor  # indices (n,) into the training split
    val: Tensor
    targets: Tensor | None  # (N, ...) in place of those of the training split
    stopping: EarlyStopping | None
    history: History


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the runs of a population have in common: the data, and options of ``fit`` by name."""

    train: Split
    val: Split
    groups: Groups | None
    loss: Measure
    penalty: Penalty
    metrics: Mapping[str, Measure]
    epochs: int
    batch_size: int
    schedule: Callable[[Any], Any] | None
    transform: Transform | None
    eval_train: bool
    after_epoch: Sequence[Hook]
    device: torch.device
    progress: bool

    def options_of_fit(self) -> dict[str, Any]:
        """The options that every single run is trained with."""
        own = ("train", "val", "penalty", "after_epoch", "progress")
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in own}


def seeds_of(runs: int | Sequence[int]) -> list[int]:
    if not isinstance(runs, Iterable):
        return list(range(whole_number("runs", runs, least=1)))
    seeds = [whole_number("runs", seed, least=0) for seed in runs]
    if not seeds:
        raise ValueError("runs must hold at least one seed, got none")
    return seeds


def routed(
    hyper: Mapping[str, Sequence[Any]], count: int, *takers: Callable[..., Any]
) -> list[list[dict[str, Any]]]:
    """For each taker the options of each run: a name goes to the first that has it as a parameter.

    The last taker, ``make_model``, may take any name by ``**``.
    """
    options: list[list[dict[str, Any]]] = [[{} for _ in range(count)] for _ in takers]
    for name, given in hyper.items():
        values = given.tolist() if hasattr(given, "tolist") else given
        if not isinstance(values, list | tuple) or len(values) != count:
            raise ValueError(
                f"hyper[{name!r}] must hold one value for each of the {count} runs, got {given!r}"
            )
        known = [signature(taker).parameters for taker in takers]
        anything = any(p.kind is Parameter.VAR_KEYWORD for p in known[-1].values())
        having = [i for i, parameters in enumerate(known) if name in parameters]
        if not having and not anything:
            raise ValueError(
                f"hyper: neither optimizer nor penalty nor make_model has a parameter {name!r}"
            )
        for own, value in zip(options[having[0] if having else -1], values, strict=True):
            own[name] = value
    return options


def built(
    make_model: Callable[..., nn.Module], seed: int, options: dict[str, Any]
) -> tuple[nn.Module, list[str]]:
    """A network in evaluation mode, and the names of its modules that learn in training mode."""
    if isinstance(make_model, nn.Module) or not callable(make_model):
        raise TypeError(
            f"make_model must build a network from seed=..., got {type(make_model).__name__}"
        )
    with seeded(seed, torch.device("cpu")):
        model = make_model(seed=seed, **options)
    check_model(model)
    learning = set(learning_modules(model))
    names = [name for name, module in model.named_modules() if module in learning]
    return model.eval(), names


def set_modes(model: nn.Module, learning: Sequence[str]) -> None:
    """Training mode for the modules of these names, evaluation mode for all others."""
    for name, module in model.named_modules():
        module.training = name in learning


def of_one_shape(models: Sequence[nn.Module]) -> Sequence[nn.Module]:
    if len({id(model) for model in models}) < len(models):
        raise ValueError("make_model must build a new network for every run, not return one twice")
    first, *others = [
        {name: (*tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}
        for model in models
    ]
    for r, other in enumerate(others, start=1):
        for name in {**first, **other}:
            if first.get(name) != other.get(name):
                raise ValueError(
                    f"make_model must build networks of one shape, but {name} is "
                    f"{first.get(name)} in run 0 and {other.get(name)} in run {r}"
                )
    return models


def indices(name: str, given: Sequence[Any] | None, count: int, n: int) -> list[Tensor]:
    if given is None:
        return [torch.arange(n)] * count
    if len(given) != count:
        raise ValueError(f"{name} must hold indices for each of the {count} runs, got {len(given)}")
    found = [torch.as_tensor(index).cpu() for index in given]
    for r, index in enumerate(found):
        if index.numel() == 0:
            raise ValueError(f"{name}[{r}] must hold at least one index, got none")
        if index.ndim != 1 or index.dtype.is_floating_point or index.dtype == torch.bool:
            raise TypeError(f"{name}[{r}] must be a sequence of integers, got {given[r]!r}")
        if index.min() < 0 or index.max() >= n:
            spread = f"{index.min()} to {index.max()}"
            raise ValueError(f"{name}[{r}] must hold indices in 0..{n - 1}, got {spread}")
    return [index.long() for index in found]


def check_last_batches(
    model: nn.Module, learning: Sequence[str], x: Tensor, orders: Sequence[Tensor], batch_size: int
) -> None:
    """``check_last_batch`` for every number of examples that runs have, in the modes they train."""
    set_modes(model, learning)
    for n in sorted({len(order) for order in orders}):
        check_last_batch(model, x, n, batch_size)
    model.eval()


def own_targets(
    targets: Tensor | None, count: int, model: nn.Module, plan: Plan
) -> Sequence[Tensor | None]:
    if targets is None:
        return [None] * count
    expected = (count, *plan.train.y.shape)
    if not isinstance(targets, Tensor) or targets.shape != expected:
        got = getattr(targets, "shape", type(targets).__name__)
        raise ValueError(f"targets must be a tensor of shape {expected}, got {got}")
    targets = targets.to(plan.device)
    every = Split(plan.train.x, targets.flatten(0, 1))
    check_outputs("targets", model, every, plan.loss, plan.metrics)
    return targets.unbind()
