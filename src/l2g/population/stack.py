"""R networks of one architecture trained as one: every weight gets a run axis in front.

``torch.vmap`` turns the matrix product of a linear layer into one batched product for all runs, so
that what a step costs beyond arithmetic, which is most of it in small networks, is paid once.
"""

import copy
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate, chain, groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.utils.rnn import pad_sequence

from l2g.checkpoint import seeded
from l2g.data import Split, to_float
from l2g.evaluation import Measure, zeros
from l2g.optim import Optimizer, optimizer_for
from l2g.population.runs import Plan, Run
from l2g.schedules.pace import Pace
from l2g.training import Penalty, bar, no_penalty

EVERY = slice(None)

# Part of a step: which runs, their inputs or outputs and their targets, both (r, b, ...).
Piece = tuple[slice, Tensor, Tensor]


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
        for name, module in self.network.named_modules():
            module.training = name in self.runs[0].learning
        total, sizes = zeros(self.plan.device, len(self.runs)), self._sizes(orders)
        for step in _steps(self.plan.train, self.targets, orders, self.plan.batch_size):
            losses = [self._losses(rows, *self._transformed(x, y)) for rows, x, y in step]
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
                _steps(split, targets, indices[:1] if shared else indices, size)
            ):
                # Shared by all runs, one batch (b, ...) is enough: nothing is copied R times.
                piece = (EVERY, x[0], y[0], None) if shared else (rows, x, y, 0)
                outputs, values = self._outputs(*piece)
                total[piece[0]] += values * x.shape[1]
                seen.append((piece[0], outputs, piece[2]))
            found = {"loss": total / self._sizes(indices)}
            for name, metric in self.plan.metrics.items():
                found[name] = _of_each_run(metric, seen, len(self.runs), shared)
        return found

    def _losses(self, rows: slice, x: Tensor, y: Tensor) -> Tensor:
        return self._outputs(rows, x, y)[1]

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


def _of_each_run(metric: Measure, seen: Sequence[Piece], runs: int, shared: bool) -> Tensor:
    """A metric of all outputs and targets of each run, (R,), by ``vmap`` where that is possible.

    Args:
        seen: which runs, their outputs (r, b, ...) and their targets, (b, ...) if all share them.
    """
    if all(rows == EVERY for rows, _, _ in seen):
        outputs = torch.cat([outputs for _, outputs, _ in seen], dim=1)
        y = torch.cat([y for _, _, y in seen], dim=0 if shared else 1)
        with suppress(Exception):  # a metric that looks at values: then one run after another
            return torch.vmap(metric, in_dims=(0, None if shared else 0))(outputs, y)
    values = []
    for r in range(runs):
        own = [piece for piece in seen if r in range(*piece[0].indices(runs))]
        at = [r - (rows.start or 0) for rows, _, _ in own]
        outputs = torch.cat([each[i] for i, (_, each, _) in zip(at, own, strict=True)])
        y = torch.cat([y if shared else y[i] for i, (_, _, y) in zip(at, own, strict=True)])
        values.append(torch.as_tensor(metric(outputs, y)))
    return torch.stack(values)


def _steps(
    split: Split, targets: Tensor | None, orders: Sequence[Tensor], size: int
) -> Iterator[list[Piece]]:
    """Batches of R runs, (r, b, ...); runs whose batches differ in size come in several pieces."""
    lengths = [len(order) for order in orders]
    padded = pad_sequence(list(orders), batch_first=True).to(split.x.device)
    y, offsets = split.y, torch.zeros(len(orders), 1, dtype=torch.int64, device=padded.device)
    if targets is not None:  # (R, N, ...): those of run r begin at r·N
        y, n = targets.flatten(0, 1), targets.shape[1]
        offsets += n * torch.arange(len(orders), device=padded.device)[:, None]
    blocks = _alike(lengths)
    for start in range(0, max(lengths), size):
        together = len(blocks) == 1 or start + size <= min(lengths)
        step = []
        for rows in [EVERY] if together else blocks:
            length = lengths[rows.start or 0]
            index = padded[rows, start : min(start + size, length)]
            if index.numel():
                step.append(
                    (rows, to_float(_take(split.x, index)), _take(y, index + offsets[rows]))
                )
        yield step


def _take(values: Tensor, index: Tensor) -> Tensor:
    """``values[index]``, four times as fast."""
    return values.index_select(0, index.flatten()).unflatten(0, index.shape)


def _alike(keys: Sequence[Any]) -> list[slice]:
    """Where equal keys stand next to each other."""
    lengths = [len(list(block)) for _, block in groupby(keys)]
    return [slice(stop - n, stop) for n, stop in zip(lengths, accumulate(lengths), strict=True)]


def _blocks(runs: Sequence[Run], weight: Tensor) -> list[tuple[slice, dict[str, Any]]]:
    """Runs that one optimizer can serve, and the options, (R,), that set them apart."""
    every = [run.options for run in runs]
    differ = {name: [own[name] for own in every] for name in every[0]}
    differ = {name: values for name, values in differ.items() if values != values[:1] * len(runs)}
    numbers = [_is_number(value) for values in differ.values() for value in values]
    if all(numbers) and isinstance(runs[0].optimizer([weight]), Optimizer):
        return [(slice(0, len(runs)), {k: _column(values, weight) for k, values in differ.items()})]
    return [(rows, {}) for rows in _alike(every)]


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


def require_memory(what: str, needed: float, device: torch.device) -> None:
    """Say that memory does not suffice before it is taken.

    Raises:
        MemoryError: fewer bytes than ``needed`` are free.
    """
    free = _free_memory(device)
    if needed > free:
        raise MemoryError(
            f"{what} would take about {needed / 1e9:.2f} GB, but {device} has {free / 1e9:.2f} GB "
            "free: take fewer runs or, for a stack, a smaller batch_size or stack=False"
        )


def weight_bytes(model: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in model.state_dict().values())


def stack_bytes(runs: Sequence[Run], plan: Plan) -> float:
    """An estimate of what a stack takes, which was between 0.9 and 1.2 of what was measured."""
    network = copy.deepcopy(runs[0].model).train()
    with seeded(0, plan.device):
        activations = (_saved(network, plan, 4) - _saved(network, plan, 2)) / 2  # of one example
    # Weights, gradients, two moments, copies of the best; activations, gradients and copies.
    each = 6 * weight_bytes(network) + 3 * plan.batch_size * activations
    return len(runs) * each + sum(16 * len(run.train) for run in runs)  # orders of the examples


def _saved(network: nn.Module, plan: Plan, n: int) -> int:
    """Bytes that autograd keeps for a batch of n examples."""
    kept = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    x = to_float(plan.train.x[:1]).repeat(n, *[1] * (plan.train.x.ndim - 1))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = network(x)
    del outputs
    return sum(kept.values())


def _free_memory(device: torch.device) -> float:
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    try:
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return 1024 * int(fields["MemAvailable"].split()[0])
    except OSError:  # not Linux
        return math.inf
