"""Executed in a kernel before the cells of a page: shifts every seed by L2G_SEED_OFFSET.

Whatever is drawn by torch, NumPy or Python's random from a seed that is a whole number is then
another draw: splits, initial weights, noise, orders. Processes that a cell forks inherit it. Claims
that do not hold are recorded instead of stopping their cell.
"""

import os
import random
from typing import Any

import numpy as np
import torch

OFFSET = int(os.environ["L2G_SEED_OFFSET"])
os.environ["L2G_RECORD_CLAIMS"] = "1"


def shifted(seed: Any) -> Any:
    """Whole numbers are shifted, of a list the first; None, and what is no seed, stays."""
    if isinstance(seed, list | tuple) and seed:
        return [shifted(seed[0]), *seed[1:]]
    return int(seed) + OFFSET if isinstance(seed, int | np.integer) else seed


class Generator(torch.Generator):
    def manual_seed(self, seed: int) -> torch.Generator:
        return super().manual_seed(shifted(seed))


class RandomState(np.random.RandomState):  # scikit-learn's random_state
    def __init__(self, seed: Any = None) -> None:
        super().__init__(shifted(seed))


class Random(random.Random):
    def seed(self, a: Any = None, version: int = 2) -> None:
        super().seed(shifted(a), version)


def first_shifted(function: Any) -> Any:
    """The function with its first argument, the seed, shifted."""
    return lambda seed=None, *others, **named: function(shifted(seed), *others, **named)


torch.Generator = Generator  # type: ignore[misc]
torch.manual_seed = torch.random.manual_seed = first_shifted(torch.manual_seed)
np.random.default_rng = first_shifted(np.random.default_rng)
np.random.seed = first_shifted(np.random.seed)
np.random.RandomState = RandomState  # type: ignore[misc]
random.seed = first_shifted(random.seed)
random.Random = Random  # type: ignore[misc]
