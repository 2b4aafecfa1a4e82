"""Metrics of rankings: for each query, documents are sorted by score, the highest first.

All take ``scores`` and ``relevance`` of shape (D,) for one query or (Q, D) for several, and return
the mean over the queries. Each query needs a relevant document.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from l2g.metrics.curves import average_precision
from l2g.metrics.inputs import alike, finite, precise, shape, zeros_and_ones
from l2g.numbers import whole_number


def mrr(scores: Tensor, relevance: Tensor) -> Tensor:
    """Mean reciprocal rank: 1 / (rank of the first relevant document).

    A tie counts as lost: documents with an equal score stand before it.

    Args:
        scores: (D,) or (Q, D).
        relevance: zeros and ones in the shape of ``scores``.

    Raises:
        TypeError, ValueError: shapes or values do not fit, or a query has no relevant document.
    """
    rows = _queries(scores, zeros_and_ones("relevance", relevance))
    return _mean([1 / precise((row >= row[hit == 1].max()).sum()) for row, hit in rows])


def mean_average_precision(scores: Tensor, relevance: Tensor) -> Tensor:
    """MAP: for each query the average precision. Arguments and errors as ``mrr``."""
    rows = _queries(scores, zeros_and_ones("relevance", relevance))
    return _mean([average_precision(*row) for row in rows])


def ndcg(scores: Tensor, relevance: Tensor, *, k: int | None = None) -> Tensor:
    """Normalized discounted cumulative gain (Järvelin and Kekäläinen 2002).

    A document of relevance g at rank i gains g / log₂(1 + i); the sum is divided by that of the
    best order. Documents with equal scores share their ranks' mean discount.

    Args:
        scores: (D,) or (Q, D).
        relevance: grades of at least 0, in the shape of ``scores``.
        k: counts the first k ranks only.

    Raises:
        TypeError, ValueError: as ``mrr``.
    """
    relevance = finite("relevance", relevance)
    if (relevance < 0).any():
        raise ValueError(f"relevance must be at least 0, got {relevance.min():g}")
    k = None if k is None else whole_number("k", k, least=1)
    return _mean([_dcg(s, g, k) / _dcg(g, g, k) for s, g in _queries(scores, relevance)])


def _dcg(scores: Tensor, gains: Tensor, k: int | None) -> Tensor:
    discount = 1 / torch.arange(2, len(scores) + 2, device=gains.device).to(gains.dtype).log2()
    if k is not None:
        discount[k:] = 0
    _, group, size = (-scores).unique(return_inverse=True, return_counts=True)
    mean_discount = torch.stack([part.mean() for part in discount.split(size.tolist())])
    return (gains * mean_discount[group]).sum()


def _queries(scores: Tensor, relevance: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    alike("scores", scores, "relevance", relevance)
    if scores.ndim > 2:
        raise ValueError(f"scores must have shape (D,) or (Q, D), got {shape(scores)}")
    scores = finite("scores", scores)
    relevance = relevance.reshape(-1, scores.shape[-1])
    if lacking := int((relevance == 0).all(dim=1).sum()):
        raise ValueError(f"each query needs a relevant document, {lacking} of them have none")
    yield from zip(scores.reshape(relevance.shape), relevance, strict=True)


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
