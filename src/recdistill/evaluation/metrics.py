"""Accuracy of ranked lists, context by context.

Notation: a context has :math:`R` different relevant items; :math:`h_r` is 1 if the item at rank :math:`r` (from 1) is
relevant, else 0. A list shorter than k (filled with -1) has no hits there. Every metric lies in 0..1.
A context without relevant items has no value (NaN) and is left out of means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ..data.sequences import Sequences
from ..errors import ConfigError, nearest

__all__ = ["METRICS", "Hits", "hits", "metric_values", "parse"]

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Where ranked lists are right.

    Attributes:
        at: bool ``[n, depth]``, :math:`h_r`.
        relevant: int64 ``[n]``, :math:`R`.
    """

    at: npt.NDArray[np.bool_]
    relevant: npt.NDArray[np.int64]

    def __repr__(self) -> str:
        return f"<Hits: {int(self.at.sum()):,} in {len(self.at):,} lists>"


def hits(ranked: npt.NDArray[np.int32], targets: Sequences) -> Hits:
    """Compare ranked lists (int32 ``[n, depth]``, -1 for none) with the targets; a target listed twice counts once."""
    wanted = np.unique((targets.row_of_event() << 32) | targets.items)
    keys = (np.arange(len(ranked))[:, None] << 32) | np.maximum(ranked, 0)
    place = np.minimum(np.searchsorted(wanted, keys), max(len(wanted) - 1, 0))
    found = wanted[place] == keys if len(wanted) else np.zeros(ranked.shape, dtype=np.bool_)
    return Hits(found & (ranked >= 0), np.bincount(wanted >> 32, minlength=len(ranked)))


def hit_rate(h: Hits, k: int) -> Values:
    """HR@k: 1 if any of the first k items is relevant."""
    return np.where(h.at[:, :k].any(axis=1), 1.0, 0.0)


def recall(h: Hits, k: int) -> Values:
    r"""Recall@k: :math:`\sum_{r \le k} h_r / R`."""
    found: Values = h.at[:, :k].sum(axis=1) / np.maximum(h.relevant, 1)
    return found


def precision(h: Hits, k: int) -> Values:
    r"""Precision@k: :math:`\sum_{r \le k} h_r / k`."""
    found: Values = h.at[:, :k].sum(axis=1) / k
    return found


def ndcg(h: Hits, k: int) -> Values:
    r"""NDCG@k: :math:`\sum_{r \le k} h_r / \log_2(r + 1)` over the same sum with the first min(R, k) ranks right.

    Järvelin and Kekäläinen 2002, https://doi.org/10.1145/582415.582418, with relevance 0 or 1.
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.clip(h.relevant, 1, k) - 1]
    found = h.at[:, :k]
    return found @ discount[: found.shape[1]] / ideal


def mrr(h: Hits, k: int) -> Values:
    """MRR@k: one over the rank of the first relevant item, 0 if it is beyond k."""
    found = h.at[:, :k]
    return np.where(found.any(axis=1), 1 / (found.argmax(axis=1) + 1), 0.0)


def average_precision(h: Hits, k: int) -> Values:
    r"""MAP@k: :math:`\sum_{r \le k} h_r \cdot \mathrm{Precision@}r \,/ \min(R, k)`."""
    found = h.at[:, :k]
    precisions = found.cumsum(axis=1) / np.arange(1, found.shape[1] + 1)
    total: Values = (found * precisions).sum(axis=1) / np.clip(h.relevant, 1, k)
    return total


METRICS: Mapping[str, Callable[[Hits, int], Values]] = MappingProxyType(
    {"hr": hit_rate, "recall": recall, "precision": precision, "ndcg": ndcg, "mrr": mrr, "map": average_precision}
)
"""Name to function of hits and cut-off: float64 ``[n]``."""


def accuracy(name: str, h: Hits, k: int) -> Values:
    """One of :data:`METRICS` at k, NaN where nothing is relevant: float64 ``[n]``."""
    return np.where(h.relevant > 0, METRICS[name](h, k), np.nan)


def metric_values(ranked: npt.NDArray[np.int32], targets: Sequences, metric: str) -> Values:
    """A metric of each context; the ranked lists come from :func:`rank`.

    Args:
        ranked: int32 ``[n, depth]``, -1 for none.
        targets: The relevant items of each context.
        metric: Name and cut-off, such as ``"recall@20"``.

    Returns:
        float64 ``[n]``, NaN where there are no targets.

    Raises:
        ConfigError: The metric is unknown, or the lists are shorter than its cut-off.
    """
    name, k, _ = parse(metric, METRICS)
    if k > ranked.shape[1]:
        raise ConfigError(
            f"{metric!r} needs lists of {k} items, these have {ranked.shape[1]}", hint="rank with a larger k"
        )
    return accuracy(name, hits(ranked, targets), k)


def parse(metric: str, known: Mapping[str, object]) -> tuple[str, int, str | None]:
    """Take a metric's name apart: ``"ndcg@10/tail"`` → ``("ndcg", 10, "tail")``.

    Raises:
        ConfigError: It is not of that form, or its name is not in ``known``.
    """
    match = re.fullmatch(r"([a-z]+)@([1-9][0-9]*)(?:/([a-z]+))?", metric)
    if match is None:
        raise ConfigError(
            f"{metric!r} is not a metric", hint="write a name and a cut-off, such as 'ndcg@10' or 'ndcg@10/tail'"
        )
    name, k, part = match.groups()
    if name not in known:
        raise ConfigError(f"no metric is called {name!r}", hint=nearest(name, known))
    return name, int(k), part
