"""What is particular to a language model that is fine-tuned as the recommender."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recdistill.errors import ConfigError, TeacherError, TrainingError
from recdistill.knowledge import Knowledge
from recdistill.models import LLMRecommender, SASRec, load_model
from recdistill.models.llm_recommender import LLMRecommenderModel
from recdistill.pretrained.decoder import load_decoder
from recdistill.teachers import LLMEncoder
from recdistill.teachers.own_vectors import leave_vectors
from recdistill.teachers.recommender import RecommenderTeacher
from recdistill.training import Training, fit
from tests.models.language_model import FOLDER, write_language_model
from tests.models.test_contract import text_knowledge
from tests.synthetic import contexts_of, tiny_split

SPLIT = tiny_split()
TINY = LLMRecommender(model=FOLDER, dtype="float32", dim=8, max_length=6, rank=2)
SHORT = Training(epochs=2, batch=64, device="cpu")


@pytest.fixture(scope="module", autouse=True)
def _there() -> None:
    write_language_model()


def built(config: LLMRecommender = TINY, seed: int = 0) -> LLMRecommenderModel:
    model = config.build(SPLIT, text_knowledge() if config.text else None, seed)
    assert isinstance(model, LLMRecommenderModel)
    return model


def test_states_are_those_of_transformers_between_two_maps() -> None:
    from transformers import AutoModel

    model = built(TINY.replace(rank=0)).eval()
    items, weights = [3, 1, 4], model.tensors()
    read = np.float32(8**0.5) * weights["items"][items] @ weights["into.weight"].T
    states = AutoModel.from_pretrained(FOLDER)(inputs_embeds=torch.from_numpy(read)[None]).last_hidden_state
    out = states[0].detach().numpy() @ weights["back.weight"].T + weights["back.bias"]
    expected = (out - out.mean(1, keepdims=True)) / np.sqrt(out.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(model.encode(contexts_of([items]))[0], expected[-1], rtol=1e-4, atol=1e-5)


def test_vectors_that_it_reads_are_as_long_as_its_word_vectors() -> None:
    from transformers import AutoModel

    words = AutoModel.from_pretrained(FOLDER).get_input_embeddings().weight.detach()
    model = built(TINY.replace(dim=256))
    read = model.into(torch.randn(500, 256)).detach()
    assert float(read.square().mean().sqrt()) == pytest.approx(float(words.square().mean().sqrt()), rel=0.15)


def test_adapters_begin_as_nothing_and_are_all_that_changes() -> None:
    np.testing.assert_array_equal(built().score(SPLIT.test), _without_adapters(built()).score(SPLIT.test))
    fitted = fit(TINY, SPLIT, training=SHORT).model
    assert isinstance(fitted, LLMRecommenderModel)
    before = dict(load_decoder(TINY).network.named_parameters())
    adapters = 0
    for name, value in fitted.llm.named_parameters():
        if "lora_" in name:
            adapters += 1
            assert value.dtype == torch.float32
        else:
            assert torch.equal(value, before[name.replace("base_layer.", "")])
    assert adapters == 2 * 2 * 7  # A and B, of two blocks with seven matrices each
    assert np.abs(fitted.score(SPLIT.test) - _without_adapters(fitted).score(SPLIT.test)).max() > 1e-3


def _without_adapters(model: LLMRecommenderModel) -> LLMRecommenderModel:
    plain = built(TINY.replace(rank=0))
    plain.load_tensors({name: value for name, value in model.tensors().items() if "lora_" not in name})
    return plain


def test_only_the_named_matrices_get_adapters() -> None:
    names = [n for n, _ in built(TINY.replace(targets=("q_proj",))).llm.named_parameters() if "lora_" in n]
    assert len(names) == 4
    assert all("q_proj" in name for name in names)
    with pytest.raises(ConfigError, match=r"no adapters fit.*Target modules"):
        built(TINY.replace(targets=("nothing",)))


def test_what_is_saved_leaves_the_language_model_out(tmp_path: Path) -> None:
    model = built()
    model.save(tmp_path / "model")
    assert not [name for name in model.tensors() if name.endswith("proj.base_layer.weight") or "layernorm" in name]
    assert (tmp_path / "model/weights.safetensors").stat().st_size < 40_000
    again = load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.score(SPLIT.test), model.score(SPLIT.test))


def test_another_language_model_is_refused(tmp_path: Path) -> None:
    folder = write_language_model(str(tmp_path / "mine"))
    built(TINY.replace(model=folder)).save(tmp_path / "model")
    write_language_model(folder, seed=1)
    with pytest.raises(TeacherError, match=r"mine: these are not the language model's weights"):
        load_model(tmp_path / "model")


def test_models_in_one_process_share_the_frozen_weights() -> None:
    if torch.accelerator.is_available():
        pytest.skip("networks move to the accelerator")
    one, other = built(), built(seed=1)
    mine, theirs = dict(one.llm.named_parameters()), dict(other.llm.named_parameters())
    for name, value in mine.items():
        assert (value is theirs[name]) == ("lora_" not in name)


def test_the_first_blocks_can_be_kept() -> None:
    whole, half = built(), built(TINY.replace(layers=1))
    assert len(half.llm.layers) == 1
    assert whole.n_parameters > half.n_parameters
    with pytest.raises(ConfigError, match="layers: layers=9 of a model with 2"):
        built(TINY.replace(layers=9))


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 32}
    BertModel(BertConfig(**sizes, num_attention_heads=2)).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="reads in both directions"):
        built(TINY.replace(model=str(tmp_path)))


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="no model folder"):
        built(TINY.replace(model=str(tmp_path / "none")))


def test_a_free_head_is_not_what_is_read() -> None:
    model = built(TINY.replace(head="free")).eval()
    assert model.head is not None
    before = model.encode(SPLIT.test)
    with torch.no_grad():
        model.head.add_(1)
    np.testing.assert_array_equal(model.encode(SPLIT.test), before)
    np.testing.assert_array_equal(model.item_vectors(), model.head.detach().numpy())


def test_checkpointing_changes_memory_only() -> None:
    plain = TINY.replace(adapter_dropout=0, dropout=0)
    found = [fit(c, SPLIT, training=SHORT).model for c in (plain, plain.replace(checkpointing=True))]
    np.testing.assert_allclose(found[0].score(SPLIT.test), found[1].score(SPLIT.test), rtol=1e-4, atol=1e-5)


def test_frozen_weights_in_bfloat16_and_the_rest_exact() -> None:
    model = fit(TINY.replace(dtype="bfloat16"), SPLIT, training=SHORT).model
    assert isinstance(model, LLMRecommenderModel)
    kinds = {n: p.dtype for n, p in model.named_parameters()}
    assert {d for n, d in kinds.items() if n in model._frozen} == {torch.bfloat16}
    assert {d for n, d in kinds.items() if n not in model._frozen} == {torch.float32}
    assert np.isfinite(model.score(SPLIT.test)).all()


def test_a_killed_training_goes_on_exactly(tmp_path: Path) -> None:
    whole = fit(TINY, SPLIT, training=SHORT.replace(epochs=3))
    fit(TINY, SPLIT, training=SHORT.replace(epochs=1, checkpoint_seconds=0), directory=tmp_path / "fit")
    resumed = fit(TINY, SPLIT, training=SHORT.replace(epochs=3), directory=tmp_path / "fit")
    np.testing.assert_array_equal(resumed.model.score(SPLIT.test), whole.model.score(SPLIT.test))
    assert (tmp_path / "fit/checkpoint.safetensors").stat().st_size < 200_000  # without the language model
    with pytest.raises(TrainingError, match="another training"):
        fit(TINY.replace(rank=4), SPLIT, training=SHORT, directory=tmp_path / "fit")


def test_it_teaches_like_any_recommender(tmp_path: Path) -> None:
    teacher = fit(TINY.replace(text="encoder"), SPLIT, knowledge=text_knowledge(), training=SHORT).model
    assert isinstance(teacher, LLMRecommenderModel)
    RecommenderTeacher(teacher, name="llm").label(SPLIT, tmp_path / "rankings", k=5)
    leave_vectors(teacher, SPLIT, tmp_path, "llm")
    knowledge = Knowledge.open(tmp_path)
    assert knowledge.kinds() == ("embeddings", "rankings", "weights")
    kept: Any = knowledge.weights("llm")[0].tensors()
    np.testing.assert_array_equal(kept["items"], teacher.item_vectors())
    from recdistill.objectives import CrossEntropy, EmbeddingHint, SoftLabels

    terms = [CrossEntropy(), SoftLabels(teacher="llm"), EmbeddingHint(teacher="llm", weight=0.1)]
    student = fit(SASRec(dim=4, blocks=1), SPLIT, terms, knowledge=knowledge, training=SHORT).model
    assert np.isfinite(student.score(SPLIT.test)).all()


@pytest.fixture(scope="module")
def smollm2() -> LLMRecommenderModel:
    """The real one, its first two blocks, behind a prompt."""
    return built(LLMRecommender(dtype="float32", layers=2, dim=8, max_length=6, prompt="Films that I liked:"))


def test_the_real_language_model_learns(smollm2: LLMRecommenderModel) -> None:
    batch = torch.arange(30).view(5, 6)
    labels = (batch + 1) % SPLIT.n_items
    learned = [p for p in smollm2.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=3e-3)
    losses: list[float] = []
    smollm2.eval()  # without dropout the loss must fall
    for _ in range(8):
        table = smollm2.table()
        loss = torch.nn.functional.cross_entropy((smollm2.states(batch[:, 0], batch, table) @ table.T).mT, labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.3


def test_the_prompt_is_read_by_the_real_one(smollm2: LLMRecommenderModel) -> None:
    assert len(smollm2.prompt) >= 4
    inputs = torch.tensor([[1, 2, 3]])

    def states() -> Tensor:
        with torch.inference_mode():
            return smollm2.eval().states(inputs[:, 0], inputs, smollm2.table())

    before, prompt = states(), smollm2.prompt
    assert before.shape == (1, 3, 8)
    smollm2.prompt = prompt[:0]
    assert not torch.allclose(before, states(), atol=1e-3)
    smollm2.prompt = prompt


def test_other_weights_in_the_folder_are_another_input(tmp_path: Path) -> None:
    folder = write_language_model(str(tmp_path / "mine"))
    before, encoder = TINY.replace(model=folder).inputs(), LLMEncoder(model=folder).inputs()
    assert before == encoder != ()
    write_language_model(folder, seed=1)
    assert TINY.replace(model=folder).inputs() == LLMEncoder(model=folder).inputs() != before
    assert LLMRecommender().inputs() == LLMEncoder().inputs() == ()  # a package's weights have a checksum
