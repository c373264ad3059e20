"""Make the MovieLens tables inside the package from an unpacked ml-latest-small.

    python benchmarks/make_movielens.py ml-latest-small

The archive is at https://grouplens.org/datasets/movielens/. Its README.txt travels with the tables: its licence allows
redistribution "including transformations" under the same conditions, non-commercial use only.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import polars as pl


def main(source: Path, target: Path) -> None:
    """Write ratings.parquet, movies.parquet and README.txt."""
    ratings = pl.read_csv(source / "ratings.csv").sort("userId", "timestamp", maintain_order=True)
    narrow = {"userId": pl.UInt16, "movieId": pl.UInt32, "rating": pl.Float32, "timestamp": pl.UInt32}
    movies = pl.read_csv(source / "movies.csv", schema_overrides={"movieId": pl.UInt32})
    for name, table in {"ratings": ratings.cast(narrow), "movies": movies}.items():  # type: ignore[arg-type]
        file = target / f"{name}.parquet"
        table.write_parquet(file, compression="zstd", compression_level=19, statistics=False)
        print(f"{file}: {len(table):,} rows, {file.stat().st_size:,} bytes")
    if (source / "README.txt").resolve() != (target / "README.txt").resolve():
        (target / "README.txt").unlink(missing_ok=True)
        shutil.copyfile(source / "README.txt", target / "README.txt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parents[1] / "src/recdistill/data/movielens")
