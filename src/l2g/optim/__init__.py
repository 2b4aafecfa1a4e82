"""The optimizers of chapters 09 to 11, each about as long as its formula.

They take PyTorch's arguments, keep PyTorch's state under PyTorch's names, and take PyTorch's steps:
in double precision ``tests/test_optim.py`` holds both to 1e-12 over a thousand steps. In all
formulas w is a parameter, g its gradient ∇L(w) and η the learning rate ``lr``; squares, roots and
quotients are taken number by number. ``weight_decay`` λ adds λw to g, the gradient of λ‖w‖²/2.

R runs may share one optimizer: if every parameter has a run axis in front, (R, ...), a
hyperparameter may be a tensor of shape (R,), one value for each run.
"""

from l2g.optim.adaptive import Adadelta, Adagrad, Adam, AdamW, AMSGrad, RMSprop
from l2g.optim.base import Optimizer
from l2g.optim.descent import SGD, Momentum, Nesterov
from l2g.optim.matched import optimizer_for

__all__ = [
    "SGD",
    "AMSGrad",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "RMSprop",
    "optimizer_for",
]
