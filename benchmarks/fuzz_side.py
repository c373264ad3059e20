"""What schemathesis loads into itself for ``bench_fuzz.py``; runs in its virtual environment.

Ids are described by a pattern that only forbids control characters. Hypothesis draws what fits a pattern character by
character, and that took a third of the time. The same strings are drawn at once as a format of that name.
"""

from __future__ import annotations

from typing import Any

import schemathesis  # type: ignore[import-not-found]
from hypothesis import strategies

_PATTERN, _FORMAT = r"^[^\x00-\x1f\x7f]*$", "without-control-characters"
_CONTROL = [chr(code) for code in (*range(0x20), 0x7F)]
_ALLOWED = strategies.characters(exclude_categories=["Cs"], exclude_characters=_CONTROL)

schemathesis.openapi.format(_FORMAT, strategies.text(_ALLOWED, min_size=1, max_size=256))


@schemathesis.hook  # type: ignore[untyped-decorator]
def before_load_schema(_context: Any, raw_schema: dict[str, Any]) -> None:
    """Put the format in the place of the pattern, wherever it stands."""
    _replace(raw_schema)


def _replace(part: Any) -> None:
    if isinstance(part, dict):
        if part.get("pattern") == _PATTERN:
            del part["pattern"]
            part["format"] = _FORMAT
        part = list(part.values())
    if isinstance(part, list):
        for inside in part:
            _replace(inside)
