"""Embedding hint against its formula."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from recdistill.errors import ConfigError, KnowledgeError
from recdistill.knowledge import EmbeddingsWriter, Knowledge
from recdistill.models import SASRec
from recdistill.models.text import whiten
from recdistill.objectives import EmbeddingHint
from tests.synthetic import tiny_split

from .inside import features, taught

SPLIT = tiny_split()


def embeddings(
    path: Path, teacher: str = "encoder", fingerprint: str | None = None, n: int = SPLIT.n_items
) -> Knowledge:
    writer = EmbeddingsWriter(
        path / teacher, teacher=teacher, teacher_fingerprint="-", rows=n, dim=9,
        dataset_fingerprint=fingerprint or SPLIT.dataset.items.fingerprint,
    )  # fmt: skip
    writer.add(np.arange(n), np.random.default_rng(0).standard_normal((n, 9)).astype(np.float32))
    return Knowledge((writer.seal(),))


@pytest.mark.parametrize("loss", ["cosine", "mse"])
def test_formula(loss: Literal["cosine", "mse"], tmp_path: Path) -> None:
    known = embeddings(tmp_path)
    model = SASRec(dim=6, heads=1).build(SPLIT)
    objective = EmbeddingHint(items=10_000, loss=loss, dim=4).build()
    objective.prepare(model, SPLIT, known, seed=1)
    inside = features(model, SPLIT)
    torch.manual_seed(2)
    got = objective.loss(inside)
    torch.manual_seed(2)
    drawn = torch.randperm(SPLIT.n_items).numpy()
    wanted = whiten(known.embeddings()[0].all(), 4)[drawn] * 2  # unit variance: its rows have length 1, not 2
    mapped = model.table().detach().numpy()[drawn] @ objective.project["item"].weight.detach().numpy().T
    if loss == "mse":
        value = float(np.mean((mapped - wanted) ** 2))
    else:
        lengths = np.linalg.norm(mapped, axis=1) * np.linalg.norm(wanted, axis=1)
        value = float(1 - np.mean((mapped * wanted).sum(1) / lengths))
    assert got.item() == pytest.approx(value, rel=1e-4)


def test_projection_depends_on_the_seed_only(tmp_path: Path) -> None:
    known, weights = embeddings(tmp_path), []
    for seed in (1, 1, 2):
        objective = EmbeddingHint().build()
        objective.prepare(SASRec(dim=6, heads=1).build(SPLIT), SPLIT, known, seed)
        weights.append(objective.project["item"].weight)
        torch.rand(1)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert list(objective.state_dict()) == ["project.item.weight"]  # the teacher's vectors are not saved again


def test_which_teacher(tmp_path: Path) -> None:
    model = SASRec(dim=6, heads=1).build(SPLIT)
    both = embeddings(tmp_path, "a") + embeddings(tmp_path, "b")
    with pytest.raises(ConfigError, match=r"several teachers left embeddings \(a, b\); name one"):
        EmbeddingHint().build().prepare(model, SPLIT, both, 0)
    EmbeddingHint(teacher="b").build().prepare(model, SPLIT, both, 0)
    with pytest.raises(KnowledgeError, match="about other data"):
        EmbeddingHint().build().prepare(model, SPLIT, embeddings(tmp_path, "c", "other"), 0)


def test_a_recommender_need_not_be_named_to_keep_the_shape_of_its_vectors(tmp_path: Path) -> None:
    model = SASRec(dim=6, heads=1).build(SPLIT)
    big = taught(tmp_path / "taught", SASRec(dim=12), SPLIT)
    encoder = embeddings(tmp_path, n=SPLIT.n_items)
    shapes: tuple[Literal["items", "users", "both"], ...] = ("items", "users", "both")
    for of in shapes:
        named, alone = EmbeddingHint(of=of, teacher="big").build(), EmbeddingHint(of=of).build()
        for objective in (named, alone):
            objective.prepare(model, SPLIT, big, 0)
        for side, own in named.named_buffers():
            torch.testing.assert_close(own, dict(alone.named_buffers())[side])
    beside, only = EmbeddingHint(dim=4).build(), EmbeddingHint(dim=4).build()  # embeddings come first
    beside.prepare(model, SPLIT, encoder + big, 0)
    only.prepare(model, SPLIT, encoder, 0)
    torch.testing.assert_close(beside.items, only.items)
