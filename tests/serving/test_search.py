from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.serving.search import TextIndex
from recdistill.serving.words import words

TITLES = ["The Matrix", "The Matrix Reloaded", "Toy Story", "Toy Story 2", "Heat", "Amélie", "千と千尋の神隠し", ""]
INDEX = TextIndex(TITLES)


def best(text: str) -> list[str]:
    scores = INDEX.scores(text)
    return [TITLES[at] for at in np.argsort(-scores, kind="stable") if scores[at] > 0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("matrix", ["The Matrix", "The Matrix Reloaded"]),
        ("MATRIX reloaded", ["The Matrix Reloaded", "The Matrix"]),
        ("toy sto", ["Toy Story", "Toy Story 2"]),
        ("he", ["Heat"]),
        ("amelie", ["Amélie"]),
        ("ＡＭÉＬＩＥ!", ["Amélie"]),
        ("千尋", ["千と千尋の神隠し"]),
        ("nothing like it", []),
        ("...", []),
        ("", []),
    ],
)
def test_what_is_found_and_in_which_order(text: str, found: list[str]) -> None:
    assert best(text) == found


WORD = st.sampled_from(["red", "blue", "green", "car", "cart", "bus"])
TEXTS = st.lists(st.lists(WORD, max_size=5), min_size=1, max_size=8)


@given(TEXTS, st.lists(WORD, min_size=1, max_size=3))
def test_the_formula(rows: list[list[str]], asked: list[str]) -> None:
    """BM25 by its words, for whole words: the last one is followed by one that begins no other."""
    index = TextIndex(" ".join(row) for row in rows)
    mean = max(sum(map(len, rows)) / len(rows), 1e-9)
    for at, score in enumerate(index.scores(" ".join([*asked, "zzz"]))):
        counts, expected = Counter(rows[at]), 0.0
        for word in asked:
            held = sum(word in row for row in rows)
            rarity = math.log(1 + (len(rows) - held + 0.5) / (held + 0.5))
            norm = 1.2 * (0.5 + 0.5 * len(rows[at]) / mean)
            expected += rarity * counts[word] * 2.2 / (counts[word] + norm) if counts[word] else 0.0
        assert score == pytest.approx(expected, rel=1e-4, abs=1e-6)


@given(st.lists(st.text(max_size=20), max_size=5), st.text(max_size=20))
def test_any_text_can_be_read_and_asked(rows: list[str], text: str) -> None:
    scores = TextIndex(rows).scores(text)
    assert scores.shape == (len(rows),)
    assert np.isfinite(scores).all()


@given(st.text(max_size=40))
def test_words_are_the_same_in_any_case(text: str) -> None:
    found = words(text)
    assert all(word and len(word) <= 64 for word in found)
    assert words(" ".join(found)) == found or any(len(word) == 64 for word in found)


def test_words() -> None:
    assert words("Léon: The Professional (1994)") == ["leon", "the", "professional", "1994"]
    assert words("снег がが 한국어_x") == ["снег", "が", "が", "한국어", "x"]
