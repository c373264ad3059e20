"""Files and ids that come from elsewhere, checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import DataError, nearest

__all__ = ["existing", "indices_of"]

_CATALOGUE_FOR_HINTS = 100_000
"""Ids among which a similar one is looked for."""


def existing(file: Path) -> Path:
    """The file itself.

    Raises:
        DataError: There is no such file; the nearest name beside it is named.
    """
    if not file.is_file():
        beside = [p.name for p in file.parent.iterdir()] if file.parent.is_dir() else []
        raise DataError("no such file", where=file, hint=nearest(file.name, beside[:50]))
    return file


def indices_of(
    found: Sequence[str], known: Sequence[str], what: str, where: object, unknown: str
) -> npt.NDArray[np.int64]:
    """Index of each id among the known ones; -1 where it is unknown and ``unknown`` is ``"skip"``.

    Raises:
        DataError: An id is unknown and may not be skipped.
    """
    index = {name: number for number, name in enumerate(known)}
    rows = np.array([index.get(name, -1) for name in found], dtype=np.int64)
    missing = list(dict.fromkeys(found[row] for row in np.flatnonzero(rows < 0).tolist()))
    if missing and unknown == "error":
        others = f" (and {len(missing) - 1} others)" if len(missing) > 1 else ""
        close = nearest(str(missing[0]), known) if len(known) <= _CATALOGUE_FOR_HINTS else None
        advice = close if close and close.startswith("did") else "are ids written as in the log?"
        hint = f"{advice} Or set unknown='skip'"
        raise DataError(f"{what} {missing[0]!r}{others} is not in the data", where=where, hint=hint)
    return rows
