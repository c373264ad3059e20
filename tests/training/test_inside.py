"""Students trained with every term that looks inside them, or at the item's side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import recdistill as rd
from recdistill.knowledge import Knowledge
from recdistill.models import HSTU, MF, SASRec, load_model
from recdistill.models.neural import NeuralConfig
from recdistill.objectives import (
    CKA,
    DE,
    FTD,
    HTD,
    IRRRD,
    RKD,
    AttentionRelations,
    Contrastive,
    CrossEntropy,
    DCDItem,
    EmbeddingHint,
    Similarity,
)
from recdistill.objectives.base import ObjectiveConfig
from recdistill.training import Training, fit
from tests.synthetic import tiny_split

SPLIT = tiny_split()
TERMS: list[ObjectiveConfig] = [
    EmbeddingHint(of="both"),
    DE(experts=3),
    FTD(),
    HTD(groups=3),
    RKD(),
    Similarity(),
    CKA(),
    Contrastive(),
    IRRRD(k=5, uninteresting=5),
    DCDItem(k=5),
]
TRAINING = Training(epochs=12, batch=100, lr=0.01, warmup=0, patience=99)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    torch.set_num_threads(1)
    training = Training(epochs=5, batch=200, lr=0.01)
    return rd.teach(SASRec(dim=16, heads=2), SPLIT, k=10, training=training, directory=tmp_path_factory.mktemp("big"))


@pytest.mark.parametrize("student", [MF(dim=6), SASRec(dim=6, heads=1, dropout=0)], ids=lambda config: config.name)
@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_terms_are_learned_and_stay_outside_the_model(
    student: NeuralConfig, term: ObjectiveConfig, taught: Knowledge, tmp_path: Path
) -> None:
    alone = fit(student, SPLIT, training=TRAINING.replace(epochs=1)).model
    both = [CrossEntropy(weight=0.1), term]
    epochs = 12 if student.sequential else 60  # users make a single step
    fitted = fit(student, SPLIT, both, knowledge=taught, training=TRAINING.replace(epochs=epochs))
    losses = [record["loss"][term.name] for record in fitted.history]
    assert np.mean(losses[-2:]) < 0.95 * np.mean(losses[:2])
    assert fitted.model.tensors().keys() == alone.tensors().keys()
    fitted.model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.score(SPLIT.test), fitted.model.score(SPLIT.test))


@pytest.mark.parametrize("student", [SASRec(dim=6, heads=1, dropout=0), HSTU(dim=8, dropout=0)])
def test_attention_of_another_network(student: NeuralConfig, taught: Knowledge) -> None:
    terms = [CrossEntropy(weight=0.1), AttentionRelations(heads=2)]
    fitted = fit(student, SPLIT, terms, knowledge=taught, training=TRAINING)
    losses = [record["loss"]["attention-relations"] for record in fitted.history]
    assert losses[-1] < 0.9 * losses[0]
    assert isinstance(fitted.model, nn.Module)
    assert not [module for module in fitted.model.modules() if module._forward_hooks]


def test_a_training_goes_on_with_the_terms_parameters(taught: Knowledge, tmp_path: Path) -> None:
    terms = [CrossEntropy(), HTD(groups=3), DE(experts=2)]
    whole = fit(MF(dim=6), SPLIT, terms, knowledge=taught, training=TRAINING.replace(epochs=4))
    for epochs in (2, 4):
        training = TRAINING.replace(epochs=epochs, checkpoint_seconds=0)
        parts = fit(MF(dim=6), SPLIT, terms, knowledge=taught, training=training, directory=tmp_path)
    assert [r["loss"] for r in parts.history] == [r["loss"] for r in whole.history]
    np.testing.assert_array_equal(parts.model.score(SPLIT.test), whole.model.score(SPLIT.test))
