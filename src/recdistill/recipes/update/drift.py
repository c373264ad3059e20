"""How far users and items have moved since the data that the run was made from."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from ...data.dataset import Dataset
from .events import Feedback

__all__ = ["drift"]

Floats = npt.NDArray[np.float64]
_DRAWS = 20
_LISTED = 5
_WARNED, _LEAST = 2.0, 0.01
"""Times the divergence that chance explains, and bits, from which a part is called moved."""


def drift(dataset: Dataset, feedback: Feedback, cursor: int, seed: int = 0) -> dict[str, Any]:
    """What is new about new events.

    Distributions are compared by the Jensen-Shannon divergence in bits, 0…1 (Lin 1991,
    https://doi.org/10.1109/18.61115). ``expected`` is what as many events drawn from the old ones show: with few events
    chance alone is large.

    Args:
        dataset: What the run was made from.
        feedback: All of it.
        cursor: Number of the newest event that was learned already.
        seed: Of the draws.

    Returns:
        ``items``, ``categories`` (None without any) and ``hours`` (None without times), each with ``divergence``,
        ``expected`` and ``moved``; ``users``: how many were active, the share of new ones, events each; ``events`` by
        type; ``unknown_items``: events with items outside the catalogue, and the most frequent of these.
    """
    new = feedback.numbers > cursor
    rng = np.random.default_rng(seed)
    items, users = feedback.items[new], feedback.users[new]
    unknown, log = feedback.unknown, dataset.log
    counts = np.bincount(log.items, minlength=dataset.n_items).astype(np.float64)
    found: dict[str, Any] = {
        "items": _moved(counts, np.bincount(items, minlength=dataset.n_items), rng),
        "categories": _categories(dataset, counts, items, rng),
        "hours": None,
        "users": _users(dataset, users),
        "events": dict(sorted(feedback.types.items())),
        "unknown_items": {
            "share": unknown.total() / max(feedback.types.total(), 1),
            "most": [item for item, _ in unknown.most_common(_LISTED)],
        },
    }
    if log.times is not None:
        old, now = (np.bincount(times // 3_600_000 % 24, minlength=24) for times in (log.times, feedback.times[new]))
        found["hours"] = _moved(old.astype(np.float64), now, rng)
    return found


def _moved(old: Floats, new: npt.NDArray[np.int64], rng: np.random.Generator) -> dict[str, Any]:
    n = int(new.sum())
    if not n or not old.sum():
        return {"divergence": 0.0, "expected": 0.0, "moved": False}
    shares = old / old.sum()
    divergence = _divergence(shares, new / n)
    expected = float(np.mean([_divergence(shares, rng.multinomial(n, shares) / n) for _ in range(_DRAWS)]))
    return {"divergence": divergence, "expected": expected, "moved": divergence > max(_WARNED * expected, _LEAST)}


def _divergence(p: Floats, q: Floats) -> float:
    """Jensen-Shannon, in bits."""
    middle = (p + q) / 2

    def to_middle(one: Floats) -> float:
        there = one > 0
        return float((one[there] * np.log2(one[there] / middle[there])).sum())

    return (to_middle(p) + to_middle(q)) / 2


def _categories(
    dataset: Dataset, counts: Floats, items: npt.NDArray[np.int64], rng: np.random.Generator
) -> dict[str, Any] | None:
    if dataset.items.categories is None:
        return None
    by_item = [tuple(names) for names in dataset.items.categories]
    codes = {name: at for at, name in enumerate(dict.fromkeys(name for names in by_item for name in names))}
    old, new = np.zeros(len(codes)), Counter[int]()
    for at, names in enumerate(by_item):
        for name in names:
            old[codes[name]] += counts[at]
    new.update(codes[name] for at in items.tolist() for name in by_item[at])
    return _moved(old, np.array([new[at] for at in range(len(codes))], dtype=np.int64), rng)


def _users(dataset: Dataset, users: npt.NDArray[np.int64]) -> dict[str, float]:
    active, each = np.unique(users, return_counts=True)
    lengths = dataset.log.lengths
    return {
        "active": len(active),
        "new": float((active >= dataset.n_users).mean()) if len(active) else 0.0,
        "events_each": float(each.mean()) if len(active) else 0.0,
        "events_each_before": float(lengths[lengths > 0].mean()) if (lengths > 0).any() else 0.0,
    }
