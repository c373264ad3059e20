"""A model in this process: a small one with random weights, computed by transformers as any other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np
import pytest
import torch

from recdistill.teachers.llm.backends.local import LocalModel, Transformers
from recdistill.teachers.llm.exchange import Failure, Hopeless, Reply, Request

T = TypeVar("T")
WORDS = ["<pad>", "<end>", "<unk>", *(f"w{number}" for number in range(61))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    place = tmp_path_factory.mktemp("llama")
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "eos_token": "<end>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **special)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    tokenizer.save_pretrained(place)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": len(WORDS)}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 128}
    config = LlamaConfig(**sizes, **heads, pad_token_id=0, eos_token_id=1, bos_token_id=None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(place)
    return str(place)


def question(content: str = "w1 w2 w3", **more: Any) -> Request:
    return Request("chat", {"messages": [{"role": "user", "content": content}], "max_tokens": 6, **more})


def opened(folder: str, work: Callable[[LocalModel], Awaitable[T]], **settings: Any) -> T:
    async def run() -> T:
        model = await Transformers(model=folder, device="cpu", dtype="float32", **settings).open()
        assert isinstance(model, LocalModel)
        try:
            return await asyncio.wait_for(work(model), 60)
        finally:
            await model.close()

    return asyncio.run(run())


def test_log_probabilities_are_those_of_the_first_tokens(folder: str) -> None:
    async def work(model: LocalModel) -> tuple[Reply, Reply, np.ndarray[Any, Any]]:
        plain = await model.ask(question(), "")
        both = await asyncio.gather(
            model.ask(question(logprobs=True, top_logprobs=5), ""), model.ask(question("w9 w8"), "")
        )
        logits = []
        ids = model.tokenizer("w1 w2 w3", return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            for _ in range(3):
                logits.append(torch.log_softmax(model.model(ids).logits[:, -1], dim=-1))
                ids = torch.cat([ids, logits[-1].argmax(dim=1, keepdim=True)], dim=1)
        assert not model.model._forward_hooks
        return plain, both[0], torch.cat(logits).numpy()

    plain, told, logits = opened(folder, work)
    assert (plain.text, plain.top) == (told.text, [])
    assert plain.tokens_out == 6
    assert len(told.top) == 3  # of the first tokens, whatever is written
    for place, row in zip(told.top, logits, strict=True):
        np.testing.assert_allclose([logp for _, logp in place], np.sort(row)[::-1][:5], atol=1e-4)
        assert place[0][0] == WORDS[int(row.argmax())]


def test_an_answer_without_a_limit_ends_somewhere(folder: str) -> None:
    async def work(model: LocalModel) -> Reply:
        request = model.completed(question())
        assert "max_tokens" not in request.body
        return await model.ask(request, "")

    reply = opened(folder, work, parameters={"max_tokens": None, "max_completion_tokens": 3})
    assert (reply.tokens_out, reply.cut) == (3, True)
    with pytest.raises(Failure, match="there is room for -384"):
        opened(folder, work, parameters={"max_tokens": None})


@pytest.mark.parametrize(
    "wrong", [{"temperature": "warm"}, {"max_tokens": "many"}, {"logprobs": True, "top_logprobs": []}]
)
def test_parameters_that_are_no_numbers_are_told_and_hurt_nobody_else(folder: str, wrong: dict[str, Any]) -> None:
    async def work(model: LocalModel) -> Reply:
        if wrong.get("top_logprobs") != []:
            with pytest.raises(Hopeless, match="a parameter is no number"):
                await model.ask(question(**wrong), "")
        return await model.ask(question(), "")

    assert opened(folder, work).tokens_out == 6


def test_whatever_goes_wrong_everybody_hears_of_it(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("a defect")

    async def work(model: LocalModel) -> Reply:
        with monkeypatch.context() as patch:
            patch.setattr(model, "_answer", broken)
            found = await asyncio.gather(*(model.ask(question(), "") for _ in range(3)), return_exceptions=True)
        assert [str(error) for error in found] == ["the model failed (KeyError: 'a defect')"] * 3
        return await model.ask(question(), "")

    assert opened(folder, work).tokens_out == 6


def test_a_batch_too_large_for_the_memory_is_halved(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    async def work(model: LocalModel) -> list[Reply]:
        answer = model._answer

        def small(batch: list[Any]) -> list[Reply]:
            sizes.append(len(batch))
            if len(batch) > 2:
                raise torch.OutOfMemoryError("no memory")
            return answer(batch)

        monkeypatch.setattr(model, "_answer", small)
        replies = await asyncio.gather(*(model.ask(question(f"w{n}"), "") for n in range(8)))
        assert model._budget < 2048
        return replies

    assert [reply.tokens_out > 0 for reply in opened(folder, work)] == [True] * 8
    assert max(sizes) > 2
