"""MovieLens folders as GroupLens ships them, and the small one inside the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from ...errors import DataError
from ..cleaning import Cleaning
from ..dataset import Dataset
from ..reader import read
from ..tables import scan

__all__ = ["movielens_small", "read_movielens"]

_GENRES = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]
"""The 19 flags of ml-100k's ``u.item``, in its order (``u.genre``)."""


def movielens_small(cleaning: Cleaning | None = None) -> Dataset:
    """MovieLens ml-latest-small: 100,836 ratings of 9,742 films by 610 users, inside the package.

    Non-commercial use only, see ``movielens/README.txt``. Harper & Konstan 2015,
    https://doi.org/10.1145/2827872
    """
    folder = Path(__file__).parent
    return read(
        folder / "ratings.parquet",
        folder / "movies.parquet",
        text="{title}. {genres}",
        cleaning=cleaning,
        name="movielens-small",
    )


def read_movielens(folder: str | Path, **options: Any) -> Dataset:
    """Read a MovieLens folder: ml-latest, ml-20m, ml-25m (CSV), ml-1m, ml-10m (``.dat``) or ml-100k (``u.data``).

    Args:
        folder: The unpacked archive.
        options: As for :func:`recdistill.data.read`: text, cleaning, name, quarantine.

    Raises:
        DataError: The folder has none of these layouts.
    """
    folder = Path(folder)
    options.setdefault("name", folder.resolve().name)
    layouts = {"ratings.csv": _csv, "ratings.parquet": _csv, "ratings.dat": _dat, "u.data": _u_data}
    for name, layout in layouts.items():
        if (folder / name).exists():
            log, items = layout(folder / name)
            return read(log, items, **options)
    raise DataError(f"no MovieLens folder: it has none of {', '.join(layouts)}", where=folder)


def _csv(ratings: Path) -> tuple[Any, Any]:
    movies = ratings.with_name("movies" + ratings.suffix)
    return ratings, movies if movies.exists() else None


def _dat(ratings: Path) -> tuple[Any, Any]:
    return (
        scan(ratings).renamed("user_id", "item_id", "rating", "timestamp"),
        scan(ratings.with_name("movies.dat")).renamed("item_id", "title", "genres"),
    )


def _u_data(ratings: Path) -> tuple[Any, Any]:
    films = scan(ratings.with_name("u.item")).renamed("item_id", "title", "released", "video_released", "url", *_GENRES)
    flags = [pl.when(pl.col(genre) == "1").then(pl.lit(genre)) for genre in _GENRES[1:]]
    genres = pl.concat_str(flags, separator="|", ignore_nulls=True).alias("genres")
    return (
        scan(ratings).renamed("user_id", "item_id", "rating", "timestamp"),
        films.select("item_id", "title", genres),
    )
