"""Reading the same data from everything that holds rows."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recdistill.data import Cleaning, Dataset, read, read_movielens, read_recbole

LOG = pl.DataFrame(
    {
        "userId": [10, 9, 10, 9, 10],
        "movieId": [2, 1, 1, 2, 3],
        "rating": [4.0, 3.5, 5.0, 1.0, 2.0],
        "timestamp": [1_000_000_300, 1_000_000_200, 1_000_000_100, 1_000_000_200, 1_000_000_400],
    }
)
ITEMS = pl.DataFrame(
    {
        "movieId": [3, 1, 2],
        "title": ["Ünïcode, 映画 🎬", 'Say "hi"', "Two\nlines"],
        "genres": ["Drama|War", "(no genres listed)", "Comedy"],
    }
)


def expected(data: Dataset) -> None:
    """What LOG and ITEMS mean."""
    assert data.users == ["9", "10"]
    assert data.items.ids == ["3", "1", "2"]
    assert [data.log[0].tolist(), data.log[1].tolist()] == [[1, 2], [1, 2, 0]]
    assert data.log.times is not None
    assert data.log.times.tolist() == [
        t * 1000 for t in (1_000_000_200, 1_000_000_200, 1_000_000_100, 1_000_000_300, 1_000_000_400)
    ]
    assert data.log.ratings is not None
    assert data.log.ratings.tolist() == [3.5, 1.0, 5.0, 4.0, 2.0]
    assert data.items.texts == ["Ünïcode, 映画 🎬. Drama, War", 'Say "hi".', "Two lines. Comedy"]
    assert data.items.categories == [("Drama", "War"), (), ("Comedy",)]
    assert data.items.title(2) == "Two\nlines"


def files(folder: Path, kind: str) -> tuple[Path, Path]:
    """LOG and ITEMS as files of one kind."""
    log, items = folder / f"log.{kind}", folder / f"items.{kind}"
    for frame, path in ((LOG, log), (ITEMS, items)):
        if kind == "parquet":
            frame.write_parquet(path)
        elif kind == "csv.gz":
            path.write_bytes(gzip.compress(frame.write_csv().encode()))
        elif kind == "csv.zst":
            frame.write_csv(path, compression="zstd")
        else:
            frame.write_csv(path, separator="\t" if kind == "tsv" else ",")
    return log, items


@pytest.mark.parametrize("kind", ["csv", "tsv", "csv.gz", "csv.zst", "parquet"])
def test_files(tmp_path: Path, kind: str) -> None:
    data = read(*files(tmp_path, kind))
    expected(data)
    assert data.name == "log"
    assert data.fingerprint == read(LOG, ITEMS).fingerprint


def _tables() -> dict[str, Any]:
    import datasets
    import pandas as pd

    return {
        "polars": lambda f: f,
        "lazy": lambda f: f.lazy(),
        "pandas": lambda f: pd.DataFrame(f.to_dict(as_series=False)),
        "arrow": lambda f: f.to_arrow(),
        "datasets": lambda f: datasets.Dataset.from_dict(f.to_dict(as_series=False)),
    }


@pytest.mark.parametrize("kind", ["polars", "lazy", "pandas", "arrow", "datasets"])
def test_tables(kind: str) -> None:
    make = _tables()[kind]
    data = read(make(LOG), make(ITEMS), name="x")
    expected(data)
    assert data.fingerprint == read(LOG, ITEMS).fingerprint
    assert data.report["columns"] == {"user": "userId", "item": "movieId", "time": "timestamp", "rating": "rating"}


def test_a_list_of_tables_is_one_log(tmp_path: Path) -> None:
    _, items = files(tmp_path, "csv")
    LOG.head(2).write_csv(tmp_path / "a.csv")
    LOG.slice(2).write_csv(tmp_path / "b.csv")
    expected(read([tmp_path / "a.csv", tmp_path / "b.csv"], items))


def test_report(tmp_path: Path) -> None:
    report = read(*files(tmp_path, "csv"), cleaning=Cleaning(min_rating=2)).report
    assert report["rows_read"] == 5
    assert report["rows_kept"] == report["events"] == 4
    assert report["dropped"] == {"rated below 2.0": 1}
    assert (report["users"], report["items"], report["items_read"]) == (2, 3, 3)
    assert report["density"] == pytest.approx(4 / 6)
    assert report["template"] == "{title}. {genres}"
    assert (report["time_unit"], report["time_from"]) == ("seconds", "2001-09-09T01:48:20+00:00")
    assert report["quarantine"] is None
    assert report["bad_rows"] == []


def test_without_item_table_items_are_those_of_the_log() -> None:
    data = read(LOG)
    assert data.items.ids == ["1", "2", "3"]
    assert data.items.texts is None
    assert data.items.title(0) == "1"


def test_no_time_keeps_file_order() -> None:
    data = read(pl.DataFrame({"user": ["b", "a", "b"], "item": ["y", "x", "x"]}))
    assert data.log.times is None
    assert [data.log[0].tolist(), data.log[1].tolist()] == [[0], [1, 0]]


def test_type_and_weight_are_kept() -> None:
    log = pl.DataFrame({"user": ["a", "a"], "item": ["x", "y"], "event": ["view", "buy"], "weight": [1.0, 2.5]})
    data = read(log)
    assert data.types == ("buy", "view")
    assert data.log.types is not None
    assert data.log.types.tolist() == [1, 0]
    assert data.log.weights is not None
    assert data.log.weights.tolist() == [1.0, 2.5]


def test_times_that_only_order() -> None:
    data = read(pl.DataFrame({"user": ["a"] * 3, "item": ["x", "y", "z"], "timestamp": [2, -1, 0]}))
    assert data.log.items.tolist() == [1, 2, 0]
    assert (data.report["time_unit"], data.report["time_from"]) == ("order", None)


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        ([1_600_000_000, 1_600_000_001], "seconds"),
        ([1_600_000_000.0, 1_600_000_001.0], "seconds"),
        ([1_600_000_000_000, 1_600_000_001_000], "milliseconds"),
        ([1_600_000_000_000_000, 1_600_000_001_000_000], "microseconds"),
        ([1_600_000_000_000_000_000, 1_600_000_001_000_000_000], "nanoseconds"),
        (["1600000000", "1600000001"], "seconds"),
        (["1.6e9", "1600000001.0"], "seconds"),
        (["2020-09-13T12:26:40Z", "2020-09-13 12:26:41"], "date"),
        (["2020-09-13T14:26:40.000+02:00", "2020-09-13T12:26:41+0000"], "date"),
        ([datetime(2020, 9, 13, 12, 26, 40), datetime(2020, 9, 13, 12, 26, 41)], "date"),
        ([datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC), datetime(2020, 9, 13, 12, 26, 41, tzinfo=UTC)], "date"),
    ],
)
def test_times_become_milliseconds(times: list[Any], unit: str) -> None:
    data = read(pl.DataFrame({"user": ["a", "a"], "item": ["x", "y"], "time": times}))
    assert data.log.times is not None
    assert data.log.times.tolist() == [1_600_000_000_000, 1_600_000_001_000]
    assert data.report["time_unit"] == unit


def test_dates_without_time_of_day() -> None:
    data = read(pl.DataFrame({"user": ["a"], "item": ["x"], "day": ["2020-09-13"]}), columns={"time": "day"})
    assert data.log.times is not None
    assert data.log.times.tolist() == [1_599_955_200_000]
    dated = pl.DataFrame({"user": ["a"], "item": ["x"], "date": ["2020-09-13"]}).with_columns(
        pl.col("date").str.to_date()
    )
    assert read(dated).fingerprint == data.fingerprint


def test_huge_and_strange_texts(tmp_path: Path) -> None:
    title = "é🎬" * 25_000
    items = pl.DataFrame({"item": ["a", "ब"], "title": [title, "\u202eright to left"]})
    items.write_csv(tmp_path / "items.csv")
    data = read(pl.DataFrame({"user": ["🙂"], "item": ["ब"]}), tmp_path / "items.csv")
    assert data.items.texts == [title, "\u202eright to left"]
    assert data.users == ["🙂"]


def test_many_random_rows_against_plain_python(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [
        (f"u{random.integers(40)}", str(random.integers(60)), int(10**9 + random.integers(50))) for _ in range(3000)
    ]
    pl.DataFrame(rows, schema=["user", "item", "time"], orient="row").write_csv(tmp_path / "log.csv")
    data = read(tmp_path / "log.csv")
    distinct = list(dict.fromkeys(rows))
    for index, user in enumerate(data.users):
        wanted = [item for u, item, _ in sorted(distinct, key=lambda row: row[2]) if u == user]
        assert [data.items.ids[i] for i in data.log[index]] == wanted
    assert data.report["dropped"] == {"exact duplicate": len(rows) - len(distinct)}


def test_movielens_layouts(tmp_path: Path) -> None:
    ratings = "1::10::5::978300760\n1::20::3::978300761\n2::10::4::978300762\n"
    for name in ("ml-1m", "ml-100k", "csv", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "ml-1m/ratings.dat").write_text(ratings)
    (tmp_path / "ml-1m/movies.dat").write_bytes("10::Amélie: a (2001)::Comedy|War\n20::B::Drama\n".encode("latin-1"))
    (tmp_path / "ml-100k/u.data").write_text(ratings.replace("::", "\t"))
    none = "|0" * 19
    item = f"10|Amélie|01-Jan-1995||http://x{none[:-2]}|1\n20|B|||{none}\n"
    (tmp_path / "ml-100k/u.item").write_bytes(item.encode("latin-1"))
    (tmp_path / "csv/ratings.csv").write_text("userId,movieId,rating,timestamp\n" + ratings.replace("::", ","))
    one_m, one_k = read_movielens(tmp_path / "ml-1m"), read_movielens(tmp_path / "ml-100k", text="{title}")
    assert one_m.items.titles is not None
    assert one_m.items.titles[0].startswith("Amélie: a")
    assert one_k.items.titles == ["Amélie", "B"]
    assert one_k.items.categories == [("Western",), ()]
    assert (one_m.name, one_k.name) == ("ml-1m", "ml-100k")
    assert one_m.log.items.tolist() == one_k.log.items.tolist() == read_movielens(tmp_path / "csv").log.items.tolist()
    with pytest.raises(Exception, match="no MovieLens folder"):
        read_movielens(tmp_path / "other")


def test_recbole_atomic_files(tmp_path: Path) -> None:
    inter = (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t5\t978300760.0\n1\t20\t3\t9.78300761e8\n"
    )
    item = 'item_id:token\tmovie_title:token_seq\tclass:token_seq\n10\t"Toy Story\tComedy War\n20\tHeat\tDrama\n'
    folder = tmp_path / "mini"
    folder.mkdir()
    (folder / "mini.inter").write_text(inter)
    (folder / "mini.item").write_text(item)
    data = read_recbole(folder)
    assert data.items.texts == ['"Toy Story. Comedy, War', "Heat. Drama"]
    assert data.log.times is not None
    assert data.log.times.tolist() == [978300760000, 978300761000]
    assert data.fingerprint == read_recbole(folder / "mini").fingerprint
    assert data.name == "mini"
    (folder / "mini.inter").rename(folder / "a.inter")
    (folder / "b.inter").write_text(inter)
    with pytest.raises(Exception, match=r"there are: a\.inter, b\.inter"):
        read_recbole(folder)
