"""What the contexts of a batch have seen, and that rankings are compared without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from recdistill.models.neural import Batch
from recdistill.objectives import RD, CrossEntropy
from recdistill.objectives.base import Targets
from recdistill.training import Training, fit
from recdistill.training.head import catalogue_loss
from recdistill.training.seen import seen

from .made_up import FAST, STUDENT, knowledge, split

NONE = 9


def batch() -> Batch:
    """Windows 3 1 2 and 5 4, asked about behind 1, behind 2 and behind 4."""
    inputs = torch.tensor([[3, 1, 2], [5, 4, NONE]])
    labels = torch.tensor([[2], [7], [8]])
    return Batch(torch.tensor([0, 1]), inputs, torch.tensor([1, 2, 4]), torch.arange(3), labels, torch.ones(3, 1))


def test_a_history_is_what_comes_before() -> None:
    assert seen(batch(), sequential=True, n_items=NONE).tolist() == [[3, 1, -1], [3, 1, 2], [5, 4, -1]]


def test_of_users_the_labels_are_what_they_have() -> None:
    assert seen(batch(), sequential=False, n_items=NONE).tolist() == [[2], [7], [8]]


def compared_with(monkeypatch: pytest.MonkeyPatch, model: Any, tmp_path: Path, **training: Any) -> list[Targets]:
    """What the scores are compared with in each step of an epoch."""
    found: list[Targets] = []
    real = catalogue_loss

    def watched(hidden: Any, table: Any, bias: Any, targets: Targets, *rest: Any) -> Any:
        found.append(targets)
        return real(hidden, table, bias, targets, *rest)

    monkeypatch.setattr("recdistill.training.learner.catalogue_loss", watched)
    data = split()
    terms = [CrossEntropy(), RD(teacher="oracle")]
    fit(model, data, terms, knowledge=knowledge(data, tmp_path), training=Training(epochs=1, **FAST | training))
    return found


def test_it_is_handed_to_objectives_that_compare_rankings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for targets in compared_with(monkeypatch, STUDENT, tmp_path):
        assert targets.history is not None
        assert len(targets.history) == len(targets.labels)
        assert (targets.history >= 0).any(1).all()


def test_it_is_not_where_repeats_are_recommended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = compared_with(monkeypatch, STUDENT, tmp_path, exclude_history=False)
    assert all(targets.history is None for targets in found)
