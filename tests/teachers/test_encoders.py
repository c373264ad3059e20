from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recdistill.data.dataset import Catalogue
from recdistill.errors import ConfigError, KnowledgeError, TeacherError
from recdistill.knowledge import Knowledge
from recdistill.pretrained.loading import choose_device, choose_dtype
from recdistill.teachers import LLMEncoder, TextEncoder
from recdistill.teachers import encoder as encoder_module
from recdistill.teachers.encoder import LoadedEncoder
from recdistill.teachers.hugging_face import HuggingFaceEncoder, pool
from recdistill.testing import tiny_split

TEXTS = ["A romantic comedy about a wedding", "Two lovers, many jokes", "", "Submarine crew at war", "🎬 電影 кино"]
EXACT = TextEncoder(dtype="float32")


@pytest.fixture(scope="module")
def minilm() -> LoadedEncoder:
    loaded: LoadedEncoder = EXACT.load()
    return loaded


@pytest.fixture(scope="module")
def smollm2() -> HuggingFaceEncoder:
    loaded = LLMEncoder(dtype="float32").load()
    assert isinstance(loaded, HuggingFaceEncoder)
    return loaded


def _all(loaded: LoadedEncoder, texts: list[str]) -> np.ndarray:
    out = np.full((len(texts), loaded.dim), np.nan, dtype=np.float32)
    for rows, vectors in loaded.batches(texts):
        out[rows] = vectors
    return out


def test_minilm_is_what_sentence_transformers_says(minilm: LoadedEncoder) -> None:
    found = _all(minilm, TEXTS)
    real = [text for text in TEXTS if text]
    expected = minilm.model.encode(real, show_progress_bar=False)  # type: ignore[attr-defined]
    np.testing.assert_allclose(found[[0, 1, 3, 4]], expected, atol=1e-5)
    assert (found[2] == 0).all()
    likeness = found @ found.T
    assert likeness[0, 1] > likeness[0, 3]


def test_batches_are_bounded_and_do_not_change_vectors(minilm: LoadedEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{'word ' * (i % 7)}film {i}" if i % 5 else "" for i in range(30)]
    whole = _all(minilm, texts)
    monkeypatch.setattr(minilm, "config", EXACT.replace(batch_tokens=20))
    monkeypatch.setattr(encoder_module, "POOL", 11)
    sizes = []
    forward = minilm.forward

    def watched(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        sizes.append(ids.numel())
        return forward(ids, mask)

    monkeypatch.setattr(minilm, "forward", watched)
    np.testing.assert_allclose(_all(minilm, texts), whole, atol=1e-5)
    assert max(sizes) <= 20


def test_long_and_strange_texts(minilm: LoadedEncoder) -> None:
    ids = minilm.tokens(["x" * 100_000, "wor d" * 20_000, "\ud800 lone surrogate", " \n ", "\x00"])
    assert [len(i) <= 256 for i in ids] == [True] * 5
    assert ids[3] == []
    assert np.isfinite(_all(minilm, ["word " * 20_000, "\ud800"])).all()


def test_other_pooling(minilm: LoadedEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    own = _all(minilm, TEXTS[:2])
    monkeypatch.setattr(minilm, "config", EXACT.replace(pooling="mean"))
    np.testing.assert_allclose(_all(minilm, TEXTS[:2]), own, atol=1e-5)
    monkeypatch.setattr(minilm, "config", EXACT.replace(pooling="cls", normalize=False))
    cls = _all(minilm, TEXTS[:2])
    assert not np.allclose(np.linalg.norm(cls, axis=1), 1)


def test_plain_hugging_face_encoder(minilm: LoadedEncoder, tmp_path: Path) -> None:
    minilm.model[0].model.save_pretrained(tmp_path)  # type: ignore[attr-defined]
    minilm.tokenizer.save_pretrained(tmp_path)
    plain = TextEncoder(model=str(tmp_path), dtype="float32", template="film: {text}", max_length=16)
    found = plain.embed(["A wedding", ""])
    np.testing.assert_allclose(found[:1], _all(minilm, ["film: A wedding"]), atol=1e-5)
    assert (found[1] == 0).all()


def test_the_language_model(smollm2: HuggingFaceEncoder) -> None:
    found = _all(smollm2, TEXTS)
    assert found.shape == (5, 576)
    np.testing.assert_allclose(np.linalg.norm(found[[0, 1, 3, 4]], axis=1), 1, atol=1e-5)
    assert (found[2] == 0).all()
    ids = smollm2.tokenizer(TEXTS[0], return_tensors="pt")
    with torch.inference_mode():
        states = smollm2.model(**ids, output_hidden_states=True)
    alone = torch.nn.functional.normalize(states.last_hidden_state.mean(1), dim=1)
    np.testing.assert_allclose(found[:1], alone.numpy(), atol=1e-4)


def test_layers_and_pooling_of_the_language_model(smollm2: HuggingFaceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = torch.tensor(smollm2.tokens([TEXTS[0]]))
    with torch.inference_mode():
        states = smollm2.model(ids, output_hidden_states=True).hidden_states
    monkeypatch.setattr(smollm2, "layer", 15)
    monkeypatch.setattr(smollm2, "pooling", "last")
    with torch.inference_mode():
        found = smollm2.forward(ids, torch.ones_like(ids))
    torch.testing.assert_close(found, states[15][:, -1])


def test_pool_looks_only_at_real_tokens() -> None:
    states, mask = torch.arange(12.0).reshape(2, 3, 2), torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert pool(states, mask, "mean").tolist() == [[1, 2], [8, 9]]
    assert pool(states, mask, "last").tolist() == [[2, 3], [10, 11]]
    assert pool(states, mask, "cls").tolist() == [[0, 1], [6, 7]]


def test_half_precision_is_close(minilm: LoadedEncoder) -> None:
    half = TextEncoder(dtype="bfloat16").embed(TEXTS[:2])
    assert (np.sum(half * _all(minilm, TEXTS[:2]), axis=1) > 0.995).all()


def test_devices_and_dtypes() -> None:
    cpu = choose_device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")
    assert choose_dtype("float16", cpu) is torch.float16
    assert choose_dtype("auto", cpu) in (torch.float32, torch.bfloat16)
    with pytest.raises(ConfigError, match="no device 'abacus'"):
        choose_device("abacus")


def test_wrong_parameters(smollm2: HuggingFaceEncoder) -> None:
    from recdistill.teachers.hugging_face import _layer

    assert (_layer(-1, 30), _layer(0.5, 30), _layer(-2, 30), _layer(0, 30)) == (None, 15, 29, 0)
    with pytest.raises(ConfigError, match="layer 31 of a model with 30 layers"):
        _layer(31, 30)
    with pytest.raises(ConfigError, match="must contain"):
        TextEncoder(template="film")
    with pytest.raises(ConfigError, match="use llm-encoder"):
        TextEncoder(model="smollm2").load()


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nonsense"}')
    with pytest.raises(TeacherError, match="cannot load this model") as caught:
        TextEncoder(model=str(tmp_path)).load()
    assert "\n" not in str(caught.value)
    with pytest.raises(TeacherError, match="cannot load this model"):
        TextEncoder(model="nobody/no-such-model", local_only=True).load()


def test_items_into_a_store_and_back(tmp_path: Path, minilm: LoadedEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    items = Catalogue(ids=list("abcde"), texts=TEXTS)
    loads: list[int] = []

    def load(self: TextEncoder) -> LoadedEncoder:
        loads.append(1)
        return minilm

    monkeypatch.setattr(TextEncoder, "load", load)
    monkeypatch.setattr(minilm, "config", EXACT.replace(batch_tokens=8))
    forward = minilm.forward
    calls = []

    def interrupted(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return forward(ids, mask)

    monkeypatch.setattr(minilm, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        EXACT.embed_items(items, tmp_path, "minilm")
    store = EXACT.embed_items(items, tmp_path, "minilm")
    assert len(calls) == 5, "two before the interruption, two after, none twice"
    np.testing.assert_allclose(store.all(), _all(minilm, TEXTS), atol=1e-3)
    assert store.manifest.extra == {"empty": 1}
    assert store.manifest.teacher == "minilm"
    assert EXACT.replace(batch_tokens=9).embed_items(items, tmp_path, "minilm").manifest == store.manifest
    assert len(loads) == 2
    with pytest.raises(KnowledgeError, match="teacher_fingerprint"):
        EXACT.replace(max_length=9).embed_items(items, tmp_path, "minilm")
    with pytest.raises(KnowledgeError, match="another dataset"):
        EXACT.embed_items(Catalogue(ids=list("abcde"), texts=TEXTS[::-1]), tmp_path, "minilm")


def test_teaching_a_split(tmp_path: Path, minilm: LoadedEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextEncoder, "load", lambda self: minilm)
    split = tiny_split(n_items=10)
    assert EXACT.teach(split, tmp_path, "texts") == {"items": 10, "dim": 384, "empty": 0}
    assert Knowledge.open(tmp_path).embeddings("texts")[0].manifest.prompt_hash is None
    assert EXACT.embed_items(split.dataset, tmp_path / "embeddings", "texts").dim == 384


def test_bad_texts_and_vectors(tmp_path: Path, minilm: LoadedEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TeacherError, match="no text to embed"):
        EXACT.embed_items(Catalogue(ids=["a"]), tmp_path / "a")
    monkeypatch.setattr(TextEncoder, "load", lambda self: minilm)
    monkeypatch.setattr(minilm, "forward", lambda ids, mask: torch.full((len(ids), 384), torch.nan))
    with pytest.raises(TeacherError, match="not finite"):
        EXACT.embed_items(Catalogue(ids=["a"], titles=["A"]), tmp_path / "b")


def test_fingerprints() -> None:
    assert EXACT.fingerprint() == TextEncoder(dtype="float32", batch_tokens=7, device="cpu").fingerprint()
    others = [TextEncoder(), EXACT.replace(pooling="cls"), EXACT.replace(template="a {text}"), LLMEncoder(layer=0.5)]
    assert len({teacher.fingerprint() for teacher in (EXACT, *others)}) == 5
