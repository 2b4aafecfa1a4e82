"""What l2g computes on a GPU, held against the CPU: one table, a few minutes.

Rows in double precision may differ by rounding alone, which training lets grow: tolerances are at
least fifty times what changes of the data by 1e-15 do to them on a CPU. Mixed precision is held
against single precision. The last line says whether all rows hold; the exit status is 0 if so, 1 if
not, and 2 where there is no such GPU.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from computed import (
    LAYERS,
    OPTIMIZERS,
    Results,
    Runs,
    layer,
    loss,
    metric,
    network,
    optimizer,
    scaled,
    share_dropped,
)
from measure import hardware

CPU = torch.device("cpu")
Computed = Callable[[torch.device], Results]


class Check(NamedTuple):
    """What is computed on the device, and how far it may be from what it is held against."""

    what: str
    run: Computed
    allowed: float
    against: Computed | None = None  # by default the same on the CPU


def checks(examples: int, epochs: int) -> list[Check]:
    runs = Runs(examples, epochs)
    again = lambda device: runs.fit(device, model=network(0, noisy=True))  # noqa: E731
    single = lambda _: runs.mixed(None, CPU)  # noqa: E731
    rows = [
        Check("cross_entropy", loss, 1e-13),
        Check("metrics", metric, 1e-13),
        *(Check(f"layer {name}", partial(layer, name), 1e-12) for name in LAYERS),
        Check("layer masks, share dropped", share_dropped, 0.004),  # six standard errors
        *(Check(f"optimizer {name}", partial(optimizer, name), 1e-12) for name in OPTIMIZERS),
        Check("fit", runs.fit, 1e-11),
        Check("fit, with everything", runs.with_everything, 1e-11),
        Check("fit, convolutions", runs.convolutions, 1e-11),
        Check("fit_many, a stack", partial(runs.many, True), 1e-11),
        Check("fit_many, apart", partial(runs.many, False), 1e-11),
        Check(
            "fit_many, stack and apart", partial(runs.many, True), 1e-11, partial(runs.many, False)
        ),
        Check("resumed, with dropout", partial(runs.resumed, None, True), 1e-11, again),
        Check("resumed from the CPU", partial(runs.resumed, CPU, False), 1e-11),
        Check("fit, float32", partial(runs.mixed, None), 0.01, single),
        Check("fit, bfloat16", partial(runs.mixed, torch.bfloat16), 0.05, single),
    ]
    for dtype in (torch.bfloat16, torch.float16):
        kind = str(dtype).removeprefix("torch.")
        rows.append(
            Check(f"steps, {kind}", partial(scaled, dtype), 0.05, lambda _: scaled(None, CPU))
        )
    return rows


def largest_difference(found: Results, expected: Results) -> float:
    """Relative to what is expected where that is above 1; NaN in one of them is infinitely far."""
    worst = 0.0
    for a, b in zip(found, expected, strict=True):
        a, b = a.detach().cpu().double(), b.detach().cpu().double()
        if a.shape != b.shape or not a.isfinite().all():
            return float("inf")
        worst = max(
            worst, ((a - b).abs() / b.abs().clamp(min=1)).max().nan_to_num(torch.inf).item()
        )
    return worst


def judge(check: Check, device: torch.device) -> bool:
    """Compute, print the row, and say whether it holds."""
    started, error = time.perf_counter(), ""
    try:
        found = [each.detach().cpu() for each in check.run(device)]
        seconds = time.perf_counter() - started
        expected = check.against(device) if check.against else check.run(CPU)
        difference = largest_difference(found, expected)
    except Exception as problem:  # the other rows are worth knowing, too
        seconds, difference = time.perf_counter() - started, float("inf")
        error = f"  {type(problem).__name__}: {str(problem).partition(chr(10))[0]}"
    holds = difference <= check.allowed
    columns = (
        f"{difference:12.1e} {check.allowed:9.0e}  {'yes' if holds else 'NO ':3} {seconds:8.1f}"
    )
    print(f"{check.what:28} {device!s:7} {columns}{error}", flush=True)
    return holds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="cpu tries the script itself")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args(arguments)
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device was found: PyTorch has to see one (--device cpu tries the script)")
        return 2
    print(hardware(device))
    print(f"{'what':28} {'device':7} {'difference':>12} {'allowed':>9}  {'ok':3} {'seconds':>8}")
    failed = [c.what for c in checks(given.examples, given.epochs) if not judge(c, device)]
    print(f"{len(failed)} rows do not hold: {', '.join(failed)}" if failed else "all rows hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
