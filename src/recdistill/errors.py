"""Every error that recdistill raises on purpose.

::

    RecdistillError                 base; catch this to catch them all
    ├── ConfigError                 a wrong parameter: unknown key, wrong type, contradiction (also a ValueError)
    ├── DataError                   a wrong input file or table: missing column, bad ids, empty split
    ├── KnowledgeError              a knowledge store that is broken, unsealed or made for another dataset
    ├── TeacherError                a teacher that cannot be loaded or cannot answer
    ├── TrainingError               training that cannot go on: a loss that is NaN, a checkpoint that does not fit
    ├── BundleError                 a bundle that is truncated, tampered with or of another version
    ├── RunError                    a run directory that holds other results, a stage that cannot be resumed
    ├── ServerError                 a server that does not answer, or refuses a request
    ├── StoreError                  an event store that cannot be read or written just now
    └── MissingExtraError           an optional dependency is not installed (also an ImportError)

A message says what was wrong, where (file, row, key), and the next thing to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "BundleError",
    "ConfigError",
    "DataError",
    "KnowledgeError",
    "MissingExtraError",
    "RecdistillError",
    "RunError",
    "ServerError",
    "StoreError",
    "TeacherError",
    "TrainingError",
    "nearest",
]


class RecdistillError(Exception):
    """Base of all errors; its text is one line that a user can act on.

    Args:
        what: What is wrong, without a full stop.
        where: The file, line, column, row or key it was found at; put in front when given.
        hint: The next thing to do; put behind when given.
    """

    def __init__(self, what: str, *, where: object = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(what, where, hint)

    def __str__(self) -> str:
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        return text if self.hint is None else f"{text}; {self.hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)  # an error may come from another process


def _restored(kind: type[RecdistillError], args: tuple[Any, ...], state: dict[str, Any]) -> RecdistillError:
    """The error again, whatever its constructor wants."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(RecdistillError, ValueError):
    """A parameter that is unknown, of the wrong type, or contradicts another.

    Args:
        what: What is wrong.
        key: The path of the key, for example ``("student", "dim")``; a recipe adds file and line to it.
        where: Overrides the place derived from ``key``.
        hint: The next thing to do.
    """

    def __init__(self, what: str, *, key: tuple[str, ...] = (), where: object = None, hint: str | None = None) -> None:
        self.key = key
        super().__init__(what, where=where if where is not None else ".".join(key) or None, hint=hint)


class DataError(RecdistillError):
    """An input file or table that cannot be used as it is."""


class KnowledgeError(RecdistillError):
    """A knowledge store that is broken, unsealed, or belongs to another dataset."""


class TeacherError(RecdistillError):
    """A teacher that cannot be loaded or cannot answer."""


class TrainingError(RecdistillError):
    """Training that cannot go on."""


class BundleError(RecdistillError):
    """A bundle that cannot be served."""


class RunError(RecdistillError):
    """A run directory or a stage that cannot be used."""


class ServerError(RecdistillError):
    """A server that does not answer, or refuses a request.

    Args:
        what: What it said.
        status: The status of its answer; 0 if there was none.
        where: The request.
        hint: The next thing to do.
    """

    def __init__(self, what: str, *, status: int = 0, where: object = None, hint: str | None = None) -> None:
        self.status = status
        super().__init__(what, where=where, hint=hint)


class StoreError(RecdistillError):
    """An event store that cannot be used just now; whatever was not acknowledged can be sent again."""


class MissingExtraError(RecdistillError, ImportError):
    """An optional dependency is missing; the text names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed",
            hint=f"install it with: pip install 'recdistill[{extra}]'",
        )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Hint that names the known spelling closest to ``name``, or lists what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.5)
    if close:
        return f"did you mean {next(n for n in names if n.lower() == close[0])!r}?"
    return f"known: {', '.join(names)}" if names else None
