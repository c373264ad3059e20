"""A small part of the packaged MovieLens as the CSV files a user would have."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import polars as pl

__all__ = ["write_movies"]

_ALWAYS = (1, 6, 2571)
"""Toy Story, Heat and The Matrix, which the documentation asks for."""


def write_movies(folder: Path, n_users: int = 60, n_items: int = 50, n_events: int = 12) -> None:
    """Write ``ratings.csv`` and ``movies.csv``, the most rated films and at most ``n_events`` ratings of each user; and
    ``people.parquet``, whom to recommend for."""
    source = Path(str(files("recdistill.data.movielens")))
    ratings, movies = pl.read_parquet(source / "ratings.parquet"), pl.read_parquet(source / "movies.parquet")
    counts = ratings["movieId"].value_counts(sort=True)["movieId"].to_list()
    kept = [*_ALWAYS, *(movie for movie in counts if movie not in _ALWAYS)][:n_items]
    rows = ratings.filter(pl.col("movieId").is_in(kept)).sort("timestamp").group_by("userId", maintain_order=True)
    few = rows.tail(n_events).filter(pl.len().over("userId") > 4)
    users = few["userId"].unique().sort().head(n_users).to_list()
    few.filter(pl.col("userId").is_in(users)).write_csv(folder / "ratings.csv")
    movies.filter(pl.col("movieId").is_in(kept)).write_csv(folder / "movies.csv")
    pl.DataFrame({"user": ["ann", "bob"], "history": [["1", "6"], []]}).write_parquet(folder / "people.parquet")
