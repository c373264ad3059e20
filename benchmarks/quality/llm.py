"""What language models have said about the benchmarks' items and sessions."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recdistill.data.sequences import Sequences
from recdistill.errors import DataError

from .splits import BenchmarkSplit, read_rows

__all__ = ["Lists", "gpt4_order", "gpt4_rankings", "semantic_ids"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Ranked items at some training positions.

    Attributes:
        positions: int64 ``[n]``, index into the training events: the list says what comes there.
        items: One row per position, best first, each item once; empty where nothing usable was answered.
    """

    positions: Ints
    items: Sequences


def semantic_ids(split: BenchmarkSplit) -> Ints:
    """Codes of ``amazon-beauty``'s items from LLaMA's text embeddings, coarse to fine: int64 ``[n_items, 4]``."""
    codes = {row[0]: [int(code) for code in re.findall(r"_(\d+)>", row[3])] for row in read_rows(split.name, "items")}
    return np.array([codes[item] for item in split.dataset.items.ids], dtype=np.int64)


def gpt4_rankings(split: BenchmarkSplit) -> Lists:
    """GPT-4's order of a recommender's candidates for the last item of some training sessions of ``alkdrec-*``.

    The session's true item was put among the candidates. Unknown items are dropped, and so are repeats of an item.
    """
    index = {item: number for number, item in enumerate(split.dataset.items.ids)}
    rows = read_rows(split.name, "gpt4_rankings")
    lists = [[index[item] for item in dict.fromkeys(row[1].split()) if item in index] for row in rows]
    return Lists(_last_positions(split, [row[0] for row in rows]), Sequences.from_lists(lists))


def gpt4_order(split: BenchmarkSplit) -> Ints:
    """Positions in the order in which the paper spends its budget of requests: int64 ``[n]``."""
    return _last_positions(split, [row[0] for row in read_rows(split.name, "gpt4_active_order")])


def _last_positions(split: BenchmarkSplit, sessions: list[str]) -> Ints:
    """The position of the last event of training sessions.

    Raises:
        DataError: A session is none of training.
    """
    row = {session: number for number, session in enumerate(split.dataset.users)}
    strangers = [session for session in sessions if session not in row]
    if strangers:
        raise DataError(f"{len(strangers)} sessions are not of training (first: {strangers[0]})", where=split.name)
    return np.asarray(split.train.offsets[1:][[row[session] for session in sessions]] - 1, dtype=np.int64)
