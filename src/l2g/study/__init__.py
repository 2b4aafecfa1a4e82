"""The studies whose records the course rests on: ``python -m l2g.study``.

*reported* is the protocol of the experiment that this course began with, faults included: a sigmoid
before the cross-entropy, no shuffling, the epoch chosen on the test set. The others train on raw
logits, shuffle, choose on validation data, and look at the test set once, at the end of each final
run. *small* (5,000 images) and *full* (all) give every condition the same number of tuning runs,
all of one seed: the first edition of chapter 19. *tuned* (5,000 images) chooses by the mean of
three tuning seeds and widens each grid until the winner lies inside it; *augmentation* adds the
parts of crop and flip, and how many images they are worth.

Every run is one JSON file below ``results/``. A study that is killed goes on where it was.
"""

from l2g.study.conditions import REPAIRED, REPORTED, Condition
from l2g.study.records import read_records, unpack_answers

__all__ = ["REPAIRED", "REPORTED", "Condition", "read_records", "unpack_answers"]
