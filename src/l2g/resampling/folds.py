"""Splitters: which examples train and which validate, round after round of a cross-validation.

Each yields ``Fold(train, val)``, two tensors of indices in rising order. All rounds together are
one population::

    train, val = zip(*k_fold(200, 5))
    fit_many(..., runs=5, train_indices=train, val_indices=val)

Without a generator they give what scikit-learn's splitters give without shuffling, index for
index. With one, examples (or groups of equal size) are dealt in an order that it draws.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from l2g.numbers import whole_number


class Fold(NamedTuple):
    """One round: the indices of the examples that train, and of those that validate."""

    train: Tensor
    val: Tensor


def k_fold(n: int, k: int = 5, *, generator: Generator | None = None) -> Iterator[Fold]:
    """Deal n examples into k parts as equal as can be; each part validates once (Stone 1974).

    Args:
        n: number of examples.
        k: number of folds; the first n mod k of them hold one example more.
        generator: shuffles the examples first; ``None`` takes neighbours together.

    Raises:
        TypeError: ``n`` or ``k`` is no whole number.
        ValueError: ``k`` below 2 or above ``n``.
    """
    n, k = whole_number("n", n, least=2), _folds(k, n, "examples")
    order = torch.arange(n) if generator is None else torch.randperm(n, generator=generator)
    part_of = torch.empty(n, dtype=torch.int64)
    for part, members in enumerate(order.tensor_split(k)):
        part_of[members] = part
    return _rounds(part_of, k)


def leave_one_out(n: int) -> Iterator[Fold]:
    """Let each of n examples validate alone: n folds.

    Raises:
        TypeError: ``n`` is no whole number.
        ValueError: ``n`` below 2.
    """
    n = whole_number("n", n, least=2)
    return k_fold(n, n)


def stratified(
    y: Tensor | Sequence[Any], k: int = 5, *, generator: Generator | None = None
) -> Iterator[Fold]:
    """Deal each class into k parts by itself: every part has the shares of the whole set.

    A class with fewer members than folds is missing from some of them; a warning says so.

    Args:
        y: classes (n,).
        k: number of folds.
        generator: shuffles the members of each class; ``None`` takes neighbours together.

    Raises:
        TypeError: ``k`` is no whole number, or ``y`` holds fractions.
        ValueError: ``y`` is not flat, or every class has fewer than ``k`` members.
    """
    classes = _by_appearance(_labels("y", y))
    k, counts = _folds(k, len(classes), "examples"), classes.bincount()
    if counts.max() < k:
        raise ValueError(
            f"k must be at most {counts.max()}, the size of the largest class, got {k}"
        )
    if counts.min() < k:
        fewest = f"the smallest class has {counts.min()} members"
        warnings.warn(f"{fewest}, fewer than k = {k} folds: some folds lack it", stacklevel=2)
    # Sorted by class and dealt like cards: so many of each class go to each part.
    dealt = classes.sort().values
    part_of = torch.empty(len(classes), dtype=torch.int64)
    for label in range(len(counts)):
        share = torch.stack([(dealt[part::k] == label).sum() for part in range(k)])
        parts = torch.arange(k).repeat_interleave(share)
        if generator is not None:
            parts = parts[torch.randperm(len(parts), generator=generator)]
        part_of[classes == label] = parts
    return _rounds(part_of, k)


def grouped(
    groups: Tensor | Sequence[Any], k: int = 5, *, generator: Generator | None = None
) -> Iterator[Fold]:
    """Keep each group in one part: no person, film or day both trains and validates.

    The largest groups are dealt first, each to the part that holds the fewest examples so far.

    Args:
        groups: which group each example belongs to, (n,).
        k: number of folds.
        generator: draws the order of groups of equal size; ``None`` takes the last label first.

    Raises:
        TypeError: ``k`` is no whole number, or ``groups`` holds fractions.
        ValueError: ``groups`` is not flat, or holds fewer groups than ``k``.
    """
    group_of = _labels("groups", groups)
    sizes = group_of.bincount()
    k, held = _folds(k, len(sizes), "groups"), torch.zeros(k, dtype=torch.int64)
    order = torch.arange(len(sizes))
    if generator is not None:
        order = torch.randperm(len(sizes), generator=generator)
    part_of_group = torch.empty(len(sizes), dtype=torch.int64)
    for group in order[sizes[order].argsort(stable=True)].flip(0):
        lightest = held.argmin()
        part_of_group[group] = lightest
        held[lightest] += sizes[group]
    return _rounds(part_of_group[group_of], k)


def time_series(
    n: int, k: int = 5, *, val_size: int | None = None, gap: int = 0, most: int | None = None
) -> Iterator[Fold]:
    """Train on the past, validate on what comes next; k times, each time later.

    Args:
        n: number of examples, in the order of time.
        k: number of rounds.
        val_size: examples that validate in each; by default ``n // (k + 1)``.
        gap: examples left out between the past and what comes next.
        most: examples that train at most, the latest of the past; ``None`` for all.

    Raises:
        TypeError: an argument is no whole number.
        ValueError: one is out of range, or nothing is left to train on.
    """
    n, k = whole_number("n", n, least=2), whole_number("k", k, least=2)
    if val_size is None and k >= n:
        raise ValueError(f"k must be below n = {n}, got {k}")
    size = whole_number("val_size", n // (k + 1) if val_size is None else val_size, least=1)
    gap = whole_number("gap", gap, least=0)
    most = n if most is None else whole_number("most", most, least=1)
    first = n - k * size
    if first - gap < 1:
        wanted = f"{k} times {size} examples to validate and a gap of {gap}"
        raise ValueError(f"n must leave at least one example to train on beside {wanted}, got {n}")
    times = torch.arange(n)
    return (
        Fold(times[max(0, start - gap - most) : start - gap], times[start : start + size])
        for start in range(first, n, size)
    )


def repeated(
    split: Callable[..., Iterator[Fold]],
    data: Any,
    k: int = 5,
    *,
    times: int = 10,
    generator: Generator | None = None,
) -> Iterator[Fold]:
    """Shuffle and split again and again: ``times`` · k folds.

    Args:
        split: ``k_fold``, ``stratified`` or ``grouped``.
        data: what it splits: n, the classes or the groups.
        k: number of folds of each round.
        times: how many rounds.
        generator: shuffles; ``None`` draws from the global state.

    Raises:
        TypeError, ValueError: as ``split`` does, or ``times`` is no whole number above 0.
    """
    generator = generator or torch.default_generator
    rounds = [split(data, k, generator=generator) for _ in range(whole_number("times", times, 1))]
    return (fold for folds in rounds for fold in folds)


def nested(
    split: Callable[..., Iterator[Fold]],
    data: Any,
    outer: int = 5,
    inner: int = 5,
    *,
    generator: Generator | None = None,
) -> Iterator[tuple[Fold, list[Fold]]]:
    """Split, and split the training part of every fold again: inner folds choose, outer report.

    Args:
        split: ``k_fold``, ``stratified`` or ``grouped``.
        data: what it splits: n, the classes or the groups.
        outer, inner: numbers of folds.
        generator: shuffles; ``None`` takes neighbours together.

    Yields:
        The outer fold and its inner folds, all with indices into the whole data.

    Raises:
        TypeError, ValueError: as ``split`` does.
    """
    labels = None if np.ndim(data) == 0 else _labels("data", data)
    folds = list(split(data, outer, generator=generator))
    for fold in folds:
        part = len(fold.train) if labels is None else labels[fold.train]
        within = split(part, inner, generator=generator)
        yield fold, [Fold(fold.train[train], fold.train[val]) for train, val in within]


def _folds(k: int, most: int, what: str) -> int:
    k = whole_number("k", k, least=2)
    if k > most:
        raise ValueError(f"k must be at most {most}, the number of {what}, got {k}")
    return k


def _labels(name: str, values: Any) -> Tensor:
    """Labels of any kind (whole numbers, words) as 0, 1, … in their sorted order, (n,)."""
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{name} must hold one label for each example, got shape {array.shape}")
    if array.dtype.kind == "f" and not np.array_equal(array, np.floor(array)):
        raise TypeError(f"{name} must hold labels, got fractions or NaN")
    return torch.from_numpy(np.unique(array, return_inverse=True)[1])


def _by_appearance(labels: Tensor) -> Tensor:
    """The same classes, numbered in the order in which they first appear."""
    first = torch.stack([(labels == label).nonzero()[0, 0] for label in labels.unique()])
    return first.argsort().argsort()[labels]


def _rounds(part_of: Tensor, k: int) -> Iterator[Fold]:
    """Each part validates once while the others train."""
    for part in range(k):
        validates = part_of == part
        yield Fold((~validates).nonzero().flatten(), validates.nonzero().flatten())
