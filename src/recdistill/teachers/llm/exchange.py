"""What goes to a language model and what comes back, whoever runs it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .quick_json import exactly, packed, unpacked

__all__ = ["KEY_BYTES", "Capabilities", "Failure", "Hopeless", "Refusal", "Reply", "Request", "Trouble", "Unreachable"]

KEY_BYTES = 16
_LONG = 8192
"""Tokens of an answer that nothing limits."""
_REMEMBERED = 2000
"""Characters of an unreadable answer that the model is shown again: a server may have written a megabyte."""
_BYTES_PER_TOKEN = 2
"""English has about four, Chinese about three."""
Route = Literal["chat", "embeddings", "rerank", "likelihood"]
"""Ends of the protocol; a likelihood is what ``/completions`` says of the tokens of its own prompts."""
_LIKELIHOOD = ("prefixes", "continuations")
Top = list[tuple[str, float]]
"""Tokens and their natural-log probabilities at one place of an answer, likeliest first."""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One thing that is asked, in the words of the OpenAI protocol.

    Attributes:
        route: Which end of the protocol.
        body: JSON-like, without the model's name; of a likelihood ``prefixes`` and ``continuations``, texts that are
            asked about each after each.
        prompt: Hash of the prompt's template.
        encoded: The body as JSON.
    """

    route: Route
    body: dict[str, Any]
    prompt: str = ""
    encoded: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoded", exactly(self.body))

    def key(self, model: str) -> bytes:
        """Hash over model, prompt version, content and parameters: what the journal files the answer under.

        Args:
            model: Identity of the model: its name at an endpoint, or a hash of its weights.
        """
        head = f"{model}\n{self.prompt}\n{self.route}\n".encode()
        return hashlib.blake2b(head + self.encoded, digest_size=KEY_BYTES).digest()

    def most_tokens(self, context: int | None = None) -> tuple[int, int]:
        """Tokens in and out that this cannot exceed: a token is a byte of the text at least.

        Args:
            context: Tokens that question and answer may have together, which bounds an answer without a limit of its
                own; 8,192 if that is not known either.
        """
        named = [self.body.get(name) for name in ("max_tokens", "max_completion_tokens")]
        limits = [int(limit) for limit in named if isinstance(limit, int | float)]
        if not limits:
            limits = [(context or _LONG) if self.route == "chat" else 0]
        several = self.body.get("n")
        each = several if isinstance(several, int) and several > 1 else 1
        return self.size, max(*limits, int(self.route == "likelihood"), 0) * each * self.texts

    @property
    def texts(self) -> int:
        """That are read: of a likelihood each beginning alone, and before each continuation."""
        if self.route != "likelihood":
            return 1
        return len(self.body["prefixes"]) * (len(self.body["continuations"]) + 1)

    @property
    def size(self) -> int:
        """Bytes that are read, and of a likelihood one more for the start of each text."""
        if self.route != "likelihood":
            return len(self.encoded)
        before, after = (sum(len(text.encode("utf-8", "replace")) for text in self.body[name]) for name in _LIKELIHOOD)
        return before * (len(self.body["continuations"]) + 1) + after * len(self.body["prefixes"]) + self.texts

    def charged(self, said: str = "") -> tuple[int, int]:
        """Tokens in and out that are counted where the server counts none: rather too many than too few.

        Args:
            said: The answer.
        """
        limit = self.most_tokens()[1] if {"max_tokens", "max_completion_tokens"} & self.body.keys() else 0
        return -(-self.size // _BYTES_PER_TOKEN), max(limit, -(-len(said.encode()) // _BYTES_PER_TOKEN))

    def reminded(self, said: str, reminder: str) -> Request:
        """The same question once more, with the start of what could not be read and how it should have looked."""
        began = {"role": "assistant", "content": said[:_REMEMBERED]}
        turns = [*self.body["messages"], began, {"role": "user", "content": reminder}]
        return Request(self.route, self.body | {"messages": turns}, self.prompt)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        text: The answer.
        top: For the first tokens of the answer: the likeliest tokens; empty where none were asked for or given.
        cut: The answer ended at the limit of tokens.
        numbers: An embedding, relevances in the order of the documents, or of each continuation after each beginning
            its natural-log probability and number of tokens; float32 ``[any]``.
        tokens_in: Tokens read, as the server counts.
        tokens_out: Tokens written.
        counted: Whether the server counted them; if not, they are rather too many than too few.
    """

    text: str = ""
    top: list[Top] = field(default_factory=list)
    cut: bool = False
    numbers: npt.NDArray[np.float32] | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    counted: bool = True

    def pack(self) -> bytes:
        """All but the counts as JSON: what the journal keeps."""
        kept: dict[str, Any] = {}
        if self.text:
            kept["text"] = self.text
        if self.top:
            kept["top"] = [[[token, round(logp, 5)] for token, logp in place] for place in self.top]
        if self.cut:
            kept["cut"] = True
        if self.numbers is not None:
            kept["numbers"] = base64.b64encode(self.numbers.astype("<f4").tobytes()).decode("ascii")
        return packed(kept)

    @staticmethod
    def unpack(data: bytes) -> Reply:
        """The reply that :meth:`pack` made, without the counts."""
        kept = unpacked(data)
        top = [[(token, float(logp)) for token, logp in place] for place in kept.get("top", ())]
        raw = kept.get("numbers")
        numbers = None if raw is None else np.frombuffer(base64.b64decode(raw), dtype="<f4").astype(np.float32)
        return Reply(kept.get("text", ""), top, kept.get("cut", False), numbers)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do where it runs, found out before anything is asked.

    Attributes:
        model: The model's name there.
        identity: What answers are filed under: equal identities give equal answers.
        top_logprobs: How many likeliest tokens come with an answer; 0 if none.
        json_mode: It can be made to answer in JSON.
        context: Tokens that question and answer may have together; None if it does not say.
        embeddings: It gives embeddings.
        rerank: It ranks documents.
        chat: It answers questions.
        seconds: Of one short exchange.
        likelihood: It says how likely it finds a text that it is given.
    """

    model: str
    identity: str
    top_logprobs: int = 0
    json_mode: bool = False
    context: int | None = None
    embeddings: bool = False
    rerank: bool = False
    chat: bool = True
    seconds: float = 0.0
    likelihood: bool = False


class Trouble(Exception):
    """An exchange that gave no answer; the text says why, in a line.

    Args:
        why: One line.
        wait: Seconds that the server asks to wait for, if it does.
        tokens_in: Tokens that are paid for all the same.
        tokens_out: The same of those written.
    """

    def __init__(self, why: str, wait: float | None = None, tokens_in: int = 0, tokens_out: int = 0) -> None:
        super().__init__(why)
        self.why, self.wait, self.tokens_in, self.tokens_out = why, wait, tokens_in, tokens_out


class Refusal(Trouble):
    """The model or a filter before it will not answer this question; asking again would not help."""


class Failure(Trouble):
    """This exchange went wrong.

    Attributes:
        again: Whether another try may work: False for what the server will never take, such as a text that is too long.
        busy: Whether the server said that it has too much to do.
        slow: Whether it took too long, perhaps for the same reason.
    """

    def __init__(
        self, why: str, wait: float | None = None, *, again: bool = True, busy: bool = False, slow: bool = False
    ) -> None:
        super().__init__(why, wait)
        self.again, self.busy, self.slow = again, busy, slow


class Unreachable(Trouble):
    """Nobody answers there at all; no question in particular is to blame."""


class Hopeless(Trouble):
    """No question will ever be answered there as things are: a wrong key, path or model, or an unpaid bill.

    Args:
        why: One line.
        hint: The next thing to do.
    """

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.hint = hint
