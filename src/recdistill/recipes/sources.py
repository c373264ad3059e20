"""From the ``data`` part of a recipe to a split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..data import Dataset, Split, movielens_small, read, read_movielens, read_recbole
from ..errors import DataError
from ..files import checksum
from .schema import DataSpec

__all__ = ["input_files", "item_folder", "read_data", "split_data"]

EMBEDDED = "movielens-small"


def input_files(spec: DataSpec, base: Path) -> dict[str, str]:
    """Every file the data come from, with its SHA-256: what the data stage is cached under.

    Returns:
        ``log/NAME`` or ``items/NAME`` to checksum: two files may have one name.

    Raises:
        DataError: A file or folder is missing.
    """
    if spec.log == EMBEDDED:
        return {EMBEDDED: "1"}
    found: dict[str, str] = {}
    for role, name in (("log", spec.log), ("items", spec.items)):
        if name is None:
            continue
        path = base / name
        if not path.exists():
            raise DataError(
                "no such file or folder", where=path, hint="paths in a recipe start from the recipe's folder"
            )
        files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        # by role and name, not path: the same run may be looked at from another folder
        found |= {f"{role}/{file.name}": checksum(file) for file in files}
    return found


def item_folder(spec: DataSpec, base: Path) -> Path:
    """Where the item table lies: paths of pictures start from there."""
    place = base / (spec.items or spec.log)
    return place if place.is_dir() else place.parent


def read_data(spec: DataSpec, base: Path, quarantine: Path | None = None) -> Dataset:
    """Read and clean what ``spec`` names.

    Args:
        spec: The ``data`` part of a recipe.
        base: Directory that relative paths start from.
        quarantine: File for rows that cannot be used.
    """
    shared: dict[str, Any] = {"cleaning": spec.cleaning, "quarantine": quarantine}
    if spec.text is not None:
        shared["text"] = spec.text
    path = base / spec.log
    if spec.log == EMBEDDED:
        return movielens_small(cleaning=spec.cleaning)
    if path.is_dir():
        reader = read_recbole if any(path.glob("*.inter")) else read_movielens
        return reader(path, **shared)
    if path.suffix == ".inter":
        return read_recbole(path, **shared)
    items = None if spec.items is None else base / spec.items
    return read(path, items, columns=spec.columns, item_columns=spec.item_columns, **shared)


def split_data(spec: DataSpec, base: Path, quarantine: Path | None = None) -> Split:
    """Read, clean and split."""
    split: Split = spec.split.split(read_data(spec, base, quarantine))
    return split
