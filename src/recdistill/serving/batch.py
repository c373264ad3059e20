"""Recommendations for a table: users or histories out of Parquet, lists into Parquet; resumes where it stopped."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError, nearest
from ..files import atomic_path, read_json, write_json
from ..progress import track
from ..registry import need
from .bundle import Asked, Bundle
from .diversity import Diversity
from .filters import Filter
from .tables import Found

__all__ = ["recommend_batch"]

log = logging.getLogger("recdistill")
_ROWS = 8192
"""Rows of a part: what is done again, at most, after an interruption."""
_TOGETHER = 256


def recommend_batch(
    bundle: Bundle,
    source: str | Path,
    target: str | Path,
    *,
    n: int = 10,
    exclude_history: bool = True,
    where: Filter | None = None,
    diversity: Diversity | None = None,
    threads: int | None = None,
) -> int:
    """Recommend for every row of a table.

    Parts are kept beside the target until all are there; the same call goes on behind the last one. Events of items
    that are not in the catalogue are left out, and counted in the log, as are rows that tell nothing else: these get
    what is popular.

    Args:
        bundle: What is asked.
        source: Parquet with the columns ``user`` (ids), ``history`` (lists of item ids, oldest first), or both.
        target: Parquet to write: ``user`` if there was one, else ``row``; ``items`` and ``scores``, lists, best first.
        n: Items of a list, at most.
        exclude_history: Leave out what is in the history.
        where: Which items may come.
        diversity: How the lists are made more varied.
        threads: At work; None: one for each usable core.

    Returns:
        Number of rows.

    Raises:
        DataError: The source is no such table, or the target would take its place.
        RecdistillError: The target cannot be written.
    """
    source, target = Path(source), Path(target)
    if source.resolve() == target.resolve():
        raise DataError("the lists would take the place of this table", where=source, hint="name another file for them")
    table = _opened(source)
    settings = {"n": n, "exclude_history": exclude_history, "where": repr(where), "diversity": repr(diversity)}
    parts = _parts(target, [bundle.fingerprint, settings, _described(source, table)])
    question = {"n": n, "exclude_history": exclude_history, "where": where, "diversity": diversity}
    rows = table.metadata.num_rows
    done = sum(path.suffix == ".parquet" for path in parts.iterdir()) * _ROWS
    unknown = nobody = 0
    with (
        track("recommend", rows, "rows", done=min(done, rows)) as progress,
        ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool,
    ):
        for number, chunk in enumerate(_chunks(table)):
            path = parts / f"{number:08}.parquet"
            if path.exists():
                continue
            asked, missing = _asked(bundle, chunk, question)
            nobody += _nobody(bundle, asked)
            _write(bundle, path, chunk, number * _ROWS, _answers(bundle, asked, pool))
            unknown += missing
            progress.advance(len(chunk))
    if unknown:
        log.warning("events with items outside the catalogue, which were left out: %s", f"{unknown:,}")
    if nobody:
        log.warning("rows without a known user or item, which got what is popular: %s", f"{nobody:,}")
    _join(parts, target, _schema(table))
    return int(rows)


def _opened(source: Path) -> Any:
    """The table, known to have one of the columns."""
    parquet, arrow = need("pyarrow.parquet", "serve"), need("pyarrow", "serve")
    if not source.is_file():
        beside = [path.name for path in source.parent.glob("*.parquet")]
        what = "is a folder; name one file" if source.is_dir() else "no such file"
        raise DataError(what, where=source, hint=nearest(source.name, beside))
    try:
        table = parquet.ParquetFile(source)
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"cannot be read as Parquet ({error})", where=source) from None
    names = table.schema_arrow.names
    if not {"user", "history"} & set(names):
        shown = ", ".join(names[:10])
        raise DataError(f"has neither a column 'user' nor 'history' but {shown}", where=source, hint="rename one")
    if "history" in names:
        kind = table.schema_arrow.field("history").type
        if not (arrow.types.is_list(kind) or arrow.types.is_large_list(kind)):
            raise DataError(f"holds {kind} in 'history', not lists of item ids", where=source)
    return table


def _described(source: Path, table: Any) -> list[Any]:
    """What tells this table from another one, without reading all of it."""
    status = source.stat()
    return [str(source.resolve()), status.st_size, status.st_mtime_ns, table.metadata.num_rows]


def _parts(target: Path, inputs: list[Any]) -> Path:
    """The directory of finished parts; emptied if they were made from something else."""
    key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    parts = target.with_name(f".{target.name}.parts")
    mark = parts / "key.json"
    if not mark.exists() or read_json(mark) != key:
        shutil.rmtree(parts, ignore_errors=True)
        write_json(mark, key)
    return parts


def _chunks(table: Any) -> Iterator[Any]:
    """The table in chunks of the same rows every time."""
    arrow = need("pyarrow", "serve")
    columns = [name for name in ("user", "history") if name in table.schema_arrow.names]
    held = arrow.Table.from_batches([], schema=arrow.schema([table.schema_arrow.field(name) for name in columns]))
    for batch in table.iter_batches(_ROWS, columns=columns):
        held = arrow.concat_tables([held, arrow.Table.from_batches([batch])])
        while len(held) >= _ROWS:
            yield held.slice(0, _ROWS)
            held = held.slice(_ROWS)
    if len(held):
        yield held


def _asked(bundle: Bundle, chunk: Any, question: dict[str, Any]) -> tuple[list[Asked], int]:
    """A question for each row, and how many events were left out."""
    users = _texts(chunk.column("user")) if "user" in chunk.column_names else [None] * len(chunk)
    if "history" not in chunk.column_names:
        nothing = np.zeros(0, dtype=np.int64)
        return [Asked(nothing, user=user, **question) for user in users], 0
    histories = chunk.column("history").combine_chunks()
    flat = _texts(histories.flatten())
    places = {item: place for place, item in enumerate(dict.fromkeys(flat))}
    known = bundle.items.find([item or "" for item in places])
    items: npt.NDArray[np.int64] = np.array([known[places[item]] for item in flat], dtype=np.int64)
    lengths = np.array([length or 0 for length in histories.value_lengths().to_pylist()], dtype=np.int64)
    rows = np.split(items, np.cumsum(lengths)[:-1])
    asked = [Asked(row[row >= 0], user=user, **question) for row, user in zip(rows, users, strict=True)]
    return asked, int((items < 0).sum())


def _nobody(bundle: Bundle, asked: list[Asked]) -> int:
    """How many questions name neither an item nor a user that the bundle knows."""
    users = [one.user or "" for one in asked if not len(one.history)]
    return len(users) if bundle.users is None else int((bundle.users.ids.find(users) < 0).sum())


def _texts(column: Any) -> list[str | None]:
    """Ids as text, whatever type they are stored in."""
    compute, arrow = need("pyarrow.compute", "serve"), need("pyarrow", "serve")
    texts: list[str | None] = compute.cast(column, arrow.string()).to_pylist()
    return texts


def _answers(bundle: Bundle, asked: list[Asked], pool: ThreadPoolExecutor) -> list[Found]:
    pieces = [asked[start : start + _TOGETHER] for start in range(0, len(asked), _TOGETHER)]
    return [found for answers in pool.map(bundle.recommend_each, pieces) for found in answers]


def _write(bundle: Bundle, path: Path, chunk: Any, first: int, found: list[Found]) -> None:
    arrow, parquet = need("pyarrow", "serve"), need("pyarrow.parquet", "serve")
    key = chunk.column("user") if "user" in chunk.column_names else arrow.array(range(first, first + len(chunk)))
    ids = bundle.items.ids
    named = {at: ids[at] for at in set(np.concatenate([items for items, _ in found]).tolist())}
    columns = {
        "user" if "user" in chunk.column_names else "row": key,
        "items": arrow.array([[named[at] for at in items.tolist()] for items, _ in found], arrow.list_(arrow.string())),
        "scores": arrow.array([scores for _, scores in found], arrow.list_(arrow.float32())),
    }
    with atomic_path(path) as part:
        parquet.write_table(arrow.table(columns), part, compression="zstd")


def _schema(table: Any) -> Any:
    arrow = need("pyarrow", "serve")
    names = table.schema_arrow.names
    key = table.schema_arrow.field("user") if "user" in names else arrow.field("row", arrow.int64())
    lists = [arrow.field("items", arrow.list_(arrow.string())), arrow.field("scores", arrow.list_(arrow.float32()))]
    return arrow.schema([key, *lists])


def _join(parts: Path, target: Path, schema: Any) -> None:
    """One file out of all parts, which are removed."""
    parquet = need("pyarrow.parquet", "serve")
    with atomic_path(target) as part, parquet.ParquetWriter(part, schema, compression="zstd") as writer:
        for path in sorted(parts.glob("*.parquet")):
            writer.write_table(parquet.read_table(path).cast(schema))
    shutil.rmtree(parts, ignore_errors=True)
