"""R networks of one architecture trained as one: every weight gets a run axis in front.

``torch.vmap`` turns the matrix product of a linear layer into one batched product for all runs, so
that what a step costs beyond arithmetic, which is most of it in small networks, is paid once.
"""

import copy
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain, groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.utils.rnn import pad_sequence

from l2g.checkpoint import seeded
from l2g.data import Split, to_float
from l2g.optim import Optimizer
from l2g.runs import Plan, Run
from l2g.schedules.pace import Pace
from l2g.training import Measure, bar, zeros

EVERY = slice(None)

# Part of a step: which runs, their inputs and their targets, both (r, b, ...).
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
        self.leaves = [p for p in parameters.values() if p.requires_grad]
        self.blocks = []
        for rows, options in _blocks(runs, self.leaves[0]):
            weights = [leaf.detach()[rows] for leaf in self.leaves]
            optimizer = runs[rows.start].optimizer(weights, **options)
            _prepare(optimizer, plan.device)
            self.blocks.append((rows, weights, optimizer, Pace(plan.schedule, optimizer)))
        targets = [run.targets for run in runs if run.targets is not None]
        self.targets = torch.stack(targets) if targets else None

    def train(self, orders: Sequence[Tensor]) -> Tensor:
        """One epoch in which run r sees the examples ``orders[r]``; its running losses, (R,)."""
        self.network.train()
        total, sizes = zeros(self.plan.device, len(self.runs)), self._sizes(orders)
        loss = {"loss": self.plan.measures["loss"]}
        for step in _steps(self.plan.train, self.targets, orders, self.plan.batch_size):
            losses = [self._measure(loss, *piece)["loss"] for piece in step]
            self._descend(torch.cat(losses).sum())  # each run's weights are in its own loss only
            for (rows, x, _), values in zip(step, losses, strict=True):
                total[rows] += values.detach() * x.shape[1]
        return total / sizes

    def curves(self) -> dict[str, list[float]]:
        """Every measure on every split that is watched, one value for each of the R runs."""
        found = {}
        train, val = [run.train for run in self.runs], [run.val for run in self.runs]
        if self.plan.eval_train:
            for name, values in self._means(self.plan.train, self.targets, train).items():
                found[f"train_{name}"] = values.tolist()
        for name, values in self._means(self.plan.val, None, val).items():
            found[f"val_{name}"] = values.tolist()
        return found

    def copy_to(self, model: nn.Module, r: int) -> None:
        """Put the weights and buffers of run r into ``model``."""
        own = dict([*model.named_parameters(), *model.named_buffers()])
        with torch.no_grad():
            for name, values in self.state.items():
                own[name].copy_(values[r])

    def _descend(self, loss: Tensor) -> None:
        for leaf in self.leaves:
            leaf.grad = None
        loss.backward()
        for rows, weights, optimizer, pace in self.blocks:
            for weight, leaf in zip(weights, self.leaves, strict=True):
                weight.grad = None if leaf.grad is None else leaf.grad[rows]
            optimizer.step()
            pace.after_batch()

    def _means(
        self, split: Split, targets: Tensor | None, indices: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        self.network.eval()
        # As in `fit`, large batches that fit: 4 million numbers in those of all runs together.
        numbers = max(1, split.x[0].numel() * len(self.runs))
        size = max(self.plan.batch_size, min(1024, 2**22 // numbers))
        shared = targets is None and all(index is indices[0] for index in indices)
        steps = _steps(split, targets, indices[:1] if shared else indices, size)
        totals = {name: zeros(self.plan.device, len(self.runs)) for name in self.plan.measures}
        with torch.inference_mode():
            for rows, x, y in chain.from_iterable(steps):
                if shared:  # one batch (b, ...) for all: nothing is copied R times
                    values = self._measure(self.plan.measures, EVERY, x[0], y[0], run_axis=None)
                else:
                    values = self._measure(self.plan.measures, rows, x, y)
                for name, total in totals.items():
                    total[EVERY if shared else rows] += values[name] * x.shape[1]
        sizes = self._sizes(indices)
        return {name: total / sizes for name, total in totals.items()}

    def _measure(
        self,
        measures: Mapping[str, Measure],
        rows: slice,
        x: Tensor,
        y: Tensor,
        run_axis: int | None = 0,
    ) -> dict[str, Tensor]:
        """Each measure of each of the runs ``rows``, (r,)."""

        def one_run(state: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
            outputs = functional_call(self.network, state, (x,))
            return {name: measure(outputs, y) for name, measure in measures.items()}

        state = self.state
        if rows != EVERY:  # views, so that running statistics are updated where they stand
            state = {name: values[rows] for name, values in state.items()}
        axes = (0, run_axis, run_axis)
        return torch.vmap(one_run, in_dims=axes, randomness="different")(state, x, y)

    def _sizes(self, indices: Sequence[Tensor]) -> Tensor:
        return torch.tensor([len(index) for index in indices], device=self.plan.device)


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
    hooks = [hook for hook in (run.stopping, *stack.plan.hooks) if hook is not None]
    values = {name: column[r] for name, column in columns.items()}
    run.history.diverged = not math.isfinite(values["running_loss"])
    if hooks or run.history.diverged:
        stack.copy_to(run.model, r)
    if run.history.diverged:
        return True
    run.history.append(values, seconds)
    run.history.stopped_early = True in [bool(hook(run.history, run.model)) for hook in hooks]
    return run.history.stopped_early


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
