"""One step of each optimizer of `l2g.optim` against PyTorch's `foreach` step, in one run.

Prints how long ours takes in units of PyTorch's (median over interleaved rounds, with the range),
and the same for a loop over all parameters of one network (many small tensors).
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
from measure import DEVICE, hardware, seconds, spread
from torch import Tensor

from l2g import optim

PAIRS: dict[str, tuple[Callable[..., torch.optim.Optimizer], Callable[..., torch.optim.Optimizer]]]
PAIRS = {
    "SGD": (optim.SGD, torch.optim.SGD),
    "Momentum": (optim.Momentum, partial(torch.optim.SGD, momentum=0.9)),
    "Nesterov": (optim.Nesterov, partial(torch.optim.SGD, momentum=0.9, nesterov=True)),
    "Adagrad": (optim.Adagrad, torch.optim.Adagrad),
    "Adadelta": (optim.Adadelta, torch.optim.Adadelta),
    "RMSprop": (optim.RMSprop, torch.optim.RMSprop),
    "Adam": (optim.Adam, torch.optim.Adam),
    "AMSGrad": (optim.AMSGrad, partial(torch.optim.Adam, amsgrad=True)),
    "AdamW": (optim.AdamW, torch.optim.AdamW),
}
# Numbers in all parameters → the tensors that hold them: weights and biases of square layers.
WIDTHS = {10**4: (70, 2), 10**6: (400, 6), 10**7: (1000, 10)}


def parameters(width: int, layers: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(width, width), (width,)] * layers
    tensors = [torch.randn(shape, generator=generator).to(DEVICE) for shape in shapes]
    for w in tensors:
        w.grad = 0.01 * torch.randn(w.shape, generator=generator).to(DEVICE)
    return tensors


def step_repeatedly(optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.step()


def ratios(name: str, tensors: list[Tensor], steps: int, rounds: int) -> list[float]:
    ours, theirs = PAIRS[name]
    own = [w.clone() for w in tensors]  # PyTorch's foreach Nesterov writes into the gradients
    for w, like in zip(own, tensors, strict=True):
        w.grad = like.grad.clone()
    both = [ours(tensors, lr=1e-4), theirs(own, lr=1e-4, foreach=True)]
    for optimizer in both:
        step_repeatedly(optimizer, max(1, steps // 10))
    found = []
    for i in range(rounds):
        order = both if i % 2 else both[::-1]
        taken = {id(o): seconds(partial(step_repeatedly, o, steps)) for o in order}
        found.append(taken[id(both[0])] / taken[id(both[1])])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(hardware())
    print("time of our step in units of torch's foreach step: median [range]")
    for total, (width, layers) in WIDTHS.items():
        tensors, steps = parameters(width, layers), max(3, 2 * 10**6 // total)
        for name in PAIRS:
            found = ratios(name, tensors, steps, rounds)
            count = sum(w.numel() for w in tensors)
            print(f"{name:9} {count:10,} parameters: {spread(found)}")


if __name__ == "__main__":
    main()
