"""Continued pre-training on a catalogue, with networks as small as transformers makes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from recdistill.data.dataset import Catalogue
from recdistill.errors import ConfigError, TeacherError, TrainingError
from recdistill.models import LLMRecommender
from recdistill.pretrained import locate
from recdistill.teachers import LLMEncoder, TextEncoder
from recdistill.testing import tiny_split
from recdistill.training import Pretraining, pretrain, pretraining
from recdistill.training.pretraining import FACTS, _Reading
from tests.teachers.llm.test_local import WORDS, write_chat_model

TEXTS = [" ".join(["film", "like", *(["A", "B", "C", "D"] * 3)[: 4 + n % 5]]) for n in range(60)]
"""After A comes B: there is something to learn."""
ITEMS = Catalogue([str(n) for n in range(60)], texts=TEXTS)
QUICK = Pretraining(epochs=6, lr=2e-2, batch_tokens=128, held_out=0.2, device="cpu")


def write_encoder(folder: Path) -> str:
    """A random BERT of one block, and a tokenizer with a mask."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(names)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, mask_token="[MASK]", model_max_length=64, **special)
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "max_position_embeddings": 64}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(**sizes, num_attention_heads=2, vocab_size=len(names), pad_token_id=0)
        BertModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_chat_model(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model.safetensors")


def test_a_decoder_learns_what_comes_next_and_teaches(decoder: str, tmp_path: Path) -> None:
    facts = pretrain(QUICK.replace(model=decoder), ITEMS, tmp_path / "mine")
    assert facts["task"] == "causal"
    assert (facts["texts"], facts["held_out"]) == (48, 12)
    assert facts["loss_after"] < 0.7 * facts["loss_before"]
    assert not list(tmp_path.glob("*.checkpoint"))
    before, after = (LLMEncoder(model=folder, dtype="float32") for folder in (decoder, str(tmp_path / "mine")))
    assert before.fingerprint() != after.fingerprint()
    assert after.embed(TEXTS[:3]).shape == (3, 16)
    recommender = LLMRecommender(model=str(tmp_path / "mine"), dtype="float32", dim=4, rank=2).build(tiny_split())
    assert np.isfinite(recommender.score(tiny_split().test)).all()


def test_an_encoder_restores_what_is_masked_and_teaches(encoder: str, tmp_path: Path) -> None:
    facts = pretrain(QUICK.replace(model=encoder), ITEMS, tmp_path / "mine")
    assert facts["task"] == "masked"
    assert facts["loss_after"] < facts["loss_before"]
    vectors = [TextEncoder(model=f, dtype="float32").embed(TEXTS[:3]) for f in (encoder, str(tmp_path / "mine"))]
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01


def test_a_model_of_sentence_transformers_stays_one(encoder: str, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    SentenceTransformer(modules=[Transformer(encoder), Pooling(16, "max")], device="cpu").save_pretrained(
        str(tmp_path / "st")
    )
    pretrain(QUICK.replace(model=str(tmp_path / "st"), epochs=1), ITEMS, tmp_path / "mine")
    assert (tmp_path / "mine/modules.json").is_file()
    before, after = (TextEncoder(model=str(tmp_path / name), dtype="float32") for name in ("st", "mine"))
    assert np.abs(before.embed(TEXTS[:2]) - after.embed(TEXTS[:2])).max() > 1e-3
    pooled = SentenceTransformer(str(tmp_path / "mine"), device="cpu").encode(TEXTS[:2], show_progress_bar=False)
    np.testing.assert_allclose(
        after.embed(TEXTS[:2]), pooled / np.linalg.norm(pooled, axis=1, keepdims=True), atol=1e-5
    )


def test_adapters_are_merged(decoder: str, tmp_path: Path) -> None:
    pretrain(QUICK.replace(model=decoder, rank=2), ITEMS, tmp_path / "mine")
    before, after = weights(decoder), weights(tmp_path / "mine")
    assert set(before) == set(after)
    for name, value in before.items():
        assert torch.equal(value, after[name]) == ("proj" not in name), name


def test_the_loss_is_the_mean_over_predicted_tokens(decoder: str) -> None:
    reading = _Reading(QUICK.replace(model=decoder), locate(decoder), TEXTS)
    total, count = 0.0, 0
    for ids in reading.held:
        with torch.inference_mode():
            logits = reading.network.eval()(input_ids=torch.tensor([ids])).logits[0].double()
        total -= float(torch.log_softmax(logits[:-1], -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].sum())
        count += len(ids) - 1
    assert reading._held_loss() == pytest.approx(total / count, rel=1e-5)
    assert all(ids[-1] == reading.tokenizer.eos_token_id for ids in reading.held)


@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_an_interrupted_training_goes_on_exactly(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = QUICK.replace(model=request.getfixturevalue(kind), epochs=2, checkpoint_seconds=0)
    pretrain(config, ITEMS, tmp_path / "whole")
    learn, steps = _Reading._learn, []

    def interrupted(self: _Reading, *given: Any) -> float:
        steps.append(given[-1])
        if len(steps) == 4:
            raise KeyboardInterrupt
        return learn(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(_Reading, "_learn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pretrain(config, ITEMS, tmp_path / "mine")
        assert not (tmp_path / "mine").exists()
        pretrain(config, ITEMS, tmp_path / "mine")
    assert steps[:5] == [0, 1, 2, 3, 3]  # three steps are in the checkpoint
    whole, mine = weights(tmp_path / "whole"), weights(tmp_path / "mine")
    assert all(torch.equal(whole[name], mine[name]) for name in whole)


def test_a_single_step_learns_and_the_config_stays(decoder: str, tmp_path: Path) -> None:
    facts = pretrain(QUICK.replace(model=decoder, epochs=1, batch_tokens=100_000), ITEMS, tmp_path / "mine")
    assert facts["loss_after"] < facts["loss_before"]
    before, after = (json.loads((Path(f) / "config.json").read_text()) for f in (decoder, tmp_path / "mine"))
    assert after["use_cache"] == before["use_cache"]


def test_what_is_done_is_not_done_again(decoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = QUICK.replace(model=decoder, epochs=1)
    facts = pretrain(config, ITEMS, tmp_path / "mine")
    monkeypatch.setattr(pretraining, "_Reading", None)
    assert pretrain(config, ITEMS, tmp_path / "mine") == facts
    with pytest.raises(TrainingError, match="mine: this folder holds something else; name another"):
        pretrain(config.replace(epochs=2), ITEMS, tmp_path / "mine")
    (tmp_path / "mine" / FACTS).unlink()
    with pytest.raises(TrainingError, match="this folder holds something else"):
        pretrain(config, ITEMS, tmp_path / "mine")


def test_what_cannot_be_done_is_said_in_a_line(decoder: str, tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="cannot load this model") as told:
        pretrain(QUICK.replace(model=decoder, task="masked"), ITEMS, tmp_path / "mine")
    assert "\n" not in str(told.value)
    with pytest.raises(TeacherError, match="the items have no text"):
        pretrain(QUICK.replace(model=decoder), Catalogue(["a"]), tmp_path / "mine")
    with pytest.raises(TrainingError, match=r"the gradient is not finite; lower lr or clip"):
        pretrain(QUICK.replace(model=decoder, lr=1e30, warmup=0), ITEMS, tmp_path / "mine")
    with pytest.raises(ConfigError, match="max_length"):
        QUICK.replace(max_length=1)
    assert not (tmp_path / "mine").exists()


@given(st.integers(0, 1000), st.floats(0.05, 0.9))
def test_what_is_hidden(encoder_reading: _Reading, seed: int, share: float) -> None:
    reading = encoder_reading
    reading.config = reading.config.replace(mask=share)
    ids = np.array([[2, 9, 10, 11, 9, 3, 0, 0], [2, 9, 3, 0, 0, 0, 0, 0]])
    real = ids > 0
    asked, shown = reading._hide(ids, real, np.random.default_rng(seed))
    assert not asked[~real | (ids <= 4)].any()
    assert asked.any(axis=1).all()  # of every text something
    assert (shown[~asked] == ids[~asked]).all()
    assert ((shown >= 0) & (shown < len(reading.tokenizer))).all()


@pytest.fixture(scope="module")
def encoder_reading(encoder: str) -> _Reading:
    return _Reading(QUICK.replace(model=encoder), locate(encoder), TEXTS)


def test_four_fifths_of_what_is_hidden_are_masked(encoder_reading: _Reading) -> None:
    reading = encoder_reading
    reading.config = reading.config.replace(mask=0.5)
    ids = np.random.default_rng(0).integers(5, len(reading.tokenizer), (200, 100))
    asked, shown = reading._hide(ids, ids > 0, np.random.default_rng(1))
    assert asked.mean() == pytest.approx(0.5, abs=0.02)
    assert (shown[asked] == 4).mean() == pytest.approx(0.8, abs=0.02)
    assert (shown[asked] == ids[asked]).mean() == pytest.approx(0.1, abs=0.02)


def test_checkpointing_changes_memory_only(decoder: str, tmp_path: Path) -> None:
    plain = QUICK.replace(model=decoder, epochs=1)
    pretrain(plain, ITEMS, tmp_path / "plain")
    pretrain(plain.replace(checkpointing=True), ITEMS, tmp_path / "again")
    one, other = weights(tmp_path / "plain"), weights(tmp_path / "again")
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)
