"""Files that are either whole or not there: atomic writes, checksums, JSON."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import RecdistillError

__all__ = ["append_line", "atomic_directory", "atomic_path", "checksum", "read_json", "write_json", "write_text"]


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the place of ``path`` only if the block succeeds.

    Raises:
        RecdistillError: The disk is full or the place is not writable; nothing was replaced.
    """
    path = Path(path)
    with _one_line_on_failure(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        try:
            yield part
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.chmod(0o666 & ~_umask())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Yield an empty directory beside ``path``; it becomes ``path`` only if the block succeeds.

    An existing ``path`` is replaced at the end, in one rename each way, never emptied first.

    Raises:
        RecdistillError: The disk is full or the place is not writable; nothing was replaced.
    """
    path = Path(path)
    with _one_line_on_failure(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
        old = part.with_suffix(".old")
        try:
            yield part
            part.chmod(0o777 & ~_umask())
            if path.exists():
                path.replace(old)
            part.replace(path)
        finally:
            if old.exists() and not path.exists():
                old.replace(path)
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def append_line(path: str | Path, line: str, *, durable: bool = False) -> None:
    """Add a line of UTF-8 text to a file.

    Args:
        path: The file.
        line: Without its end.
        durable: It is on the disk when this returns, even if the power fails.

    Raises:
        RecdistillError: The disk is full or the place is not writable; a part of the line may be there.
    """
    path = Path(path)
    with _one_line_on_failure(path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        if durable:
            file.flush()
            os.fsync(file.fileno())


def checksum(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, with sorted keys and a final newline."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")


def read_json(path: str | Path, error: Callable[..., RecdistillError] = RecdistillError) -> Any:
    """Read JSON; a missing or broken file raises ``error`` with the place and reason."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error("no such file", where=path) from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as problem:
        raise error(f"cannot be read as JSON ({problem})", where=path) from None


@contextmanager
def _one_line_on_failure(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses while ``path`` is written into a :class:`RecdistillError`."""
    try:
        yield
    except RecdistillError:
        raise
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        hint = "nothing was replaced; free some space and retry"
        raise RecdistillError(f"cannot write ({reason})", where=path, hint=hint) from error


def _reason(error: Exception) -> str | None:
    """What the operating system said, or None where it said nothing: then the error is of another kind.

    Libraries written in Rust, safetensors and polars among them, raise exceptions of their own whose text ends with the
    system's: "… I/O error: No space left on device (os error 28)".
    """
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):  # of a copied tree: one for each file
        return str(error.args[0][0][-1])
    if isinstance(error, OSError):
        return str(error.strerror or error)
    found = re.search(r"\(os error (\d+)\)", str(error))
    return os.strerror(int(found[1])) if found else None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
