"""RecBole atomic files: tab-separated tables whose header carries types (https://recbole.io/atomic_files.html)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import DataError
from .dataset import Dataset
from .reader import read

__all__ = ["read_recbole"]


def read_recbole(path: str | Path, **options: Any) -> Dataset:
    """Read ``NAME.inter`` and, where it exists, ``NAME.item``.

    Args:
        path: The folder ``NAME`` that holds them, or their common prefix ``…/NAME``.
        options: As for :func:`recdistill.data.read`: text, cleaning, columns, quarantine, …

    Raises:
        DataError: There is no ``.inter`` file, or there are several in the folder.
    """
    path = Path(path)
    log = _inter(path) if path.is_dir() else path.with_name(path.name.removesuffix(".inter") + ".inter")
    items = log.with_suffix(".item")
    options.setdefault("name", log.stem)
    return read(log, items if items.exists() else None, **options)


def _inter(folder: Path) -> Path:
    found = sorted(folder.glob("*.inter"))
    own = [file for file in found if file.stem == folder.resolve().name]
    if len(own or found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise DataError(
            f"one .inter file is needed, there are: {names}", where=folder, hint="give the prefix: FOLDER/NAME"
        )
    return (own or found)[0]
