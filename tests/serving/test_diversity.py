from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.errors import ConfigError
from recdistill.serving.diversity import Diversity

RANDOM = np.random.default_rng(0)
SCORES = -np.sort(-RANDOM.normal(size=60)).astype(np.float32)
VECTORS = RANDOM.normal(size=(60, 5)).astype(np.float32)
CATEGORIES = [(f"c{at % 4}",) if at % 5 else () for at in range(60)]


def naive(weight: float, n: int) -> list[int]:
    """Maximal marginal relevance by its formula."""
    relevance = (SCORES - SCORES.min()) / (SCORES.max() - SCORES.min())
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    chosen: list[int] = []
    while len(chosen) < n:
        values = {
            at: (1 - weight) * relevance[at] - weight * max((float(unit[at] @ unit[o]) for o in chosen), default=0.0)
            for at in range(60)
            if at not in chosen
        }
        chosen.append(max(values, key=lambda at: values[at]))
    return chosen


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9])
def test_the_formula(weight: float) -> None:
    assert Diversity(weight=weight).choose(SCORES, 10, VECTORS, None).tolist() == naive(weight, 10)


@given(st.integers(0, 70), st.integers(1, 5), st.floats(0, 1))
def test_no_item_twice_and_no_category_beyond_its_cap(n: int, most: int, weight: float) -> None:
    chosen = Diversity(weight=weight, per_category=most).choose(SCORES, n, VECTORS, CATEGORIES).tolist()
    assert len(chosen) == len(set(chosen)) == min(n, 60)
    free = 12 + 4 * most  # items without a category, and what the caps leave
    counts = Counter(name for at in chosen[:free] for name in CATEGORIES[at])
    assert max(counts.values(), default=0) <= most


def test_nothing_asked_nothing_changed() -> None:
    assert Diversity().choose(SCORES, 7, None, None).tolist() == list(range(7))
    assert Diversity(weight=0.5).choose(SCORES[:0], 7, VECTORS[:0], None).tolist() == []


@pytest.mark.parametrize("wrong", [{"weight": 1.5}, {"weight": float("nan")}, {"per_category": 0}, {"pool": 0}])
def test_numbers_outside_their_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be"):
        Diversity(**wrong)  # type: ignore[arg-type]
