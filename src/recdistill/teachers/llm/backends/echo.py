"""Likelihoods over the OpenAI protocol: prompts that are echoed with the log-probabilities of their own tokens.

The legacy end ``/completions`` with ``echo`` and ``logprobs``, as vLLM and SGLang have it; what evaluation harnesses
use for the same (https://github.com/EleutherAI/lm-evaluation-harness). llama.cpp's server refuses ``echo``
(https://github.com/ggml-org/llama.cpp/issues/27174).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..exchange import Request

__all__ = ["as_completions", "parting", "read_echo"]

_ABOVE_ZERO = 1e-3
"""Nats by which rounding may lift a log-probability."""


def as_completions(request: Request) -> Request:
    """A question about likelihoods as a list of prompts: each beginning alone, then with each continuation."""
    body = {name: value for name, value in request.body.items() if name not in ("prefixes", "continuations")}
    prompts = [prefix + text for prefix in request.body["prefixes"] for text in ("", *request.body["continuations"])]
    asked = {"prompt": prompts, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}
    return Request(request.route, asked | body, request.prompt)


def read_echo(request: Request, body: dict[str, Any], usage: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Log-probability and number of tokens of each continuation after each beginning.

    Where a continuation starts is not read off ``text_offset``, which some servers count with the token that begins a
    text and some without: it is where the tokens of the beginning alone and of all its continuations part. A token that
    reaches across counts as part of each continuation.

    Args:
        request: What was asked.
        body: What came back.
        usage: Counts that came with it: whether the token that had to be written is among the others.

    Returns:
        float32 ``[beginnings · continuations · 2]``.

    Raises:
        KeyError, IndexError, TypeError, ValueError, AttributeError: It has another form, or says what cannot be.
    """
    n = len(request.body["continuations"])
    choices = {int(choice.get("index", at)): choice for at, choice in enumerate(body["choices"])}
    if sorted(choices) != list(range(request.texts)):
        raise ValueError(f"{len(body['choices'])} answers to {request.texts} prompts")
    written = 0 if usage.get("completion_tokens") == 0 else 1
    said = [_tokens(choices[at]["logprobs"], written) for at in range(request.texts)]
    found: list[tuple[float, int]] = []
    for start in range(0, len(said), n + 1):
        alone, *whole = said[start : start + n + 1]
        shared = parting(alone[0], [tokens for tokens, _ in whole])
        found += [(_sum(logps[shared:]), len(logps) - shared) for _, logps in whole]
    return np.array(found, dtype=np.float32).ravel()


def parting(alone: Sequence[Any], whole: Sequence[Sequence[Any]]) -> int:
    """Tokens that a beginning has in common with all texts that begin with it; something is left of each text."""
    ends = (min(len(alone), len(tokens) - 1) for tokens in whole)
    pairs = zip(whole, ends, strict=True)
    return min(next((at for at in range(end) if alone[at] != tokens[at]), end) for tokens, end in pairs)


def _tokens(logprobs: dict[str, Any], written: int) -> tuple[list[str], list[Any]]:
    """Tokens of a prompt and what is said of each, without the one that was written after it."""
    tokens, logps = logprobs["tokens"], logprobs["token_logprobs"]
    stop = len(tokens) - written
    if len(tokens) != len(logps) or stop < 1:
        raise ValueError(f"{len(logps)} log-probabilities of {len(tokens)} tokens")
    return [str(token) for token in tokens[:stop]], logps[:stop]


def _sum(logps: list[Any]) -> float:
    values = [float(logp) for logp in logps]
    if not values or not all(math.isfinite(value) and value < _ABOVE_ZERO for value in values):
        raise ValueError("a token has no log-probability")
    return math.fsum(min(value, 0.0) for value in values)
