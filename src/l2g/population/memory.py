"""What a population takes of the memory, said before it is taken."""

import copy
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from l2g.checkpoint import seeded
from l2g.data import to_float
from l2g.population.runs import Plan, Run


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
