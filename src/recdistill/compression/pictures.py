"""Pictures for a bundle, from files beside the item table; nothing is fetched from anywhere."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

from ..data.dataset import Catalogue
from ..errors import BundleError
from ..serving.pictures import Pictures, kind_of

__all__ = ["fingerprint", "write_pictures"]

log = logging.getLogger("recdistill")

LARGEST = 200_000
"""Bytes of one picture: a page shows dozens, each the size of a thumb."""


def write_pictures(directory: Path, items: Catalogue, folder: Path) -> int:
    """Put the pictures of the items into a bundle.

    Args:
        directory: Of the bundle.
        items: Its catalogue; ``images`` are paths from ``folder``. Addresses, paths that lead out of it, and files that
            are missing, too large or no pictures are left out, and counted in a warning.
        folder: Where the files are.

    Returns:
        How many there are.

    Raises:
        BundleError: The catalogue names no pictures.
    """
    if items.images is None:
        hint = "name the column of the item table: item_columns: {image: COLUMN}"
        raise BundleError("the items name no pictures", hint=hint)
    found = [_read(path) for path in _paths(items, folder)]
    named, there = sum(bool(image) for image in items.images), sum(map(bool, found))
    if there < named:
        what = f"no picture of at most {LARGEST // 1000} kB in {folder}"
        log.warning("%s of %s pictures are left out: %s", f"{named - there:,}", f"{named:,}", what)
    Pictures.write(directory, found)
    return there


def fingerprint(items: Catalogue, folder: Path) -> str:
    """Changes when a picture does: a hash over sizes and times of all files, 16 hex digits."""
    stats = [None if path is None else path.stat() for path in _paths(items, folder)]
    told = repr([None if stat is None else (stat.st_size, stat.st_mtime_ns) for stat in stats])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _paths(items: Catalogue, folder: Path) -> Iterator[Path | None]:
    """The file of each item, if there is one inside the folder."""
    inside = folder.resolve()
    for image in items.images or ():
        try:
            path = (inside / image).resolve() if image else None
            yield path if path is not None and path.is_relative_to(inside) and path.is_file() else None
        except (OSError, ValueError):  # a name that no file can have
            yield None


def _read(path: Path | None) -> bytes:
    if path is None or path.stat().st_size > LARGEST:
        return b""
    data = path.read_bytes()
    return data if kind_of(data) else b""
