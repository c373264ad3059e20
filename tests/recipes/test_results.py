"""Curves of trainings, from what they wrote down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recdistill.recipes.results import curves
from recdistill.stages import Stage


def stage(*history: dict[str, Any]) -> Stage:
    return Stage("train/distilled", "key", Path("somewhere"), {"history": list(history)}, 1.0, False)


def epoch(valid: float, **loss: float) -> dict[str, Any]:
    return {"loss": loss, "weight": dict.fromkeys(("hard", "soft"), 0.0) | dict.fromkeys(loss, 0.5),
            "valid": {"ndcg@10": valid}}  # fmt: skip


def test_a_term_that_begins_later_has_a_curve() -> None:
    found = curves(
        {"distilled": [stage(epoch(0.1, hard=3.0), epoch(0.3, hard=2.0, soft=1.0)), stage(epoch(0.2, hard=5.0))]}
    )
    by_term = {curve.term: curve for curve in found}
    assert list(by_term) == ["loss: hard", "loss: soft", "weight: hard", "weight: soft", "NDCG@10"]
    assert by_term["weight: soft"].values == (0.0, 0.5)
    assert (by_term["loss: soft"].epochs, by_term["loss: soft"].values) == ((2.0,), (1.0,))
    assert (by_term["loss: hard"].epochs, by_term["loss: hard"].values) == ((1.0, 2.0), (4.0, 2.0))
    assert (by_term["NDCG@10"].low, by_term["NDCG@10"].high) == ((0.1, 0.3), (0.2, 0.3))


def test_a_closed_form_has_no_curve() -> None:
    assert list(curves({"alone": [stage(), stage()]})) == []


def test_a_weight_that_follows_its_term_is_told_as_it_was() -> None:
    followed = stage(*(epoch(0.1, hard=1.0) | {"balance": {"hard": factor}} for factor in (1.0, 3.0)))
    by_term = {curve.term: curve for curve in curves({"distilled": [followed]})}
    assert by_term["weight: hard"].values == (0.5, 1.5)
