"""A split on disk, so that cleaning and splitting happen once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..files import atomic_directory, read_json, write_json
from .dataset import Catalogue, Contexts, Dataset, Split
from .sequences import Sequences

__all__ = ["load_split", "save_split"]

_VERSION = 1
_FIELDS = ("offsets", "items", "times", "ratings", "weights", "types")
_COLUMNS = ("ids", "texts", "titles", "categories", "images")


def save_split(split: Split, path: str | Path) -> None:
    """Write a split into the directory ``path``, atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors.numpy import save_file

    data = split.dataset
    tensors = _flat("log", data.log) | _flat("train", split.train)
    for name, contexts in (("valid", split.valid), ("test", split.test)):
        tensors |= _flat(f"{name}.history", contexts.history) | _flat(f"{name}.targets", contexts.targets)
        tensors[f"{name}.users"] = contexts.users
    columns = {name: getattr(data.items, name) for name in _COLUMNS if getattr(data.items, name) is not None}
    with atomic_directory(path) as part:
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, part / "arrays.safetensors")
        pq.write_table(
            pa.table({name: _column(pa, values) for name, values in columns.items()}), part / "items.parquet"
        )
        pq.write_table(pa.table({"ids": _column(pa, data.users)}), part / "users.parquet")
        described = {"version": _VERSION, "name": data.name, "method": split.method, "report": data.report}
        described["types"] = list(data.types)
        write_json(part / "split.json", described | {"fingerprint": split.fingerprint})


def load_split(path: str | Path) -> Split:
    """Read what :func:`save_split` wrote.

    Raises:
        DataError: Something is missing, broken or of another version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    described = read_json(path / "split.json", DataError)
    if described.get("version") != _VERSION:
        raise DataError(f"split format {described.get('version')!r}, this version reads {_VERSION}", where=path)
    try:
        tensors = load_file(path / "arrays.safetensors")
        items, users = pq.read_table(path / "items.parquet"), pq.read_table(path / "users.parquet")
    except (OSError, SafetensorError, pa.ArrowInvalid) as error:
        raise DataError(
            f"the stored split cannot be read ({error})", where=path, hint="remove it to make it again"
        ) from None
    columns: dict[str, Any] = {name: items.column(name).to_pylist() for name in items.column_names}
    if "categories" in columns:
        columns["categories"] = [tuple(names) for names in columns["categories"]]
    dataset = Dataset(
        users.column("ids").to_pylist(),
        Catalogue(**columns),
        _ragged("log", tensors),
        described["name"],
        described["report"],
        tuple(described.get("types", ())),
    )
    split = Split(
        dataset, _ragged("train", tensors), _contexts("valid", tensors), _contexts("test", tensors), described["method"]
    )
    if split.fingerprint != described["fingerprint"]:
        raise DataError(
            "the stored split was changed after it was written", where=path, hint="remove it to make it again"
        )
    return split


def _column(pa: Any, values: Sequence[Any]) -> Any:
    return pa.array([list(v) if isinstance(v, tuple) else v for v in values])


def _flat(name: str, rows: Sequences) -> dict[str, npt.NDArray[Any]]:
    fields = {field: getattr(rows, field) for field in _FIELDS}
    return {f"{name}.{field}": value for field, value in fields.items() if value is not None}


def _ragged(name: str, tensors: dict[str, npt.NDArray[Any]]) -> Sequences:
    return Sequences(**{field: tensors.get(f"{name}.{field}") for field in _FIELDS})  # type: ignore[arg-type]


def _contexts(name: str, tensors: dict[str, npt.NDArray[Any]]) -> Contexts:
    return Contexts(tensors[f"{name}.users"], _ragged(f"{name}.history", tensors), _ragged(f"{name}.targets", tensors))
