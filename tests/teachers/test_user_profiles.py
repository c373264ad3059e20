"""Users as an encoder sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recdistill.data.dataset import Split
from recdistill.knowledge import Knowledge
from recdistill.models import SASRec
from recdistill.objectives import CrossEntropy, EmbeddingHint
from recdistill.teachers import UserProfiles
from recdistill.testing import tiny_split
from recdistill.training import Training, fit

pytest.importorskip("sentence_transformers")

WHOLE = tiny_split(n_users=12, n_items=15)
SPLIT = Split(
    WHOLE.dataset, WHOLE.train.keep(WHOLE.train.row_of_event() != 3), WHOLE.valid, WHOLE.test, WHOLE.method
)  # one user without events


def test_means_of_what_was_taken(tmp_path: Path) -> None:
    teacher = UserProfiles(events=3)
    assert teacher.teach(SPLIT, tmp_path, "profiles")["users"] == 12
    known = Knowledge.open(tmp_path)
    items, users = known.embeddings("profiles")[0].all(), known.embeddings("profiles", keyed_by="user")[0]
    assert users.manifest.dataset_fingerprint == SPLIT.fingerprint
    for user in range(12):
        mean = items[SPLIT.train[user][-3:]].sum(axis=0)
        wanted = mean / np.linalg.norm(mean) if mean.any() else mean
        np.testing.assert_allclose(users.read([user])[0], wanted, atol=1e-3)
    assert np.flatnonzero(~users.all().any(axis=1)).tolist() == [3]
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.arrow")}
    teacher.teach(SPLIT, tmp_path, "profiles")
    assert before == {file: file.stat().st_mtime_ns for file in before}
    student = fit(
        SASRec(dim=6, heads=1), SPLIT, [CrossEntropy(), EmbeddingHint(of="users", dim=8)],
        knowledge=known, training=Training(epochs=4, batch=60, lr=0.01),
    )  # fmt: skip
    losses = [record["loss"]["embedding-hint"] for record in student.history]
    assert losses[-1] < losses[0]


def test_joined_texts_are_read_as_one(tmp_path: Path) -> None:
    teacher = UserProfiles(form="text", events=2)
    teacher.teach(SPLIT, tmp_path)
    users = Knowledge.open(tmp_path).embeddings(keyed_by="user")[0]
    texts = SPLIT.dataset.items.texts
    assert texts is not None
    newest = SPLIT.train[0][-2:]
    wanted = teacher.embed(["; ".join(texts[item] for item in newest[::-1])])
    np.testing.assert_allclose(users.read([0]), wanted, atol=2e-3)
    assert not users.read([3]).any()
    assert teacher.fingerprint() != UserProfiles(events=2).fingerprint()
