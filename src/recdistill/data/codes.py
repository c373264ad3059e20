"""Ids as integer codes: one dictionary that fills while a table streams through."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from .dataset import Catalogue
from .values import clean_ids

__all__ = ["Names"]

Codes = npt.NDArray[np.int32]


class Names:
    """A dictionary from text to codes that all threads of a query share."""

    def __init__(self) -> None:
        self._categories = pl.Categories.random()
        self._type = pl.Categorical(self._categories)
        self._alive = pl.Series([], dtype=self._type)  # polars forgets the names with the last column that uses them

    def encode(self, text: pl.Expr) -> pl.Expr:
        """Text to codes (UInt32). Threads hand them out in the order in which they meet the names."""
        return text.cast(self._type).to_physical()

    def decode(self, raw: pl.Series, catalogue: Catalogue | None = None) -> tuple[Codes, list[str]]:
        """Codes that do not depend on threads, and the cleaned names they stand for.

        Args:
            raw: What :meth:`encode` gave.
            catalogue: Items that keep their index; other names come behind.

        Returns:
            int32 ``[n]``, -1 where the id is missing; and the names: those of the catalogue, then others that occur,
            shorter ones first, then by alphabet (so that numbers are in order).
        """
        count = 0 if raw.null_count() == len(raw) else int(raw.max()) + 1  # type: ignore[arg-type]
        code = pl.int_range(count, eager=True, dtype=pl.UInt32).alias("code")
        found = pl.DataFrame([code, clean_ids(code.cat.to(self._type).cast(pl.String)).alias("name")]).drop_nulls()
        known = [] if catalogue is None else list(catalogue.ids)
        new = found.select("name").unique().filter(~pl.col("name").is_in(pl.Series(known, dtype=pl.String).implode()))
        names = known + new.sort(pl.col("name").str.len_chars(), "name")["name"].to_list()
        index = pl.DataFrame({"name": pl.Series(names, dtype=pl.String)}).with_row_index("place")
        found = found.join(index, on="name")
        place = np.full(count + 1, -1, np.int32)
        place[found["code"].to_numpy()] = found["place"].to_numpy()
        return place[raw.fill_null(count).to_numpy()], names
