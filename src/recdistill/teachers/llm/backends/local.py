"""A causal language model of transformers in this process, asked in batches of like length."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ....pretrained import locate
from ....pretrained.loading import choose_device, load_pretrained
from ..engine import Backend
from ..exchange import Capabilities, Failure, Hopeless, Reply, Request, Top
from ..pace import PaceConfig
from .base import BackendConfig
from .continuations import Branches, log_likelihoods

__all__ = ["LocalModel", "Transformers"]

_TOP = 50
"""Log-probabilities that are given at most."""
_PLACES = 3
_LONG = 512
"""Tokens of an answer that nothing limits."""


class Transformers(BackendConfig):
    """Any causal language model that transformers loads, on a GPU if there is one.

    Questions that wait are sorted by length and computed in batches; one that asks for a single token takes one pass.
    Of one that asks how likely several continuations are, the beginning is computed once for all of them. A model
    without a chat template can be asked that and nothing else.
    """

    name: ClassVar[str] = "transformers"
    speed_only: ClassVar[frozenset[str]] = BackendConfig.speed_only | {
        "model", "gguf", "revision", "local_only", "device", "batch_tokens",
    }  # fmt: skip

    model: str = Field("smollm2", description="'smollm2' (inside a package), a folder, or a name at the hub")
    gguf: str | None = Field(None, description="file in the folder, for weights in GGUF")
    revision: str | None = Field(None, description="branch, tag or commit at the hub")
    local_only: bool = Field(False, description="never ask the hub, use only what is on this machine")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 where the hardware multiplies it, float32 elsewhere"
    )
    device: str = Field("auto", description="auto: GPU if there is one")
    context: int = Field(4096, ge=64, description="tokens that question and answer may have together")
    batch_tokens: int | None = Field(
        None, ge=1, description="tokens in a batch, padding included; None: 2,048 on a CPU, 65,536 elsewhere"
    )
    pace: PaceConfig = PaceConfig(start=256, most=256)

    async def open(self) -> Backend:
        return await asyncio.get_running_loop().run_in_executor(None, LocalModel, self)


@dataclass(slots=True)
class _Likelihood:
    """A question about continuations: one set of branches for each beginning."""

    branches: list[Branches]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Reply]

    @property
    def kind(self) -> Hashable:
        return "likelihood", len(self.branches)

    @property
    def length(self) -> int:
        return sum(one.tokens for one in self.branches)

    @property
    def longest(self) -> int:
        """Tokens of its longest text."""
        return max(one.longest for one in self.branches)


@dataclass(slots=True)
class _Waiting:
    ids: list[int]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Reply]
    most: int
    """Tokens that may be written."""
    sampled: float
    """Temperature; 0 for the likeliest token."""
    top: int
    """Log-probabilities that are wanted."""

    @classmethod
    def of(cls, body: dict[str, Any], ids: list[int]) -> _Waiting:
        """A question by the parameters that it comes with.

        Raises:
            Hopeless: One of them is no number.
        """
        loop = asyncio.get_running_loop()
        try:
            most = int(body.get("max_tokens") or body.get("max_completion_tokens") or _LONG)
            top = int(body.get("top_logprobs") or 0) if body.get("logprobs") else 0
            return cls(ids, loop, loop.create_future(), most, float(body.get("temperature") or 0.0), top)
        except (TypeError, ValueError) as error:
            hint = "correct max_tokens, temperature or top_logprobs under parameters"
            raise Hopeless(f"a parameter is no number ({error})", hint) from None

    @property
    def alone(self) -> bool:
        """Whether one pass is enough."""
        return self.most == 1

    @property
    def kind(self) -> Hashable:
        return self.alone, self.sampled

    @property
    def length(self) -> int:
        return len(self.ids)

    @property
    def longest(self) -> int:
        """Tokens of question and answer, if they are not computed in one pass."""
        return len(self.ids) + (0 if self.alone else self.most)


class LocalModel:
    """A loaded model with a thread that answers what waits.

    Args:
        config: Which model, and how.
    """

    def __init__(self, config: Transformers) -> None:
        self.config, self.place = config, config.model
        self.device = choose_device(config.device)
        weights = locate(config.model, config.gguf, config.revision)
        self.tokenizer, model = load_pretrained(
            "AutoModelForCausalLM", config, weights, self.device, padding_side="left"
        )
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.model = model.eval().to(self.device)
        places = getattr(model.config.get_text_config(), "max_position_embeddings", None) or config.context
        self.context = min(config.context, int(places))
        identity = f"{weights.identity} {model.dtype} {self.device.type} context={self.context}"
        chat = self.tokenizer.chat_template is not None
        self.capabilities = Capabilities(
            config.model, config.identified(identity), _TOP if chat else 0, False, self.context, chat=chat,
            likelihood=True,
        )  # fmt: skip
        self._budget = config.batch_tokens or (2048 if self.device.type == "cpu" else 65_536)
        self._pool: list[_Waiting | _Likelihood] = []
        self._news = threading.Condition()
        self._open = True
        self._thread = threading.Thread(target=self._serve, name="model", daemon=True)
        self._thread.start()

    def completed(self, request: Request) -> Request:
        """See :class:`~recdistill.teachers.llm.engine.Backend`."""
        return self.config.completed(request)

    async def ask(self, request: Request, mark: str) -> Reply:
        """Ask once; see :class:`~recdistill.teachers.llm.engine.Backend`."""
        if request.route == "likelihood":
            waiting: _Waiting | _Likelihood = self._likelihood(request)
        elif request.route == "chat":
            waiting = self._chat(request)
        else:
            raise Failure(f"this backend does no {request.route}", again=False)
        with self._news:
            self._pool.append(waiting)
            self._news.notify()
        return await waiting.answer

    def _chat(self, request: Request) -> _Waiting:
        if not self.capabilities.chat:
            hint = "use a model that was tuned to follow instructions, or ask it for likelihoods"
            raise Hopeless("has no chat template", hint)
        ids = self.tokenizer.apply_chat_template(
            request.body["messages"], add_generation_prompt=True, return_dict=False, tokenize=True
        )
        waiting = _Waiting.of(request.body, ids)
        self._fits(len(ids), self.context - waiting.most)
        return waiting

    def _likelihood(self, request: Request) -> _Likelihood:
        texts, loop = request.body["continuations"], asyncio.get_running_loop()
        known = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        start = next((token for token in known if token is not None), 0)
        branches = [Branches.of(self._encoded, prefix, texts, start) for prefix in request.body["prefixes"]]
        waiting = _Likelihood(branches, loop, loop.create_future())
        self._fits(waiting.longest, self.context)
        return waiting

    def _encoded(self, text: str) -> list[int]:
        return list(self.tokenizer(text)["input_ids"])

    @staticmethod
    def _fits(tokens: int, room: int) -> None:
        if tokens > room:
            raise Failure(f"the question has {tokens} tokens, there is room for {room}", again=False)

    async def close(self) -> None:
        """End the thread and let the memory go."""
        with self._news:
            self._open = False
            self._news.notify()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        del self.model
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _serve(self) -> None:
        while True:
            with self._news:
                while self._open and not self._pool:
                    self._news.wait()
                if not self._open:
                    return
                batch = self._next_batch()
            replies = self._answers(batch)
            for waiting, reply in zip(batch, replies, strict=True):
                with suppress(RuntimeError):  # who asked has gone, and their loop with them
                    waiting.loop.call_soon_threadsafe(_deliver, waiting.answer, reply)

    def _answers(self, batch: list[_Waiting | _Likelihood]) -> Sequence[Reply | Failure]:
        """Whatever happens, something for each: one that hears nothing would wait for ever."""
        try:
            return self._answer(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                return [_failure(error)]
            self._budget = max(1, self._budget // 2)
        except Exception as error:
            return [_failure(error) for _ in batch]
        torch.cuda.empty_cache()  # only now: until here the error held what was computed
        middle = len(batch) // 2
        return [*self._answers(batch[:middle]), *self._answers(batch[middle:])]

    def _next_batch(self) -> list[_Waiting | _Likelihood]:
        """The longest that waits and others of its length and kind, within the budget of tokens."""
        self._pool.sort(key=lambda waiting: waiting.length, reverse=True)
        first = self._pool[0]
        alike = [w for w in self._pool if w.kind == first.kind]
        batch = alike[: max(1, self._budget // first.longest)]
        chosen = set(map(id, batch))
        self._pool = [waiting for waiting in self._pool if id(waiting) not in chosen]
        return batch

    def _answer(self, batch: list[_Waiting | _Likelihood]) -> list[Reply]:
        likely = [waiting for waiting in batch if isinstance(waiting, _Likelihood)]
        return self._likely(likely) if likely else self._written([w for w in batch if isinstance(w, _Waiting)])

    def _likely(self, batch: list[_Likelihood]) -> list[Reply]:
        """The first beginnings of all questions, then the second ones: these are often the same."""
        found: list[list[Any]] = [[] for _ in batch]
        for beginnings in zip(*(waiting.branches for waiting in batch), strict=True):
            parts = log_likelihoods(self.model, self.tokenizer.pad_token_id or 0, beginnings, self._budget)
            for numbers, part in zip(found, parts, strict=True):
                numbers.append(part.ravel())
        return [
            Reply(numbers=np.concatenate(numbers), tokens_in=waiting.length)
            for waiting, numbers in zip(batch, found, strict=True)
        ]

    @torch.inference_mode()
    def _written(self, batch: list[_Waiting]) -> list[Reply]:
        padded = self.tokenizer.pad({"input_ids": [w.ids for w in batch]}, return_tensors="pt").to(self.device)
        if batch[0].alone and not batch[0].sampled:
            logits = self.model(**padded, logits_to_keep=1).logits[:, -1]
            return [self._reply(w, [int(row.argmax())], [row]) for w, row in zip(batch, logits.float(), strict=True)]
        longest = max(w.most for w in batch)
        how = {"do_sample": True, "temperature": batch[0].sampled} if batch[0].sampled else {"do_sample": False}
        with self._first_logits(any(w.top for w in batch)) as first:
            out = self.model.generate(**padded, max_new_tokens=longest, pad_token_id=self.tokenizer.pad_token_id, **how)
        written = out[:, padded["input_ids"].shape[1] :].tolist()
        return [
            self._reply(waiting, ids, [step[row] for step in first])
            for row, (waiting, ids) in enumerate(zip(batch, written, strict=True))
        ]

    @contextmanager
    def _first_logits(self, wanted: bool) -> Iterator[list[Tensor]]:
        """Logits of the first tokens that are written; those of all would fill the memory of a GPU."""
        kept: list[Tensor] = []

        def keep(_: Any, __: Any, out: Any) -> None:
            if len(kept) < _PLACES:
                kept.append(out.logits[:, -1].float())

        hook = self.model.register_forward_hook(keep) if wanted else None
        try:
            yield kept
        finally:
            if hook is not None:
                hook.remove()

    def _reply(self, waiting: _Waiting, ids: list[int], logits: list[Tensor]) -> Reply:
        ends = self.model.generation_config.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends])
        most = waiting.most
        end = next((place for place, token in enumerate(ids[:most]) if token in ends), None)
        kept = ids[: most if end is None else end]
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        top = [self._top(row, waiting.top) for row in logits] if waiting.top else []
        return Reply(text, top, end is None, None, len(waiting.ids), len(kept) + (end is not None))

    def _top(self, logits: Tensor, n: int) -> Top:
        values, tokens = torch.log_softmax(logits, dim=-1).topk(min(n, _TOP, len(logits)))
        return [(self.tokenizer.decode([t]), v) for t, v in zip(tokens.tolist(), values.tolist(), strict=True)]


def _failure(error: Exception) -> Failure:
    return Failure(f"the model failed ({type(error).__name__}: {str(error).partition(chr(10))[0]})")


def _deliver(answer: asyncio.Future[Reply], reply: Reply | Failure) -> None:
    if answer.done():
        return
    if isinstance(reply, Failure):
        answer.set_exception(reply)
    else:
        answer.set_result(reply)
