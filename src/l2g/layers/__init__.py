"""The layers of chapters 17 and 18: dropout and its relatives, normalization.

They take PyTorch's arguments and keep PyTorch's parameters and buffers under PyTorch's names, so
that a ``state_dict`` fits both ways. Masks come from the global random generator of the device,
which ``fit`` seeds. All of them work under ``torch.vmap(..., randomness="different")``: the runs of
``fit_many`` train as one stack. float16 and bfloat16 are averaged in float32.
"""

from l2g.layers.dropout import DropConnect, Dropout, Dropout2d, DropPath, mask
from l2g.layers.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNormFunction,
    LayerNorm,
    moments,
)

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNormFunction",
    "DropConnect",
    "DropPath",
    "Dropout",
    "Dropout2d",
    "LayerNorm",
    "mask",
    "moments",
]
