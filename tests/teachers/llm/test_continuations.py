"""Likelihoods of continuations: what a plain pass over each whole text gives."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.teachers.llm.backends import Transformers
from recdistill.teachers.llm.backends.continuations import Branches, log_likelihoods
from recdistill.teachers.llm.backends.local import LocalModel
from recdistill.teachers.llm.exchange import Failure, Hopeless, Reply, Request

from .test_local import ask, opened, question, write_chat_model


def likelihood(prefixes: list[str], continuations: list[str]) -> Request:
    return Request("likelihood", {"prefixes": prefixes, "continuations": continuations})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_chat_model(tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_chat_model(tmp_path_factory.mktemp("bare"), template=None)


def plain(model: Any, stem: tuple[int, ...], end: tuple[int, ...]) -> float:
    """One pass over one whole text."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*stem, *end]])).logits[0].float()
    logps = torch.log_softmax(logits, dim=-1)
    return float(sum(logps[len(stem) + at - 1, token] for at, token in enumerate(end)))


tokens = st.lists(st.integers(2, 30), min_size=1, max_size=6).map(tuple)
branches = st.builds(Branches, tokens, st.lists(tokens, min_size=1, max_size=4).map(tuple))


@settings(max_examples=30, deadline=None)
@given(st.lists(branches, min_size=1, max_size=5), st.sampled_from([1, 20, 10_000]))
def test_equal_to_a_pass_over_each_text(folder: str, several: list[Branches], budget: int) -> None:
    found = log_likelihoods(network(folder), 0, several, budget)
    for one, numbers in zip(several, found, strict=True):
        wanted = [plain(network(folder), one.stem, end) for end in one.ends]
        np.testing.assert_allclose(numbers[:, 0], wanted, rtol=0, atol=1e-3)
        assert numbers[:, 1].tolist() == [len(end) for end in one.ends]


@pytest.mark.parametrize("kind", ["Bloom", "Mamba", "GPT2", "Mistral"])
def test_other_kinds_of_models(kind: str) -> None:
    """Places by a bias on distances, no attention at all, learned places, and a window shorter than the text."""
    import transformers

    sizes: dict[str, dict[str, Any]] = {
        "Bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2},
        "Mamba": {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
        "GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64},
        "Mistral": {
            "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
            "intermediate_size": 32, "sliding_window": 4,
        },
    }  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(vocab_size=40, initializer_range=0.5, **sizes[kind])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, f"{kind}ForCausalLM" if kind != "GPT2" else "GPT2LMHeadModel")(config).eval()
    several = [
        Branches((3, 4, 5, 6, 7, 8, 9), ((10,), (11, 12, 13, 14, 15, 16), (17, 18))),
        Branches((20, 21), ((22, 23, 24), (10,))),
    ]
    for one, numbers in zip(several, log_likelihoods(model, 0, several, 40), strict=True):
        wanted = [plain(model, one.stem, end) for end in one.ends]
        np.testing.assert_allclose(numbers[:, 0], wanted, rtol=0, atol=1e-3)


_loaded: dict[str, Any] = {}


def network(folder: str) -> Any:
    """The model of a folder, loaded once."""
    from transformers import LlamaForCausalLM

    if folder not in _loaded:
        _loaded[folder] = LlamaForCausalLM.from_pretrained(folder).eval()
    return _loaded[folder]


def merging(text: str) -> list[int]:
    """A tokenizer that makes one token of ``:`` and the letter after it, as byte-pair encodings do."""
    found: list[int] = []
    while text:
        size = 2 if text[0] == ":" and len(text) > 1 else 1
        found.append(sum(ord(char) * 1000**at for at, char in enumerate(text[:size])))
        text = text[size:]
    return found


def test_a_token_across_the_boundary_belongs_to_each_end() -> None:
    found = Branches.of(merging, "ab:", ["c", "cd", "e"], 0)
    assert found.stem == (97, 98)
    assert found.ends == ((58 + 99_000,), (58 + 99_000, 100), (58 + 101_000,))
    assert (found.tokens, found.longest) == (6, 4)


def test_what_continuations_share_is_still_theirs() -> None:
    found = Branches.of(merging, "ab", ["cd", "ce"], 0)
    assert found.stem == (97, 98)
    assert found.ends == ((99, 100), (99, 101))


def test_a_text_begins_with_something() -> None:
    assert Branches.of(merging, ":", ["a", "b"], 7) == Branches((7,), ((58 + 97_000,), (58 + 98_000,)))


@given(st.text("ab:", min_size=1, max_size=5), st.lists(st.text("ab:", min_size=1, max_size=4), min_size=1, max_size=4))
def test_branches_are_the_whole_texts(prefix: str, texts: list[str]) -> None:
    found = Branches.of(merging, prefix, texts, 7)
    for text, end in zip(texts, found.ends, strict=True):
        assert end
        assert [*found.stem, *end] in (merging(prefix + text), [7, *merging(prefix + text)])
    assert len(found.stem) <= max(1, len(merging(prefix)))


def test_asked_together_and_alone_the_numbers_are_the_same(folder: str) -> None:
    texts = [" film next", " A", " B like C D E", " comes"]
    asked = [likelihood(["like film A"], texts), likelihood(["like B which film"], texts[:2])]
    with opened(folder) as model:
        together = ask(model, *asked, likelihood(["like film A", "like"], texts), question("film"))
        alone = [ask(model, request)[0] for request in asked]
        wanted = [plain(model.model, (words(model, "like film A")), words(model, text)) for text in texts]
        without = [plain(model.model, (words(model, "like")), words(model, text)) for text in texts]
    assert all(isinstance(reply, Reply) for reply in together)
    for one, other in zip(together, alone, strict=False):
        np.testing.assert_allclose(one.numbers, other.numbers, atol=1e-4)
    np.testing.assert_allclose(together[0].numbers[::2], wanted, atol=1e-3)
    assert together[0].numbers[1::2].tolist() == [2, 1, 5, 1]
    np.testing.assert_allclose(together[2].numbers[::2], wanted + without, atol=1e-3)
    assert (together[0].tokens_in, together[0].tokens_out) == (3 + 9, 0)
    assert together[3].top


def words(model: Any, text: str) -> tuple[int, ...]:
    return tuple(model.tokenizer(text)["input_ids"])


def test_a_model_without_a_chat_template_still_knows_what_is_likely(bare: str) -> None:
    with opened(bare) as model:
        assert (model.capabilities.chat, model.capabilities.likelihood) == (False, True)
        assert model.capabilities.top_logprobs == 0
        likely, asked = ask(model, likelihood(["like"], [" film", " A"]), question("film"))
    assert len(likely.numbers) == 4
    assert isinstance(asked, Hopeless)
    assert "has no chat template" in asked.why


def test_a_text_that_is_too_long_fails_alone(folder: str) -> None:
    with opened(folder, context=64) as model:
        long, fine = ask(model, likelihood(["film " * 60], [" A B C D E F", " A"]), likelihood(["film"], [" A", " B"]))
    assert isinstance(long, Failure)
    assert (long.why, long.again) == ("the question has 66 tokens, there is room for 64", False)
    assert isinstance(fine, Reply)


def test_the_model_of_the_package_reads_titles() -> None:
    """Real weights and a real byte-pair encoding: boundaries where tokens merge, and Chinese."""
    prefixes = ["Movies like Alien, Aliens, Predator,", "喜欢的电影：《异形》，"]
    texts = [" The Terminator", " Sense and Sensibility", "《终结者》"]
    model = LocalModel(Transformers(dtype="float32", device="cpu"))
    try:
        reply = ask(model, likelihood(prefixes, texts))[0]
        wanted = []
        for prefix in prefixes:
            one = Branches.of(lambda text: list(model.tokenizer(text)["input_ids"]), prefix, texts, 0)
            wanted += [(plain(model.model, one.stem, end), len(end)) for end in one.ends]
    finally:
        asyncio.run(model.close())
    numbers = reply.numbers.reshape(-1, 2)
    np.testing.assert_allclose(numbers, wanted, rtol=0, atol=1e-3)
    assert numbers[0, 0] > numbers[1, 0]  # after horror comes action sooner than Jane Austen
