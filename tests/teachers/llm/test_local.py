"""A causal model of transformers in this process: batches, log-probabilities, generation, what goes wrong."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recdistill as rd
from recdistill.errors import TeacherError
from recdistill.knowledge import Knowledge
from recdistill.teachers.llm.backends import Transformers
from recdistill.teachers.llm.backends.local import LocalModel, _Waiting
from recdistill.teachers.llm.candidates import RandomCandidates
from recdistill.teachers.llm.exchange import Failure, Reply, Request
from recdistill.teachers.llm.reading import LETTERS
from recdistill.teachers.llm.tasks import Listwise
from recdistill.testing import tiny_split

WORDS = [*LETTERS, "like", "film", "which", "comes", "next", "?"]
TEMPLATE = "{% for m in messages %}{{ m['content'] }} {% endfor %}{% if add_generation_prompt %}next{% endif %}"


def write_chat_model(folder: Path, template: str | None = TEMPLATE) -> str:
    """A random Llama that knows some words, and a tokenizer with a chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    names = ["<unk>", "</s>", *WORDS]
    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(names)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="</s>")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, vocab_size=len(names),
        max_position_embeddings=128, bos_token_id=None, eos_token_id=1, initializer_range=0.3,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_chat_model(tmp_path_factory.mktemp("chat"))


def question(words: str, **more: Any) -> Request:
    """One that asks for a token and its rivals."""
    body = {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 5} | more
    return Request("chat", {"messages": [{"role": "user", "content": words}], **body})


@contextmanager
def opened(folder: str, **changes: Any) -> Iterator[LocalModel]:
    async def close(model: LocalModel) -> None:
        await model.close()

    model = LocalModel(Transformers(model=folder, dtype="float32", device="cpu", **changes))
    try:
        yield model
    finally:
        asyncio.run(close(model))


def ask(model: LocalModel, *requests: Request) -> list[Any]:
    """Replies or failures, all asked at once."""

    async def work() -> list[Any]:
        return await asyncio.gather(
            *(model.ask(model.completed(r), str(n)) for n, r in enumerate(requests)), return_exceptions=True
        )

    return asyncio.run(work())


def logits(model: LocalModel, words: str) -> torch.Tensor:
    """Log-probabilities after a question, computed apart: float32 ``[vocabulary]``."""
    ids = model.tokenizer(f"{words} next", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return torch.log_softmax(model.model(input_ids=ids).logits[0, -1].float(), dim=-1)


def test_log_probabilities_are_those_of_each_question_alone(folder: str) -> None:
    said = ["film", "like film A which film comes ?", "B C D E F", "like like like like like like like like"]
    with opened(folder) as model:
        for words, reply in zip(said, ask(model, *map(question, said)), strict=True):
            assert isinstance(reply, Reply)
            values, tokens = logits(model, words).topk(5)
            assert [token for token, _ in reply.top[0]] == [model.tokenizer.decode([t]) for t in tokens.tolist()]
            np.testing.assert_allclose([value for _, value in reply.top[0]], values, rtol=1e-4, atol=1e-4)
            assert reply.text == model.tokenizer.decode(tokens[:1], skip_special_tokens=True)
            assert (reply.tokens_in, reply.tokens_out) == (len(words.split()) + 1, 1)
            assert reply.cut


def test_batches_have_questions_of_like_length_within_the_budget(folder: str) -> None:
    shapes: list[tuple[int, int]] = []
    with opened(folder, batch_tokens=40) as model:
        start = threading.Event()

        def watch(_: Any, __: Any, given: dict[str, Any]) -> None:
            start.wait(20)  # so that all others wait by then
            shapes.append(tuple(given["input_ids"].shape))

        model.model.register_forward_pre_hook(watch, with_kwargs=True)
        lengths = [1, 19, 2, 9, 18, 3, 9, 1, 2, 3]
        threading.Timer(0.5, start.set).start()
        replies = ask(model, *(question("film " * length) for length in lengths))
    assert [reply.tokens_in - 1 for reply in replies] == lengths
    assert sum(rows for rows, _ in shapes) == len(lengths)
    assert all(rows * width <= 40 for rows, width in shapes)
    assert len(shapes) < len(lengths)
    later = [width for _, width in shapes[1:]]
    assert later == sorted(later, reverse=True)


def test_a_question_that_is_longer_than_the_budget_goes_alone(folder: str) -> None:
    with opened(folder, batch_tokens=4) as model:
        assert ask(model, question("film " * 30))[0].tokens_in == 31


def test_what_is_written_is_what_generate_writes(folder: str) -> None:
    words = ["like film A", "which film comes ?"]
    with opened(folder) as model:
        replies = ask(model, *(question(text, max_tokens=6) for text in words))
        for text, reply in zip(words, replies, strict=True):
            ids = model.tokenizer(f"{text} next", return_tensors="pt")
            ids.pop("token_type_ids", None)
            out = model.model.generate(**ids, max_new_tokens=6, do_sample=False, pad_token_id=1)
            written = out[0, ids["input_ids"].shape[1] :].tolist()
            kept = written[: written.index(1)] if 1 in written else written
            assert reply.text == model.tokenizer.decode(kept)
            assert reply.cut == (1 not in written)
            assert reply.tokens_out == len(kept) + (1 in written)
            assert len(reply.top) == min(3, len(written))


def test_an_answer_ends_at_the_token_that_ends_it(folder: str) -> None:
    with opened(folder) as model:
        whole = ask(model, question("like film A", max_tokens=6, logprobs=False))[0]
        words = whole.text.split()
        third = model.tokenizer.convert_tokens_to_ids(words[2])
        model.model.generation_config.eos_token_id = [1, third]
        reply = ask(model, question("like film A", max_tokens=6))[0]
    assert reply.text.split() == words[: words.index(words[2])]
    assert not reply.cut
    assert reply.tokens_out == words.index(words[2]) + 1
    assert not whole.top


def test_drawn_answers_do_not_share_a_batch_with_likeliest_ones(folder: str) -> None:
    with opened(folder) as model:
        kinds: list[bool] = []
        answer = model._answer

        def watched(batch: Any) -> list[Reply]:
            kinds.extend({waiting.sampled > 0 for waiting in batch})
            assert len({waiting.sampled for waiting in batch}) == 1
            return answer(batch)

        model._answer = watched  # type: ignore[method-assign]
        requests = [question("film", temperature=0.7 * (n % 2), max_tokens=3) for n in range(6)]
        replies = ask(model, *requests)
    assert all(isinstance(reply, Reply) for reply in replies)
    assert set(kinds) == {True, False}


def test_parameters_are_added_and_taken_out(folder: str) -> None:
    with opened(folder, parameters={"max_tokens": 2, "logprobs": None}) as model:
        reply = ask(model, question("film"))[0]
    assert reply.tokens_out <= 2
    assert not reply.top


def test_what_cannot_be_asked_is_said_in_a_line(folder: str) -> None:
    with opened(folder, context=64) as model:
        assert model.capabilities.context == 64
        long, route, fine = ask(
            model, question("film " * 80), Request("embeddings", {"input": ["x"]}), question("film")
        )
    assert isinstance(long, Failure)
    assert (long.why, long.again) == ("the question has 81 tokens, there is room for 63", False)
    assert isinstance(route, Failure)
    assert (route.why, route.again) == ("this backend does no embeddings", False)
    assert isinstance(fine, Reply)


def test_a_batch_that_fails_is_no_end(folder: str) -> None:
    with opened(folder) as model:
        hook = model.model.register_forward_pre_hook(_out_of_memory)
        failure = ask(model, question("film"))[0]
        hook.remove()
        assert isinstance(ask(model, question("film"))[0], Reply)
    assert isinstance(failure, Failure)
    assert failure.why == "the model failed (RuntimeError: out of memory)"
    assert failure.again


def _out_of_memory(*_: Any) -> None:
    raise RuntimeError("out of memory\nand many more lines")


def test_who_gave_up_waiting_harms_nobody(folder: str) -> None:
    async def work(model: LocalModel) -> Reply:
        waiting = asyncio.ensure_future(model.ask(question("film"), "a"))
        await asyncio.sleep(0)
        waiting.cancel()
        return await model.ask(question("film like"), "b")

    with opened(folder) as model:
        assert asyncio.run(work(model)).tokens_in == 3
        gone = asyncio.new_event_loop()
        waiting = _Waiting([3, 4], gone, gone.create_future(), 1, 0.0, 5)
        gone.close()
        model._pool.append(waiting)
        assert isinstance(ask(model, question("film film"))[0], Reply)
        assert isinstance(ask(model, question("film"))[0], Reply)


def test_models_that_cannot_be_asked(tmp_path: Path) -> None:
    task = Listwise(contexts=8, candidates=RandomCandidates(n=4))
    silent = Transformers(model=write_chat_model(tmp_path / "silent", template=None))
    with pytest.raises(TeacherError, match=r"silent: has no chat template; use a model that was tuned"):
        rd.teachers.LLM(task=task, backend=silent).teach(tiny_split(), tmp_path / "k", "silent")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    with pytest.raises(TeacherError, match="cannot load this model") as told:
        LocalModel(Transformers(model=str(tmp_path / "broken")))
    assert "\n" not in str(told.value)


def test_closing_ends_the_thread(folder: str) -> None:
    with opened(folder) as model:
        assert model._thread.is_alive()
    assert not model._thread.is_alive()
    assert not hasattr(model, "model")


def test_the_whole_way(folder: str, tmp_path: Path) -> None:
    split = tiny_split()
    task = Listwise(contexts=8, candidates=RandomCandidates(n=4), orders=2)
    llm = rd.teachers.LLM(task=task, backend=Transformers(model=folder, dtype="float32", device="cpu", context=128))
    facts = llm.teach(split, tmp_path / "k", "local")
    assert facts["questions"] == {"answered": 16}
    (store,) = Knowledge.open(tmp_path / "k").rankings("local")
    found = store.read(np.arange(split.train.n_positions))
    assert (found.confidence > 0).sum() == 8


def test_the_real_one_reads_letters(tmp_path: Path) -> None:
    words = "Which letter comes first in the alphabet?\nA. the letter A\nB. the letter B\nAnswer with one letter."
    model = LocalModel(Transformers(dtype="float32", device="cpu", context=128))
    try:
        reply, text = ask(model, question(words, top_logprobs=20), question("Say hello.", max_tokens=4))
        top = dict(reply.top[0])
        assert {"A", "B"} <= {token.strip() for token in top}
        assert sum(np.exp(list(top.values()))) <= 1 + 1e-5
        assert text.text
    finally:
        asyncio.run(model.close())
