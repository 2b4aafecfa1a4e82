"""The CIFAR-100 study of chapter 19, and its records: ``python -m l2g.study``.

*reported* is the protocol of the experiment that this course began with, faults included: a sigmoid
before the cross-entropy, no shuffling, the epoch chosen on the test set. *repaired* trains on raw
logits, shuffles, chooses on validation data, gives every condition the same number of tuning runs
and looks at the test set once, at the end of each final run.

Every run is one JSON file below ``results/``. A study that is killed goes on where it was.
"""

from l2g.study.conditions import REPAIRED, REPORTED, Condition
from l2g.study.records import read_records

__all__ = ["REPAIRED", "REPORTED", "Condition", "read_records"]
