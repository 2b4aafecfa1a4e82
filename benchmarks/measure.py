"""What the benchmarks share: the device, a stopwatch, and how ratios are printed."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence

import torch

from l2g.evaluation import choose_device

DEVICE = choose_device()


def hardware(device: torch.device = DEVICE) -> str:
    """Versions and hardware, for the first line of every output."""
    chip = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    return (
        f"torch {torch.__version__}, Python {platform.python_version()}, {device} ({chip}), "
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    )


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def spread(ratios: Sequence[float]) -> str:
    """Median and range."""
    return f"{statistics.median(ratios):5.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
