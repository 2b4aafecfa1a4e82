"""Population training: R networks of one architecture for little more than the price of one.

Everything is a run: a seed, a fold, a bootstrap draw, a learning rate. ``fit_many`` trains all the
runs of an experiment and returns one ``History`` with a run axis.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.flop_counter import FlopCounterMode

from l2g.checkpoint import seeded
from l2g.checks import check_roles
from l2g.data import Splits, to_float
from l2g.describe import describe
from l2g.evaluation import choose_device, prepare
from l2g.history import EarlyStopping, History, Hook
from l2g.losses import cross_entropy
from l2g.metrics import Measure
from l2g.numbers import whole_number
from l2g.optim import optimizer_for
from l2g.population.apart import train_apart
from l2g.population.memory import require_memory, stack_bytes, weight_bytes
from l2g.population.runs import (
    Plan,
    Run,
    built,
    check_last_batches,
    indices,
    of_one_shape,
    own_targets,
    routed,
    seeds_of,
)
from l2g.population.stack import Stack, train_together
from l2g.schedules.pace import Pace
from l2g.training import (
    Groups,
    Penalty,
    Transform,
    empty_history,
    no_penalty,
)

__all__ = ["fit_many"]

# The fewest runs whose stack is faster than one run after another: what torch.vmap adds to a step
# has to be earned. Measured on one thread with an MLP 64-64-10 and with TinyConvNet at 8×8 pixels:
# a stack of two runs is 0.8 and 1.0 times as fast, of three 1.1 and 1.2, of four 1.4 and 1.6. It
# does not go by the number of threads, lest what a network with dropout draws should.
FEWEST_STACKED = 3

# Floating-point operations in the forward pass of one run's batch up to which a stack of
# convolutions, which PyTorch computes in groups, is faster on a CPU. Measured with TinyConvNet,
# against one run after another on one thread and against processes on two: at 7 million 1.2 and
# 1.5 times as fast, at 14 million 0.9 and 1.1, at 28 million 0.7 and 0.9.
STACKED_CONVOLUTIONS = 8e6


def fit_many(
    make_model: Callable[..., nn.Module],
    splits: Splits,
    *,
    runs: int | Sequence[int],
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    groups: Groups | None = None,
    loss: Measure = cross_entropy,
    penalty: Penalty = no_penalty,
    epochs: int,
    batch_size: int = 128,
    schedule: Callable[[Any], Any] | None = None,
    transform: Transform | None = None,
    train_indices: Sequence[Any] | None = None,
    val_indices: Sequence[Any] | None = None,
    targets: Tensor | None = None,
    hyper: Mapping[str, Sequence[Any]] | None = None,
    early_stopping: EarlyStopping | None = None,
    after_epoch: Sequence[Hook] = (),
    eval_train: bool = True,
    metrics: Mapping[str, Measure] | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
    stack: bool | None = None,
) -> History:
    """Train R networks of one architecture: the same numbers as R calls of ``fit``, sooner.

    Run r trains ``make_model(seed=seeds[r])`` as ``fit(..., seed=seeds[r])`` would: the weights
    agree up to rounding, or in distribution if the network draws random numbers (dropout).

    Runs whose networks differ in nothing but tensors become one stack. A network or an optimizer
    that cannot be stacked, one or two runs, and large convolutions on a CPU, where a stack is
    slower, are trained one run after another, on Linux in as many processes as PyTorch would use
    threads.

    Args:
        make_model: builds the network of one run from ``seed=`` and what ``hyper`` adds, e.g.
            ``partial(mlp, (64, 32, 10))``. The global random state is seeded meanwhile.
        runs: R, for the seeds 0 … R−1; or the R seeds, which may repeat.
        optimizer, groups, loss, penalty, epochs, batch_size, schedule, transform, after_epoch,
            eval_train, metrics, device: as for ``fit``. A hook sees the history and the network of
            one run and ends that run only.
        train_indices, val_indices: for each run the indices of its examples in ``splits.train``
            and ``splits.val`` (folds, bootstrap draws, subsets), of any length; by default all.
        targets: (R, N, ...), in place of those of ``splits.train``, e.g. with label noise.
        hyper: name → R values, passed to ``optimizer`` if it has a parameter of that name, e.g.
            ``{"lr": [0.1, 0.01]}``; else to ``penalty`` if it has one, e.g. ``{"strength": [...]}``
            for ``lambda model, strength: strength * penalties.l1(model)``; else to ``make_model``.
        early_stopping: a rule that every run follows by itself.
        progress: show a bar over what takes longer than two seconds.
        stack: ``True`` insists on stacking, ``False`` forbids it, ``None`` takes what is faster.

    Returns:
        A History with a run axis: ``history["val_loss"]`` is (R, epochs), ``history.models`` holds
        the R trained networks. A run whose running loss is NaN or infinite is marked in
        ``history.diverged``, and the others go on.

    Raises:
        TypeError, ValueError: as ``fit``; numbers of runs do not match; an index is out of range;
            the networks differ in shape; ``stack=True`` is impossible.
        MemoryError: the stack would not fit into the memory that is free.
    """
    seeds = seeds_of(runs)
    epochs = whole_number("epochs", epochs, least=1)
    batch_size = whole_number("batch_size", batch_size, least=1)
    device = choose_device(device)
    takers = (optimizer, penalty, make_model)
    for_optimizer, for_penalty, for_model = routed(hyper or {}, len(seeds), *takers)
    first, learning = built(make_model, seeds[0], for_model[0])
    check_roles(first, optimizer, early_stopping, after_epoch)
    train, val, loss, metrics = prepare(first, splits, loss, metrics, device)
    watched = {"train": train, "val": val} if eval_train else {"val": val}
    data: dict[str, Any] = dict(train=train, val=val, loss=loss, metrics=metrics, device=device)
    data |= dict(epochs=epochs, batch_size=batch_size, eval_train=eval_train, progress=progress)
    parts: dict[str, Any] = dict(penalty=penalty, schedule=schedule, transform=transform)
    plan = Plan(**data, **parts, groups=groups, after_epoch=after_epoch)
    of_run: dict[str, Any] = {
        "seed": seeds,
        "learning": [learning] * len(seeds),
        "options": for_optimizer,
        "optimizer": [partial(optimizer, **options) for options in for_optimizer],
        "strengths": for_penalty,
        "train": indices("train_indices", train_indices, len(seeds), len(train.x)),
        "val": indices("val_indices", val_indices, len(seeds), len(val.x)),
        "targets": own_targets(targets, len(seeds), first, plan),
        "stopping": [copy.deepcopy(early_stopping) for _ in seeds],
        "history": [empty_history(s, watched, metrics, early_stopping) for s in seeds],
    }
    require_memory(f"{len(seeds)} networks", len(seeds) * weight_bytes(first), device)
    others = [built(make_model, *of)[0] for of in zip(seeds[1:], for_model[1:], strict=True)]
    of_run["model"] = [model.to(device) for model in of_one_shape([first, *others])]
    check_last_batches(first, learning, train.x, of_run["train"], batch_size)
    population = [Run(**{name: v[r] for name, v in of_run.items()}) for r in range(len(seeds))]
    _train(population, plan, stack)
    return History.stack([run.history for run in population], of_run["model"])


def _train(population: Sequence[Run], plan: Plan, stack: bool | None) -> None:
    """Stack what can be stacked, if that is faster; train the rest one run after another."""
    apart: list[Run] = []
    for runs in _groups(population, plan.batch_size):
        if _stacks(runs, plan, stack):
            require_memory(f"a stack of {len(runs)} runs", stack_bytes(runs, plan), plan.device)
            train_together(runs, plan)
        else:
            apart += runs
    train_apart(apart, plan)


def _stacks(runs: Sequence[Run], plan: Plan, stack: bool | None) -> bool:
    """Whether these runs are to be one stack, as was asked for, or as is faster."""
    if stack is False or (stack is None and _slower_stacked(runs, plan)):
        return False
    obstacle = _obstacle(runs, plan)
    if stack and obstacle:
        raise ValueError(f"stack=True is impossible: {obstacle}")
    return obstacle is None


def _groups(population: Sequence[Run], batch_size: int) -> list[list[Run]]:
    """Runs with equal networks and equally many steps; those of equal options stand together."""
    groups: dict[Any, list[Run]] = {}
    for run in population:
        steps = math.ceil(len(run.train) / batch_size)
        groups.setdefault((_architecture(run.model), steps), []).append(run)
    return [
        sorted(runs, key=lambda run: (len(run.train), len(run.val), repr(run.options)))
        for runs in groups.values()
    ]


def _architecture(model: nn.Module) -> str:
    """All that makes up a network except its tensors, such as the rates of its dropout layers."""
    described = []
    for name, module in model.named_modules():
        own = vars(module).keys() - vars(nn.Module()).keys()
        settings = {key: describe(vars(module)[key]) for key in sorted(own)}
        described.append(f"{name}: {type(module)} {settings}")
    return "; ".join(described)


def _obstacle(runs: Sequence[Run], plan: Plan) -> str | None:
    """Why these runs cannot be one stack: found by trying, on a few examples."""
    if not _elementwise(runs[0].optimizer, plan.device):
        return "the optimizer does not treat every number of the weights by itself"
    if Pace(plan.schedule, optimizer_for(runs[0].model, runs[0].optimizer, plan.groups)).watches:
        return "the schedule watches the loss of one run"
    train, val = runs[0].train[:4], runs[0].val[:4]
    few = [replace(r, model=copy.deepcopy(r.model), train=train, val=val) for r in runs[:2]]
    try:
        with seeded(0, plan.device):
            trial = Stack(few, replace(plan, metrics={}))  # which may refuse so few examples
            trial.train([train for _ in few])
            trial.curves()
    except Exception as error:  # whatever it is, training one run after another will tell
        return f"torch.vmap cannot run it ({str(error).partition(chr(10))[0]})"
    return None


def _elementwise(optimizer: Callable[..., torch.optim.Optimizer], device: torch.device) -> bool:
    """Whether two runs take the same steps stacked and apart: not if norms or matrices matter."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 4), (2, 4)]  # the weights and biases of a linear layer, in two runs
    together = [torch.randn(shape, generator=generator).to(device) for shape in shapes]
    apart = [[weight[r].clone() for weight in together] for r in range(2)]
    try:
        optimizers = [optimizer(together), *map(optimizer, apart)]
        for _ in range(3):
            for i, weight in enumerate(together):
                weight.grad = 10 * torch.randn(weight.shape, generator=generator).to(device)
                for r in range(2):
                    apart[r][i].grad = weight.grad[r].clone()
            for each in optimizers:
                each.step()
    except Exception:  # it wants a closure, or matrices only
        return False
    stacked = [torch.stack(weights) for weights in zip(*apart, strict=True)]
    return all(map(torch.allclose, together, stacked))


def _slower_stacked(runs: Sequence[Run], plan: Plan) -> bool:
    model = runs[0].model
    if len(runs) < FEWEST_STACKED:
        return True
    if plan.device.type != "cpu" or not any(isinstance(m, _ConvNd) for m in model.modules()):
        return False
    x = to_float(plan.train.x[:1])
    with seeded(0, plan.device), FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return counter.get_total_flops() * plan.batch_size > STACKED_CONVOLUTIONS
