"""What l2g adds to PyTorch: seconds of importing it, and memory of a CIFAR-100 run."""

import argparse
import subprocess
import sys
from functools import partial

from measure import hardware, seconds, spread

from l2g import data

# The peak resident memory, in MiB, before and after one epoch on CIFAR-100.
PEAK = """
import resource, torch, numpy
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
import torch.nn.functional as F
from l2g import data, fit, models
splits = data.load("cifar100")
loaded = peak()
fit(models.TinyConvNet(100), splits, loss=F.cross_entropy, epochs=1, seed=0, progress=False)
print(f"peak memory above torch and numpy: {loaded - before:.0f} MiB after loading,",
      f"{peak() - before:.0f} MiB after an epoch")
"""


def python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(hardware())
    without = partial(python, "import torch, numpy")
    ratios, before = [], seconds(without)
    for _ in range(rounds):
        taken = seconds(partial(python, "import torch, numpy, l2g"))
        after = seconds(without)
        ratios.append(taken / ((before + after) / 2))
        before = after
    print(f"importing torch, numpy and l2g, in units of torch and numpy: {spread(ratios)}")
    if (data.cache_home() / "cifar100.npz").exists():
        python(PEAK)
    else:
        print("peak memory: not measured, CIFAR-100 is not in the cache")


if __name__ == "__main__":
    main()
