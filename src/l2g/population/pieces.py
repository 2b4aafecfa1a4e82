"""The batches of R runs, and the metrics of what they make of them."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import accumulate, groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from l2g.data import Split, to_float
from l2g.metrics import Measure

EVERY = slice(None)

# Part of a step: which runs, their inputs or outputs and their targets, both (r, b, ...).
Piece = tuple[slice, Tensor, Tensor]


def of_each_run(metric: Measure, seen: Sequence[Piece], runs: int, shared: bool) -> Tensor:
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


def steps(
    split: Split, targets: Tensor | None, orders: Sequence[Tensor], size: int
) -> Iterator[list[Piece]]:
    """Batches of R runs, (r, b, ...); runs whose batches differ in size come in several pieces."""
    lengths = [len(order) for order in orders]
    padded = pad_sequence(list(orders), batch_first=True).to(split.x.device)
    y, offsets = split.y, torch.zeros(len(orders), 1, dtype=torch.int64, device=padded.device)
    if targets is not None:  # (R, N, ...): those of run r begin at r·N
        y, n = targets.flatten(0, 1), targets.shape[1]
        offsets += n * torch.arange(len(orders), device=padded.device)[:, None]
    blocks = alike(lengths)
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


def alike(keys: Sequence[Any]) -> list[slice]:
    """Where equal keys stand next to each other."""
    lengths = [len(list(block)) for _, block in groupby(keys)]
    return [slice(stop - n, stop) for n, stop in zip(lengths, accumulate(lengths), strict=True)]
