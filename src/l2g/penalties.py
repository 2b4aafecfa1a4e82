"""Penalties on weights, and weight decay for the weights alone (chapter 14).

Add a penalty times its strength λ to the loss, or give λ to the optimizer as ``weight_decay``. For
``l2``, which is **half** the sum of squares, both are the same under SGD, with momentum or without:
the gradient of λ · ½‖w‖² is λw. Under Adam they are not, which is why there is AdamW.

*Weights* are the matrices and kernels of linear, bilinear, convolutional, recurrent and attention
layers, found by the type of the layer. Biases, normalization layers, embeddings and parameters of
other modules, your own included, are no weights here: to shrink them is rarely meant. A tensor
shared by several layers is a weight if it is one in any of them, and counts once.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from l2g.numbers import in_unit_interval, not_negative

# In these, all parameters called "...weight..." are matrices or kernels, all others biases.
WEIGHTED = (nn.Linear, nn.Bilinear, _ConvNd, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)

Weights = nn.Module | Iterable[Tensor]


def l1(model: Weights) -> Tensor:
    """‖w‖₁ = Σ |w| over all weights: a scalar that pulls each of them by the same amount.

    Its gradient is the sign, and 0 for a weight of exactly 0. Gradient steps rarely land there:
    weights become small and jitter, not 0.

    Args:
        model: a network, of which the weights are taken, or the tensors themselves.

    Source: Tibshirani (1996), "Regression shrinkage and selection via the lasso".

    Raises:
        TypeError: ``model`` is neither a network nor tensors.
        ValueError: it holds no weights, so the penalty would be none.
    """
    return _total([_wide(w).abs().sum() for w in _weights(model)])


def l2(model: Weights) -> Tensor:
    """½‖w‖² = ½ Σ w² over all weights: a scalar that pulls each in proportion to its size.

    Source: Hoerl and Kennard (1970), "Ridge regression". Arguments and errors as for ``l1``.
    """
    return _total([_wide(w).square().sum() / 2 for w in _weights(model)])


def elastic_net(model: Weights, l1_ratio: float) -> Tensor:
    """ρ ‖w‖₁ + (1 − ρ) ½‖w‖² with ρ = ``l1_ratio``, as in scikit-learn.

    Source: Zou and Hastie (2005), "Regularization and variable selection via the elastic net".

    Raises:
        TypeError, ValueError: as for ``l1``; ``l1_ratio`` is no number in 0..1.
    """
    rho = in_unit_interval("l1_ratio", l1_ratio)
    weights = list(_weights(model))
    return rho * l1(weights) + (1 - rho) * l2(weights)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for an optimizer: the weights, with decay, and all other parameters, without.

    Every parameter, also a frozen one, is in exactly one of them. Where a model is trained, pass
    ``groups=functools.partial(parameter_groups, weight_decay=0.01)`` beside ``optimizer=``, which
    then makes its optimizer of the groups of that very model, be it a copy or one of many runs.

    Raises:
        TypeError: ``model`` is no network, or ``weight_decay`` no number.
        ValueError: ``weight_decay`` is negative, NaN or infinite.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    strength = not_negative("weight_decay", weight_decay)
    decayed = _weights_of(model)
    chosen = {id(w) for w in decayed}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        {"params": decayed, "weight_decay": strength},
        {"params": others, "weight_decay": 0.0},
    ]


def _weights_of(model: nn.Module) -> list[Tensor]:
    """The weights of the network, each once, in the order of ``model.parameters()``."""
    chosen = {
        id(p)
        for module in model.modules()
        if isinstance(module, WEIGHTED)
        for name, p in module.named_parameters(recurse=False)
        if "weight" in name
    }
    return [p for p in model.parameters() if id(p) in chosen]


def _weights(model: Weights) -> list[Tensor]:
    found = _weights_of(model) if isinstance(model, nn.Module) else _tensors(model)
    if not found:
        raise ValueError("model must hold at least one weight to penalize, got none")
    return found


def _tensors(given: Any) -> list[Tensor]:
    tensors = list(given) if isinstance(given, Iterable) else [given]
    if isinstance(given, Tensor) or not all(isinstance(each, Tensor) for each in tensors):
        raise TypeError(
            f"model must be a torch.nn.Module or an iterable of tensors, got {type(given).__name__}"
        )
    return tensors


def _wide(w: Tensor) -> Tensor:
    """Sums of float16 numbers overflow at 65,504."""
    return w.float() if w.dtype in (torch.float16, torch.bfloat16) else w


def _total(sums: list[Tensor]) -> Tensor:
    return torch.stack([each.to(sums[0]) for each in sums]).sum()
