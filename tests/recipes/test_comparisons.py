"""The interval of the transfer ratio, against a bootstrap written down plainly."""

from __future__ import annotations

import numpy as np
import pytest

from recdistill.recipes.comparisons import transfer_interval

USERS = np.repeat(np.arange(60), 2)


def values(mean: float, seed: int, seeds: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 0.3, (seeds, len(USERS)))


def test_it_is_that_of_users_drawn_with_replacement() -> None:
    alone, teacher, distilled = values(0.2, 1), values(0.6, 2, seeds=1), values(0.5, 3)
    rng, ratios = np.random.default_rng(99), []
    for _ in range(4000):
        rows = (2 * rng.integers(0, 60, 60)[:, None] + [0, 1]).ravel()  # both contexts of each user
        base = alone[:, rows].mean()
        ratios.append((distilled[:, rows].mean() - base) / (teacher[:, rows].mean() - base))
    assert transfer_interval(distilled, alone, teacher, USERS) == pytest.approx(
        np.quantile(ratios, (0.025, 0.975)), abs=0.03
    )


def test_an_exact_share_has_no_width_and_empty_contexts_do_not_count() -> None:
    alone, teacher = values(0.2, 1), values(0.6, 2)
    alone[:, 5] = teacher[:, 5] = np.nan
    share = alone.mean(axis=0) + 0.7 * (teacher.mean(axis=0) - alone.mean(axis=0))
    assert transfer_interval(share[None], alone, teacher, USERS) == pytest.approx((0.7, 0.7))


def test_without_a_clear_lead_there_is_none() -> None:
    assert transfer_interval(values(0.5, 3), values(0.2, 1), values(0.2, 2), USERS) is None
    nothing = np.full((1, len(USERS)), np.nan)
    assert transfer_interval(nothing, nothing, nothing, USERS) is None
