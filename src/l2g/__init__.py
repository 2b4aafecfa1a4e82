"""Learning to Generalize: the small library that the course builds and uses.

The chapters derive what they import from here. The names below are loaded when first used, so that
``import l2g`` costs little more than ``import torch``.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME_OF = {
    "load": "data",
    "fit": "training",
    "evaluate": "evaluation",
    "predict": "evaluation",
    "fit_many": "population",
    "claim": "evidence",
    "answer": "evidence",
    "verdict": "evidence",
    "compare": "evidence",
    "check": "exercises",
    "solution": "exercises",
    "Explorable": "explore",
}

__all__ = [
    "Explorable",
    "answer",
    "check",
    "claim",
    "compare",
    "evaluate",
    "fit",
    "fit_many",
    "load",
    "predict",
    "solution",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"l2g.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'l2g' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
