"""Text into words, the same way wherever a bundle reads some: for the search and for the text tower."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["words"]

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Chinese and Japanese, which are written without spaces."""
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_ACCENT = re.compile("[\u0300-\u036f]")
_LONGEST = 64


def words(text: str) -> list[str]:
    """Words of a text, in order: letters and digits, without regard to case and accents.

    A Chinese or Japanese character is a word by itself. Nothing of a word is read beyond 64 characters.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    if not plain.isascii():
        plain = unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFD", plain)))
    return [word[:_LONGEST] for word in _WORD.findall(plain)]
