"""R networks of one architecture trained as one: every weight gets a run axis in front.

``torch.vmap`` turns the matrix product of a linear layer into one batched product for all runs, so
that what a step costs beyond arithmetic, which is most of it in small networks, is paid once.
"""

import copy
import math
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from l2g.checkpoint import seeded
from l2g.data import Split
from l2g.evaluation import zeros
from l2g.optim import Optimizer, optimizer_for
from l2g.population.pieces import EVERY, alike, of_each_run, steps
from l2g.population.runs import Plan, Run, set_modes
from l2g.schedules.pace import Pace
from l2g.training import Penalty, bar, no_penalty


class Stack:
    """R networks as one: ``state`` holds their parameters and buffers, each of shape (R, ...).

    Runs whose optimizers have the same options, one after another, are one block: an optimizer
    that treats every number by itself cannot tell a block of weights from the weights of one run.
    With an optimizer of ``l2g.optim``, whose options may differ from run to run, all are one block.
    """

    def __init__(self, runs: Sequence[Run], plan: Plan) -> None:
        self.runs, self.plan = runs, plan
        self.network = copy.deepcopy(runs[0].model)  # lends its structure, not its weights
        parameters, buffers = stack_module_state([run.model for run in runs])
        self.state = {**parameters, **buffers}
        self.leaves = {name: p for name, p in parameters.items() if p.requires_grad}
        some = next(iter(self.leaves.values()))
        self.blocks = []
        for rows, options in _blocks(runs, some):
            weights = {name: leaf.detach()[rows] for name, leaf in self.leaves.items()}
            optimizer = self._optimizer(runs[rows.start], weights, options)
            _prepare(optimizer, plan.device)
            self.blocks.append((rows, weights, optimizer, Pace(plan.schedule, optimizer)))
        targets = [run.targets for run in runs if run.targets is not None]
        self.targets = torch.stack(targets) if targets else None
        self.strengths = {
            name: _column([run.strengths[name] for run in runs], some) for name in runs[0].strengths
        }

    def train(self, orders: Sequence[Tensor]) -> Tensor:
        """One epoch in which run r sees the examples ``orders[r]``; its running losses, (R,)."""
        set_modes(self.network, self.runs[0].learning)
        total, sizes = zeros(self.plan.device, len(self.runs)), self._sizes(orders)
        for step in steps(self.plan.train, self.targets, orders, self.plan.batch_size):
            losses = [self._outputs(rows, *self._transformed(x, y))[1] for rows, x, y in step]
            objective = torch.cat(losses).sum()  # each run's weights are in its own loss only
            self._descend(objective + self._penalties())
            for (rows, x, _), values in zip(step, losses, strict=True):
                total[rows] += values.detach() * x.shape[1]
        return total / sizes

    def curves(self) -> dict[str, list[float]]:
        """Loss and metrics on every split that is watched, one value for each of the R runs."""
        found = {}
        train, val = [run.train for run in self.runs], [run.val for run in self.runs]
        if self.plan.eval_train:
            for name, values in self._measured(self.plan.train, self.targets, train).items():
                found[f"train_{name}"] = values.tolist()
        for name, values in self._measured(self.plan.val, None, val).items():
            found[f"val_{name}"] = values.tolist()
        return found

    def copy_to(self, model: nn.Module, r: int) -> None:
        """Put the weights and buffers of run r into ``model``."""
        own = dict([*model.named_parameters(), *model.named_buffers()])
        with torch.no_grad():
            for name, values in self.state.items():
                own[name].copy_(values[r])

    def _optimizer(
        self, run: Run, weights: Mapping[str, Tensor], options: Mapping[str, Any]
    ) -> torch.optim.Optimizer:
        """The optimizer of a block: that of one run, with the stacked weights in its groups."""
        if self.plan.groups is None:
            return run.optimizer(list(weights.values()), **options)
        optimizer_for(run.model, run.optimizer, self.plan.groups)  # checks what it holds
        names = {id(p): name for name, p in run.model.named_parameters() if p.requires_grad}
        groups = []
        for group in self.plan.groups(run.model):
            own = [weights[names[id(p)]] for p in group["params"] if id(p) in names]
            groups += [{**group, "params": own}] if own else []
        return run.optimizer(groups, **options)

    def _descend(self, objective: Tensor) -> None:
        for leaf in self.leaves.values():
            leaf.grad = None
        objective.backward()
        for rows, weights, optimizer, pace in self.blocks:
            for name, leaf in self.leaves.items():
                weights[name].grad = None if leaf.grad is None else leaf.grad[rows]
            optimizer.step()
            pace.after_batch()

    def _transformed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The batches (r, b, ...) after the transform, which takes those of one run."""
        if self.plan.transform is None:
            return x, y
        pairs = [self.plan.transform(*batch) for batch in zip(x, y, strict=True)]
        return torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs])

    def _measured(
        self, split: Split, targets: Tensor | None, indices: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """The loss, a mean over batches, and the metrics of all outputs, each (R,)."""
        self.network.eval()
        # As in `fit`, large batches that fit: 4 million numbers in those of all runs together.
        numbers = max(1, split.x[0].numel() * len(self.runs))
        size = max(self.plan.batch_size, min(1024, 2**22 // numbers))
        shared = targets is None and all(index is indices[0] for index in indices)
        total, seen = zeros(self.plan.device, len(self.runs)), []
        with torch.inference_mode():
            for rows, x, y in chain.from_iterable(
                steps(split, targets, indices[:1] if shared else indices, size)
            ):
                # Shared by all runs, one batch (b, ...) is enough: nothing is copied R times.
                piece = (EVERY, x[0], y[0], None) if shared else (rows, x, y, 0)
                outputs, values = self._outputs(*piece)
                total[piece[0]] += values * x.shape[1]
                if self.plan.metrics:
                    seen.append((piece[0], outputs, piece[2]))
            found = {"loss": total / self._sizes(indices)}
            for name, metric in self.plan.metrics.items():
                found[name] = of_each_run(metric, seen, len(self.runs), shared)
        return found

    def _outputs(
        self, rows: slice, x: Tensor, y: Tensor, run_axis: int | None = 0
    ) -> tuple[Tensor, Tensor]:
        """Outputs (r, b, ...) and losses (r,) of the runs ``rows``."""

        def one_run(state: dict[str, Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            outputs = functional_call(self.network, state, (x,))
            return outputs, self.plan.loss(outputs, y)

        state = self.state
        if rows != EVERY:  # views, so that running statistics are updated where they stand
            state = {name: values[rows] for name, values in state.items()}
        axes = (0, run_axis, run_axis)
        return torch.vmap(one_run, in_dims=axes, randomness="different")(state, x, y)

    def _penalties(self) -> Tensor | float:
        """The sum of the penalties of all runs, each on its own weights."""
        if self.plan.penalty is no_penalty:
            return 0.0

        def one_run(state: dict[str, Tensor], strengths: dict[str, Tensor]) -> Tensor:
            own = {f"network.{name}": values for name, values in state.items()}
            return functional_call(_Penalty(self.network, self.plan.penalty), own, (), strengths)

        return torch.vmap(one_run)(self.state, self.strengths).sum()

    def _sizes(self, indices: Sequence[Tensor]) -> Tensor:
        return torch.tensor([len(index) for index in indices], device=self.plan.device)


class _Penalty(nn.Module):
    """A penalty as a forward pass, in which ``functional_call`` can put other weights."""

    def __init__(self, network: nn.Module, penalty: Penalty) -> None:
        super().__init__()
        self.network, self.penalty = network, penalty

    def forward(self, **strengths: Tensor) -> Tensor | float:
        return self.penalty(self.network, **strengths)


def train_together(runs: Sequence[Run], plan: Plan) -> None:
    """Train the runs as one stack: their models in place, their histories filled."""
    stack = Stack(runs, plan)
    generators = [torch.Generator().manual_seed(run.seed) for run in runs]
    active = list(range(len(runs)))
    with seeded(runs[0].seed, plan.device):
        for _ in bar(range(1, plan.epochs + 1), plan.progress):
            started = time.perf_counter()
            orders = [
                run.train[torch.randperm(len(run.train), generator=generator)]
                for run, generator in zip(runs, generators, strict=True)
            ]
            columns = {"running_loss": stack.train(orders).tolist(), **stack.curves()}
            seconds = (time.perf_counter() - started) / len(active)
            active = [r for r in active if not _ended(stack, r, columns, seconds)]
            if not active:
                break
    for r in active:
        stack.copy_to(runs[r].model, r)
    for run in runs:
        if run.stopping is not None:
            run.stopping.restore(run.model)


def _ended(stack: Stack, r: int, columns: Mapping[str, list[float]], seconds: float) -> bool:
    """Note the epoch in the history of run r; a run that ends leaves its weights in its model."""
    run = stack.runs[r]
    hooks = [hook for hook in (run.stopping, *stack.plan.after_epoch) if hook is not None]
    values = {name: column[r] for name, column in columns.items()}
    run.history.diverged = not math.isfinite(values["running_loss"])
    if hooks or run.history.diverged:
        stack.copy_to(run.model, r)
    if run.history.diverged:
        return True
    run.history.append(values, seconds)
    run.history.stopped_early = True in [bool(hook(run.history, run.model)) for hook in hooks]
    return run.history.stopped_early


def _blocks(runs: Sequence[Run], weight: Tensor) -> list[tuple[slice, dict[str, Any]]]:
    """Runs that one optimizer can serve, and the options, (R,), that set them apart."""
    every = [run.options for run in runs]
    differ = {name: [own[name] for own in every] for name in every[0]}
    differ = {name: values for name, values in differ.items() if values != values[:1] * len(runs)}
    numbers = [_is_number(value) for values in differ.values() for value in values]
    if all(numbers) and isinstance(runs[0].optimizer([weight]), Optimizer):
        return [(slice(0, len(runs)), {k: _column(values, weight) for k, values in differ.items()})]
    return [(rows, {}) for rows in alike(every)]


def _is_number(value: Any) -> bool:
    parts = value if isinstance(value, tuple | list) else [value]
    return all(isinstance(part, int | float) and not isinstance(part, bool) for part in parts)


def _column(values: Sequence[Any], weight: Tensor) -> Any:
    if isinstance(values[0], tuple | list):  # Adam's betas
        return tuple(_column(part, weight) for part in zip(*values, strict=True))
    return torch.tensor(values, dtype=weight.dtype, device=weight.device)


def _prepare(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """One fused pass over the stack for each update; on a CPU PyTorch must be told to."""
    if isinstance(optimizer, Optimizer):
        optimizer.check_gradients = False  # one run that diverges must not stop the others
    for group in optimizer.param_groups:
        if device.type == "cpu" and group.get("fused", False) is None and not group.get("foreach"):
            group["fused"] = True
