"""Item vectors in the files that people have them in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import polars.selectors as cs

from ..data.dataset import Catalogue
from ..data.tables import scan
from ..errors import DataError, nearest
from .ids import existing

__all__ = ["read_vectors"]

Floats = npt.NDArray[np.float32]


def read_vectors(
    file: Path, ids: Path | None, tensor: str | None, column: str | None, catalogue: Catalogue
) -> tuple[Sequence[str], Floats]:
    """Ids and vectors of a file.

    Args:
        file: ``.npy``, ``.safetensors``, or a table.
        ids: For a matrix: the id of each row, one per line; None if the rows are the catalogue's items in order.
        tensor: For ``.safetensors`` with several matrices: which.
        column: For a table: the column of ids, ``item`` if None.
        catalogue: The items there are.

    Raises:
        DataError: The file is missing, broken, or has another shape.
    """
    if existing(file).suffix not in (".npy", ".safetensors"):
        return _table(file, column or "item")
    matrix = _npy(file) if file.suffix == ".npy" else _safetensors(file, tensor)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        raise DataError(f"has shape {matrix.shape} of {matrix.dtype}, wanted is a matrix of numbers", where=file)
    names = catalogue.ids if ids is None else existing(ids).read_text(encoding="utf-8").splitlines()
    if len(names) != len(matrix):
        source = "the catalogue" if ids is None else str(ids)
        hint = "name a file of ids, one per line, with ids=" if ids is None else "every row needs one id"
        raise DataError(f"has {len(matrix)} rows, {source} has {len(names)} ids", where=file, hint=hint)
    return names, _finite(matrix, file)


def _npy(file: Path) -> npt.NDArray[Any]:
    try:
        return np.asarray(np.load(file, allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"is not an .npy matrix ({error})", where=file) from None


def _safetensors(file: Path, tensor: str | None) -> npt.NDArray[Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise DataError(f"is not a safetensors file ({error})", where=file) from None
    if tensor is None and len(tensors) == 1:
        return next(iter(tensors.values()))
    if tensor not in tensors:
        raise DataError(
            f"no tensor {tensor!r}", where=file, hint=f"set tensor= to one of: {', '.join(sorted(tensors))}"
        )
    return tensors[tensor]


def _table(file: Path, column: str) -> tuple[Sequence[str], Floats]:
    table = scan(file)
    if column not in table.columns:
        raise DataError(f"no column {column!r}", where=file, hint=nearest(column, table.columns))
    frame = table.collect(pl.all())
    ids = frame[column].cast(pl.String).to_list()
    rest = frame.drop(column)
    lists = rest.select(cs.by_dtype(pl.List) | cs.by_dtype(pl.Array)) if rest.width == 1 else rest.clear()
    if rest.width == 1 and lists.width == 1:
        widths = lists.to_series().list.len() if isinstance(lists.dtypes[0], pl.List) else pl.Series([1])
        if widths.n_unique() > 1:
            raise DataError("vectors of several widths", where=file)
        matrix = np.array(lists.to_series().to_list(), dtype=np.float32)
    else:
        matrix = rest.select(pl.all().cast(pl.Float32, strict=False).fill_null(float("nan"))).to_numpy()
    return ids, _finite(matrix, file)


def _finite(matrix: npt.NDArray[Any], file: Path) -> Floats:
    values = np.ascontiguousarray(matrix, dtype=np.float32)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise DataError(f"row {row} holds something that is not a number", where=file, hint="is that column a number?")
    return values
