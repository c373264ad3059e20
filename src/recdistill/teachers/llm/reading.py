"""What an answer says: letters and their probabilities, orders, yes or no, JSON. None where it does not say it."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .exchange import Reply, Top
from .prompts import Language

__all__ = ["LETTERS", "Choice", "choice_of", "declines", "in_language", "json_of", "order_of", "plain"]

Doubles = npt.NDArray[np.float64]
Choice = tuple[Doubles, float]
"""Natural-log probabilities of the options, which sum to 1, and the probability that the model gave to all of them."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SAID = 0.9
"""Probability of an option that was named without log-probabilities; the others share the rest."""
_SURE_OF_SAID = 0.5
"""What counts as given to all options then: nobody knows."""
_WRAPPING = " \t\r\n()[]{}<>*_`\"'“”‘’「」【】:：.。,，;；-–—#"
_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)
_ALONE = re.compile(r"(?<![A-Za-z])([A-Z])(?![A-Za-z'’])")
_RUN = re.compile(r"(?<![A-Za-z])[A-Z](?:[\s\])*]*(?:[>,;、|=]|->|→|\n)[\s\[(*\d.]*[A-Z](?![A-Za-z]))+")
_LEADING = re.compile(r"[\s\d.、)\]\[(*#>-]*([A-Z])(?=\s*(?:[.:,;)\]、*>=|-]|$))")
_CLAUSE = re.compile(r"[.!?;:,\n。！？；：，]")
_NEGATION = re.compile(r"不|没|非|未|无|\b(?:not|cannot|never|nor|neither)\b|n['’]t\b")
_SPELLINGS = {"是": ("是的", "是", "会选", "会"), "否": ("不是", "不会选", "不会", "否", "不")}
"""How an answer of one word is said in Chinese, where a word and its negation share signs; longer ones first."""
_DECLINED = re.compile(
    r"(?:(?:(?:i['’]m |i am )?(?:very |so )?(?:sorry|afraid)|i apologi[sz]e|"
    r"as an? (?:ai|(?:large )?language model|assistant))\b[^\n]*?)?"
    r"\bi (?:cannot|could not|will not|(?:can|couldn|won)['’]t|am (?:unable|not able)|(?:must )?(?:decline|refuse))\b|"
    r"(?:(?:很|非常)?抱歉|对不起|作为一?[个名]?[^，。\n]{0,10}(?:AI|人工智能|语言模型))[^\n]*?(?:无法|不能|不会|不便)|"
    r"我(?:无法|不能)",
    re.IGNORECASE,
)
"""How an answer begins that is none."""
_BEGINNING = 2000
"""Characters of an answer in which that is looked for."""
_CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")


def plain(text: str) -> str:
    """A text without thoughts, in compatibility form (full-width letters become plain ones), without outer space."""
    return unicodedata.normalize("NFKC", _spoken(text)).strip()


def _spoken(text: str) -> str:
    """Without thoughts, also those whose beginning the server has taken away."""
    text = _THOUGHT.sub("", text)
    return re.split(r"</think(?:ing)?>", text)[-1]


def choice_of(reply: Reply, options: Sequence[str]) -> Choice | None:
    """How probable the model finds each of some words that it was to answer with.

    Log-probabilities are used where there are any: those of all spellings of an option together. An option that is not
    among the likeliest tokens gets half of what the least likely of them has, which it cannot exceed. Otherwise the
    option that the text names has probability 0.9.

    Args:
        reply: The answer.
        options: The words, such as letters, ``Yes`` and ``No``; different in upper case too if longer than a letter.

    Returns:
        None if it is none of them.
    """
    for place in reply.top:
        if place and not place[0][0].strip(_WRAPPING):
            continue  # a bracket or a line break before the answer
        found = _of_tokens(place, options)
        if found is not None:
            return found
        break
    said = _named(plain(reply.text), options)
    if said is None:
        return None
    p = np.full(len(options), (1 - _SAID) / max(len(options) - 1, 1))
    p[said] = _SAID if len(options) > 1 else 1.0
    return np.log(p), _SURE_OF_SAID


def order_of(text: str, n: int) -> tuple[list[int], int] | None:
    """The order in which an answer puts ``n`` lettered things.

    What was never offered and what stands twice is passed over; what the answer leaves out follows in the order in
    which it was offered.

    Returns:
        Numbers from 0, the best first, and how many of them the answer named itself; None if it named none.
    """
    text = plain(text)
    runs = _RUN.findall(text)
    leading = [found[1] for line in text.splitlines() if (found := _LEADING.match(line))]
    letters = _ALONE.findall(max(runs, key=len)) if runs else []
    if len(leading) > max(len(letters), 1):
        letters = leading  # titles stand beside the letters, and may begin or end with one
    elif not letters:
        letters = _letters_that_are_no_words(text)
    named = list(dict.fromkeys(LETTERS.index(letter) for letter in letters if LETTERS.index(letter) < n))
    if not named or (len(named) == 1 < n and not runs and not _bare(text)):
        return None
    return [*named, *(number for number in range(n) if number not in set(named))], len(named)


def declines(text: str) -> bool:
    """Whether a text that says nothing else says that there will be no answer."""
    return _DECLINED.match(plain(text[:_BEGINNING])) is not None


def json_of(text: str, wanted: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any] | None:
    """The first JSON object in a text with the keys that are wanted, and only those.

    Args:
        text: The answer; fences and words around the object do not matter.
        wanted: Keys and types of their values.

    Returns:
        None if there is no whole object, a key is missing or of another type, or all values are empty.
    """
    text = _spoken(text)
    start = text.find("{")
    if start < 0:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start:])
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or any(
        key not in value or not isinstance(value[key], kind) for key, kind in wanted.items()
    ):
        return None
    kept = {key: value[key] for key in wanted}
    return kept if any(kept.values()) else None


def in_language(text: str, language: Language) -> bool:
    """Whether a text of some length is written in the script of its language."""
    letters = sum(char.isalpha() for char in text)
    share = len(_CJK.findall(text)) / max(letters, 1)
    return share > 0.2 if language == "zh" else share < 0.2 and (letters > 0 or not text)


def _of_tokens(place: Top, options: Sequence[str]) -> Choice | None:
    index = _numbered(tuple(options))
    p = [0.0] * len(options)
    for token, logp in place:
        number = index.get(token)
        if number is None:
            word = (token if token.isascii() else unicodedata.normalize("NFKC", token)).strip(_WRAPPING)
            number = index.get(word.casefold() if len(word) > 1 else word)
        if number is not None:
            p[number] += math.exp(logp) if logp < 0 else 1.0
    total = sum(p)
    if not total:
        return None
    if 0.0 in p:
        least = max(math.exp(min(logp for _, logp in place)) / 2, 1e-12)
        p = [value or least for value in p]
    whole = sum(p)
    return np.array([math.log(value / whole) for value in p]), min(total, 1.0)


@lru_cache(256)
def _numbered(options: tuple[str, ...]) -> dict[str, int]:
    """Each option's number, whatever its case if it is longer than a letter."""
    return {option.casefold() if len(option) > 1 else option: number for number, option in enumerate(options)}


def _named(text: str, options: Sequence[str]) -> int | None:
    """The one option that a text names, at its beginning or as its only one."""
    if all(len(option) == 1 and option in LETTERS for option in options):
        start = re.match(rf"[{re.escape(_WRAPPING)}]*([A-Z])(?:[{re.escape(_WRAPPING[4:])}\n]|\s*$)", text)
        found = [start[1]] if start else _letters_that_are_no_words(text)
    else:
        found = _words(text.casefold(), options)
    different = list(dict.fromkeys(found))
    return list(options).index(different[0]) if len(different) == 1 and different[0] in options else None


def _words(text: str, options: Sequence[str]) -> list[str]:
    """The option that a text begins with, or all that it names without denying them."""
    named: list[str] = []
    spelled = {word: option for option in options for word in _SPELLINGS.get(option, (option.casefold(),))}
    longest = "|".join(re.escape(word) for word in sorted(spelled, key=len, reverse=True))
    for match in re.finditer(rf"(?<![a-z])(?:{longest})(?![a-z])", text):
        before, after = text[: match.start()], text[match.end() :]
        if _CJK.match(match[0]) and _CJK.match(after) and not match[0].endswith("选"):
            continue  # part of another word, or the copula
        if after.startswith(":"):
            continue  # what is said follows
        if _NEGATION.search(_CLAUSE.split(before)[-1]):
            continue
        if not before.strip(_WRAPPING):
            return [spelled[match[0]]]
        named.append(spelled[match[0]])
    return named


def _letters_that_are_no_words(text: str) -> list[str]:
    """Capital letters that stand alone; not the English words A and I before another word."""
    return [
        match[1]
        for match in _ALONE.finditer(text)
        if not (match[1] in "AI" and re.match(r" [A-Z]?[a-z]", text[match.end() : match.end() + 3]))
    ]


def _bare(text: str) -> bool:
    return len(text.strip(_WRAPPING)) == 1
