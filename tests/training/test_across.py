"""A teacher of one catalogue that ranks another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recdistill as rd
from recdistill.data.dataset import Split
from recdistill.errors import ConfigError, KnowledgeError
from recdistill.knowledge import EmbeddingsWriter, Knowledge
from recdistill.models import FISM, HSTU, MF, GRU4Rec, Popularity, SASRec
from recdistill.training import Training, fit_across
from tests.domains import TOPICS, write_shop

from .test_loop import ndcg

TEACHER = SASRec(dim=16, blocks=1, heads=1, max_length=8, dropout=0.0, text="encoder", fusion="text-only")
FEW: dict[str, Any] = {"batch": 128, "lr": 5e-3, "warmup": 5, "device": "cpu", "epochs": 12}


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> tuple[Split, Split]:
    folder = tmp_path_factory.mktemp("shops")
    write_shop(folder, "book", n_users=120, copies=5, seed=0)
    write_shop(folder, "film", n_users=40, copies=6, seed=1)
    book, film = (
        rd.split(rd.read(folder / f"{kind}.csv", items=folder / f"{kind}-items.csv")) for kind in ("book", "film")
    )
    return book, film


def texts(split: Split, path: Path, fingerprint: str = "-") -> Knowledge:
    """What an encoder would say: a direction for each topic, one for the shop, and some noise."""
    n = split.n_items
    topics = [int(re.search(r"(\d)x", item).group(1)) for item in split.dataset.items.ids]  # type: ignore[union-attr]
    vectors = np.random.default_rng(n).normal(scale=0.2, size=(n, 10))
    vectors[np.arange(n), topics] += 1
    vectors[:, len(TOPICS)] += 3 * (n % 7)  # far apart as a whole
    writer = EmbeddingsWriter(
        path, teacher="encoder", teacher_fingerprint=fingerprint,
        dataset_fingerprint=split.dataset.items.fingerprint, rows=n, dim=10,
    )  # fmt: skip
    writer.add(np.arange(n), vectors)
    writer.seal()
    return Knowledge.open(path)


@pytest.mark.parametrize("model", [TEACHER, HSTU(**TEACHER.model_dump(exclude={"feed_forward"})),
                                   GRU4Rec(dim=16, dropout=0.0, text="encoder", fusion="text-only")])  # fmt: skip
def test_what_follows_what_is_known_before_any_event(shops: tuple[Split, Split], tmp_path: Path, model: Any) -> None:
    source, target = shops
    known: dict[str, Any] = {
        "source_texts": texts(source, tmp_path / "a"),
        "target_texts": texts(target, tmp_path / "b"),
    }
    fitted = fit_across(model, source, target, **known, training=Training(**FEW))
    assert fitted.model.n_items == target.n_items
    popular = ndcg(Popularity().build(target), target.test)
    assert ndcg(fitted.model, target.test) > 2 * popular
    fitted.model.save(tmp_path / "model")
    np.testing.assert_allclose(
        rd.models.load_model(tmp_path / "model").score(target.test), fitted.model.score(target.test), rtol=1e-5
    )


def test_adaptation_goes_on_from_there_and_resumes(shops: tuple[Split, Split], tmp_path: Path) -> None:
    source, target = shops
    known: dict[str, Any] = {
        "source_texts": texts(source, tmp_path / "a"), "target_texts": texts(target, tmp_path / "b"), "adapt": True,
    }  # fmt: skip
    whole = fit_across(TEACHER, source, target, **known, training=Training(**FEW))
    fit_across(TEACHER, source, target, **known, training=Training(**FEW), directory=tmp_path / "fit")
    again = fit_across(TEACHER, source, target, **known, training=Training(**FEW), directory=tmp_path / "fit")
    tensors = again.model.tensors()
    assert all(np.array_equal(value, tensors[name]) for name, value in whole.model.tensors().items())
    zero = fit_across(TEACHER, source, target, **known | {"adapt": False}, training=Training(**FEW))
    assert ndcg(whole.model, target.valid) >= ndcg(zero.model, target.valid)
    assert whole.seconds > sum(record["seconds"] for record in whole.history)


def test_misuse_is_one_line(shops: tuple[Split, Split], tmp_path: Path) -> None:
    source, target = shops
    here, there = texts(source, tmp_path / "a"), texts(target, tmp_path / "b")
    known: dict[str, Any] = {"source_texts": here, "target_texts": there}
    for model in (TEACHER.replace(fusion="sum"), MF(dim=8)):
        with pytest.raises(ConfigError, match="with free item vectors knows nothing about other items; use sasrec"):
            fit_across(model, source, target, **known)
    with pytest.raises(ConfigError, match=r"fism has weights of single items \(seen, item_biases\), which other items"):
        fit_across(FISM(dim=8, text="encoder", fusion="text-only"), source, target, **known)
    with pytest.raises(KnowledgeError, match="the embeddings by 'encoder' are of another catalogue; embed the texts"):
        fit_across(TEACHER, source, target, source_texts=there, target_texts=there)
    other = texts(target, tmp_path / "c", fingerprint="another")
    with pytest.raises(KnowledgeError, match="'encoder' embedded source and target with different parameters"):
        fit_across(TEACHER, source, target, source_texts=here, target_texts=other)
    with pytest.raises(ConfigError, match="text-only fusion needs the embeddings of a teacher; name an encoder"):
        SASRec(dim=8, fusion="text-only")
