"""How likely a causal language model finds continuations of a text: each beginning is computed once."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from .echo import parting

__all__ = ["Branches", "log_likelihoods"]

Floats = npt.NDArray[np.float32]
_NONE = -100
"""What torch takes for no token to be predicted."""


@dataclass(frozen=True, slots=True)
class Branches:
    """Texts that begin alike, as tokens.

    Attributes:
        stem: What all begin with; not empty.
        ends: What follows in each; not empty.
    """

    stem: tuple[int, ...]
    ends: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, encode: Callable[[str], list[int]], prefix: str, continuations: Sequence[str], start: int) -> Branches:
        """A beginning and its continuations, each written as one text and cut where the tokens of all part.

        A tokenizer may join the end of the beginning with what follows. Such a token counts as part of each end, so
        that all ends are given the same tokens.

        Args:
            encode: Tokens of a text, with those that the model wants at its start.
            prefix: The beginning.
            continuations: What follows; not empty.
            start: A token to begin with where nothing is shared.
        """
        alone, whole = encode(prefix), [encode(prefix + text) for text in continuations]
        shared = parting(alone, whole)
        if shared < 1:
            whole, shared = [[start, *tokens] for tokens in whole], 1
        return cls(tuple(whole[0][:shared]), tuple(tuple(tokens[shared:]) for tokens in whole))

    @property
    def longest(self) -> int:
        """Tokens of the longest whole text."""
        return len(self.stem) + max(map(len, self.ends))

    @property
    def tokens(self) -> int:
        """That are read: the beginning once."""
        return len(self.stem) + sum(map(len, self.ends))


@torch.inference_mode()
def log_likelihoods(model: Any, pad: int, branches: Sequence[Branches], budget: int) -> list[Floats]:
    """Log-probability of each end, given its beginning.

    Beginnings go through the model once, equal ones together, and their keys and values are used again by all ends. A
    recurrent model keeps nothing that could be used so: it reads every whole text.

    Args:
        model: A causal language model of transformers.
        pad: Any token, to fill up with.
        branches: What is asked.
        budget: Tokens, those of the beginnings included, that the ends of one pass may attend to.

    Returns:
        Of each, float32 ``[ends, 2]``: natural-log probability, and the number of tokens.
    """
    if getattr(model, "_is_stateful", False):
        return [_of_whole_texts(model, pad, one, budget) for one in branches]
    stems = {stem: row for row, stem in enumerate(dict.fromkeys(one.stem for one in branches))}
    ends = list(dict.fromkeys((stems[one.stem], end) for one in branches for end in one.ends))
    ends.sort(key=lambda pair: len(pair[1]))
    ids, mask = _padded(list(stems), pad, model.device, left=True)
    places = _placed(model, (mask.cumsum(dim=1) - 1).clamp_min(0))
    out = model(input_ids=ids, attention_mask=mask, use_cache=True, logits_to_keep=1, **places)
    first = torch.log_softmax(out.logits[:, -1].float(), dim=-1)
    found: dict[tuple[int, tuple[int, ...]], float] = {}
    for part in _parts(ends, ids.shape[1], budget):
        rows = torch.tensor([row for row, _ in part], device=model.device)
        total = first[rows, torch.tensor([end[0] for _, end in part], device=model.device)]
        if len(part[-1][1]) > 1:
            total = total + _rest(model, pad, [end for _, end in part], mask[rows], _of_rows(out.past_key_values, rows))
        found |= dict(zip(part, total.tolist(), strict=True))
    return [
        np.array([(found[stems[one.stem], end], len(end)) for end in one.ends], dtype=np.float32) for one in branches
    ]


def _rest(model: Any, pad: int, ends: list[tuple[int, ...]], before: Tensor, cache: Any) -> Tensor:
    """Log-probability of all tokens of each end but the first."""
    given, there = _padded([end[:-1] for end in ends], pad, model.device, left=False)
    wanted, _ = _padded([end[1:] for end in ends], _NONE, model.device, left=False)
    mask = torch.cat([before, there], dim=1)
    places = _placed(model, before.sum(dim=1, keepdim=True) + torch.arange(given.shape[1], device=model.device))
    out = model(input_ids=given, attention_mask=mask, past_key_values=cache, use_cache=True, **places)
    return _totals(out.logits, wanted)


def _of_whole_texts(model: Any, pad: int, one: Branches, budget: int) -> Floats:
    """The same without anything used again."""
    found, start, most = np.empty((len(one.ends), 2), dtype=np.float32), len(one.stem) - 1, budget // one.longest
    for first in range(0, len(found), max(1, most)):
        part = one.ends[first : first + max(1, most)]
        ids, mask = _padded([one.stem + end for end in part], pad, model.device, left=False)
        wanted, _ = _padded(part, _NONE, model.device, left=False)
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, start:-1]
        found[first : first + len(part), 0] = _totals(logits, wanted).cpu().numpy()
        found[first : first + len(part), 1] = [len(end) for end in part]
    return found


def _totals(logits: Tensor, wanted: Tensor) -> Tensor:
    """Log-probability of the tokens of each row together; row by row, as their logits are many."""
    lost = [functional.cross_entropy(a.float(), b, reduction="sum") for a, b in zip(logits, wanted, strict=True)]
    return -torch.stack(lost)


def _placed(model: Any, places: Tensor) -> dict[str, Tensor]:
    """Where tokens stand, for a model that wants to be told."""
    return {"position_ids": places} if "position_ids" in inspect.signature(model.forward).parameters else {}


def _of_rows(cache: Any, rows: Tensor) -> Any:
    """What a model keeps of some rows, each as often as it is named."""
    kept = copy.deepcopy(cache)
    kept.batch_select_indices(rows)
    return kept


def _parts(ends: list[tuple[int, tuple[int, ...]]], stem: int, budget: int) -> Iterator[list[Any]]:
    """Ends of like length, as many as the budget allows; the longest decides."""
    stop = len(ends)
    while stop > 0:
        most = max(1, budget // (stem + len(ends[stop - 1][1])))
        yield ends[max(0, stop - most) : stop]
        stop -= most


def _padded(rows: Sequence[Sequence[int]], pad: int, device: Any, left: bool) -> tuple[Tensor, Tensor]:
    """Tokens and where there are some, int64 ``[rows, longest]`` each."""
    longest = max(map(len, rows))
    ids, mask = np.full((len(rows), longest), pad, dtype=np.int64), np.zeros((len(rows), longest), dtype=np.int64)
    for row, tokens in enumerate(rows):
        at = slice(longest - len(tokens), None) if left else slice(len(tokens))
        ids[row, at], mask[row, at] = tokens, 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
