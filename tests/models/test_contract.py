"""Every model of the table keeps the contract."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import pytest

from recdistill.knowledge import EmbeddingsWriter, Knowledge
from recdistill.models import (
    EASE,
    FISM,
    HSTU,
    MF,
    MODELS,
    SLIST,
    DualEASE,
    GRU4Rec,
    Headed,
    ItemKNN,
    LightGCN,
    LLMRecommender,
    ModelConfig,
    Popularity,
    RankingModel,
    SASRec,
    TextKNN,
)
from recdistill.testing import ModelContract, NeuralContract
from tests.models.language_model import FOLDER, write_language_model
from tests.synthetic import tiny_split


@cache
def text_knowledge() -> Knowledge:
    """Random embeddings of 6 numbers for every item of the tiny split."""
    split = tiny_split()
    with TemporaryDirectory() as directory:
        writer = EmbeddingsWriter(
            Path(directory) / "text", teacher="encoder", teacher_fingerprint="t",
            dataset_fingerprint=split.dataset.items.fingerprint, rows=split.n_items, dim=6,
        )  # fmt: skip
        writer.add(np.arange(split.n_items), np.random.default_rng(0).normal(size=(split.n_items, 6)))
        store: Any = writer.seal()
        store.all()  # mapped before the directory goes
        return Knowledge((store,))


class WithText(ModelContract):
    def knowledge(self) -> Knowledge:
        return text_knowledge()


class TestPopularity(ModelContract):
    config: ClassVar[ModelConfig] = Popularity()


class TestPopularityWithAge(ModelContract):
    config: ClassVar[ModelConfig] = Popularity(half_life_days=2)


class TestItemKNN(ModelContract):
    config: ClassVar[ModelConfig] = ItemKNN(neighbours=5)


class TestEASE(ModelContract):
    config: ClassVar[ModelConfig] = EASE(l2=5)


class TestDualEASE(ModelContract):
    config: ClassVar[ModelConfig] = DualEASE(l2=5)


class TestSLIST(ModelContract):
    config: ClassVar[ModelConfig] = SLIST(l2=5)


class TestTextKNN(WithText):
    config: ClassVar[ModelConfig] = TextKNN(text="encoder")


class TestMF(NeuralContract):
    config: ClassVar[ModelConfig] = MF(dim=8)


class TestMFWithoutBias(NeuralContract):
    config: ClassVar[ModelConfig] = MF(dim=8, bias=False)


class TestLightGCN(NeuralContract):
    config: ClassVar[ModelConfig] = LightGCN(dim=8)


class TestFISM(NeuralContract):
    config: ClassVar[ModelConfig] = FISM(dim=8)


class TestFISMWithText(WithText, NeuralContract):
    config: ClassVar[ModelConfig] = FISM(dim=8, text="encoder")


class TestGRU4Rec(NeuralContract):
    config: ClassVar[ModelConfig] = GRU4Rec(dim=8)


class TestDeepGRU4RecWithText(WithText, NeuralContract):
    config: ClassVar[ModelConfig] = GRU4Rec(dim=8, layers=2, text="encoder")


class TestSASRec(NeuralContract):
    config: ClassVar[ModelConfig] = SASRec(dim=8, max_length=6)


class TestSASRecWithText(WithText, NeuralContract):
    config: ClassVar[ModelConfig] = SASRec(dim=8, blocks=1, text="all")


class TestSASRecWithoutBlocks(NeuralContract):
    config: ClassVar[ModelConfig] = SASRec(dim=8, blocks=0)


class TestHSTU(NeuralContract):
    config: ClassVar[ModelConfig] = HSTU(dim=8, max_length=6)


class TestHSTUWithText(WithText, NeuralContract):
    config: ClassVar[ModelConfig] = HSTU(dim=8, blocks=1, text="all")


class TestHeadedSASRec(NeuralContract):
    config: ClassVar[ModelConfig] = Headed(model=SASRec(dim=8, blocks=1, heads=2, max_length=10))


class TestHeadedMF(NeuralContract):
    config: ClassVar[ModelConfig] = Headed(model=MF(dim=6))


class TestHSTUWithoutBlocks(NeuralContract):
    config: ClassVar[ModelConfig] = HSTU(dim=8, blocks=0)


class WithLanguageModel(NeuralContract):
    def model(self, seed: int = 0) -> RankingModel:
        write_language_model()
        return super().model(seed)

    def test_parameters_are_counted(self) -> None:
        model = self.model()
        learned = sum(value.size for value in model.tensors().values())
        assert model.n_parameters > learned + 1000  # those of the language model, which are not saved, count too


class TestLLMRecommender(WithLanguageModel):
    config: ClassVar[ModelConfig] = LLMRecommender(model=FOLDER, dtype="float32", dim=8, max_length=6, rank=2)


class TestFrozenLLMRecommenderWithTextOnly(WithText, WithLanguageModel):
    config: ClassVar[ModelConfig] = LLMRecommender(
        model=FOLDER, dtype="float32", dim=8, rank=0, layers=1, head="free", text="encoder", fusion="text-only"
    )


def test_every_model_of_the_table_is_under_contract() -> None:
    tested = {c.config.name for c in globals().values() if isinstance(c, type) and hasattr(c, "config")}
    assert set(MODELS) <= tested


@pytest.mark.parametrize("name", list(MODELS))
def test_the_table_and_the_class_agree_on_the_name(name: str) -> None:
    assert MODELS[name].load().name == name
