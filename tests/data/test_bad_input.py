"""Bad input: one clear line each, and nothing disappears silently."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.data import Cleaning, Dataset, read
from recdistill.data.values import MISSING_IDS
from recdistill.errors import ConfigError, DataError

HEAD = "user,item,rating,time\n"
GOOD = "1,2,3,1000000000\n"


def attempt(folder: Path, log: str | bytes, items: str | None = None, **options: Any) -> Dataset:
    """Write the texts as CSV files and read them."""
    (folder / "log.csv").write_bytes(log if isinstance(log, bytes) else log.encode())
    if items is not None:
        (folder / "items.csv").write_text(items)
    return read(folder / "log.csv", None if items is None else folder / "items.csv", **options)


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("", "the file is empty"),
        (HEAD, "log.csv: has no rows"),
        (
            "usr_idd,item\n1,2\n",
            'no column looks like the user .* columns={"user": "usr_idd"}, or --column user=usr_idd',
        ),
        ("user\n1\n", "no column looks like the item"),
        (HEAD + GOOD + "1,2,3,1000000001,9,9\n", "log.csv, line 3: more fields than the header has"),
        (
            HEAD + GOOD + "1,3,3,1000000000000\n",
            "mixed units.*seconds in log.csv, line 2; milliseconds in log.csv, line 3",
        ),
        (HEAD + GOOD + "1,3,3,2020-01-01\n", "mixed units.*a date in log.csv, line 3, numbers elsewhere"),
        (HEAD + "1,3,3,2020-01-01\n2,3,3,2020-01-01\n" + GOOD, "mixed units"),
        (HEAD + ",2,3,1000000000\n", "none of its 1 rows is good .*empty user id"),
        ('user,item\n1,"a\n2,b\n', "log.csv: cannot be read"),
        (b"user,item\n\xe9" + b"\xff" * 3, "has no item|none of its 1 rows is good"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, log: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        attempt(tmp_path, log)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"user": "usr"}}, "no column 'usr'; did you mean 'user'"),
        ({"columns": {"usr": "user"}}, "no column role is called 'usr'; did you mean 'user'"),
        ({"columns": {"user": None}}, "no column looks like the user"),
        ({"text": "{title}"}, "needs an item table"),
        ({"cleaning": Cleaning(min_rating=4)}, r"all 1 events were dropped \(rated below 4.0\); loosen min_rating"),
        ({"cleaning": Cleaning(min_user_events=3)}, "loosen min_user_events"),
        ({"cleaning": Cleaning(min_rating=1), "columns": {"rating": None}}, "no rating column"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        attempt(tmp_path, HEAD + GOOD, **options)


@pytest.mark.parametrize(
    ("items", "text", "message"),
    [
        (
            'item,title\na,"x\ny"\nb,z\na,q\nb,q\n',
            None,
            r"id 'a' stands more than once \(lines 2, 5\), and so do 1 other",
        ),
        ("item,title\na,x\n", "{titel}", "items.csv: unknown placeholder {titel}.*did you mean 'title'"),
        ("item,title\na,x\n", "{title", "broken text template"),
        ("item,title\na,x\n", "{title!r}", "unknown placeholder"),
        ("item,title\na,x\n", "{title.__class__}", "unknown placeholder"),
        ("colour,size\na,x\n", None, "no column looks like the item"),
        ("item,title\n,x\n", None, "has no items"),
    ],
)
def test_item_tables_that_cannot_be_used(tmp_path: Path, items: str, text: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        attempt(tmp_path, "user,item\n1,a\n", items, text=text)


def test_bad_rows_go_to_quarantine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = (
        'user,item,rating,time,note\n1,7,3,1000000000,"two\nlines"\n,7,3,1000000000,\n1,,3,1000000000,\n'
        "1,NaN,3,1000000000,\n1, 7 ,x,1000000000,\n1,7,inf,1000000000,\n"
        "1,7,3,,\n1,7,3,soon,\n1,7,3,0,\n1,8,3,1000000001,\n"
    )
    data = attempt(tmp_path, log, "item,title\n7,a\n,b\n", quarantine=tmp_path / "bad/rows.csv")
    rows = pl.read_csv(tmp_path / "bad/rows.csv")
    assert rows["line"].to_list() == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert rows["file"].to_list() == ["items.csv", *["log.csv"] * 9]
    assert data.report["dropped"] == {
        "empty user id": 1,
        "empty item id": 2,
        "rating is not a number": 2,
        "time is missing or unreadable": 2,
        "time is zero or negative": 1,
        "item is not in the item table": 1,
    }
    assert rows["record"][4] == '{"user":"1","item":" 7 ","rating":"x","time":"1000000000","note":null}'
    assert data.report["rows_read"] == data.report["rows_kept"] + sum(data.report["dropped"].values()) == 10
    assert (data.report["items_read"], data.n_items) == (2, 1)
    assert data.report["quarantine"] == str(tmp_path / "bad/rows.csv")
    assert len(data.report["bad_rows"]) == 10
    assert "left out 10 bad rows" in caplog.text


def test_without_a_quarantine_file_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="recdistill"):
        attempt(tmp_path, HEAD + GOOD + ",2,3,1000000000\n")
    assert "give quarantine=FILE" in caplog.text


def test_unknown_items_can_be_added(tmp_path: Path) -> None:
    log, items = "user,item\n1,z\n1,a\n1,y\n", "item,title,genres,image\nb,B,G,b.png\na,A,,\n"
    data = attempt(tmp_path, log, items, cleaning=Cleaning(unknown_items="add"))
    assert data.items.ids == ["b", "a", "y", "z"]
    assert data.items.texts == ["B. G", "A.", "", ""]
    assert data.items.titles == ["B", "A", "", ""]
    assert data.items.categories == [("G",), (), (), ()]
    assert data.items.images == ["b.png", None, None, None]
    assert data.log.items.tolist() == [3, 1, 2]


def test_places_that_are_no_file(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item\n1,2\n")
    for source, message in [
        (tmp_path / "lgo.csv", "no such file; did you mean 'log.csv'"),
        (tmp_path / "no/log.csv", "no such file"),
        (tmp_path, "is a folder.*read_movielens"),
        (object(), "cannot read a builtins.object"),
    ]:
        with pytest.raises(DataError, match=message):
            read(source)


def test_broken_files(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"x.parquet: cannot be read .*is it complete"):
        read(tmp_path / "x.parquet")
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"user,item\n1,2\n1,2,3\n"))
    with pytest.raises(DataError, match=r"x.csv.gz, line 3: more fields"):
        read(tmp_path / "x.csv.gz")
    (tmp_path / "y.csv.gz").write_bytes(gzip.compress(b"user,item\n\xe9,2\n"))
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read(tmp_path / "y.csv.gz")


def test_small_latin1_files_are_understood(tmp_path: Path) -> None:
    assert attempt(tmp_path, "user,item\né,ü\n".encode("latin-1")).users == ["é"]


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("user", [[1]], "an id must be text or a number"),
        ("rating", [[1]], "not numbers"),
        ("time", [[1]], "not numbers|not times"),
    ],
)
def test_columns_of_a_wrong_type(column: str, values: list[Any], message: str) -> None:
    frame = pl.DataFrame({"user": ["a"], "item": ["x"], "rating": [1], "time": [10**9]} | {column: values})
    with pytest.raises(DataError, match=message):
        read(frame)


def test_frames_with_holes() -> None:
    import pandas as pd

    frame = pd.DataFrame({"user": [1.0, None, 3.0], "item": ["a", "b", None], "weight": [1.0, 1.0, 1.0]})
    data = read(frame)
    assert data.users == ["1"]
    assert data.report["bad_rows"][0] == {"file": "pandas table", "line": 2, "reason": "empty user id"}
    with pytest.raises(DataError, match="weight is not a number, or negative"):
        read(pl.DataFrame({"user": ["a"], "item": ["x"], "weight": [-1.0]}))


def test_stacked_tables_must_agree() -> None:
    a, b = pl.DataFrame({"user": ["a"], "item": ["x"]}), pl.DataFrame({"user": ["a"]})
    with pytest.raises(DataError, match="lacks the columns item"):
        read([a, b])
    holes = pl.DataFrame({"user": ["a", ""], "item": ["x", "y"]})
    assert [row["line"] for row in read([holes, holes]).report["bad_rows"]] == [2, 2]


def test_several_hugging_face_splits() -> None:
    import datasets

    table = datasets.Dataset.from_dict({"user": ["a"], "item": ["x"]})
    with pytest.raises(DataError, match="choose one of: train, test"):
        read(datasets.DatasetDict({"train": table, "test": table}))


@pytest.mark.parametrize("word", ["None", "null", "NULL", " Null ", "<NA>", "nan", ""])
def test_words_for_nothing_are_no_ids(word: str) -> None:
    data = read(pl.DataFrame({"user": ["a", word, "b"], "item": ["x", "y", word]}))
    assert (list(data.users), list(data.items.ids)) == (["a"], ["x"])


def test_cleaning_checks_its_parameters() -> None:
    with pytest.raises(ConfigError, match="did you mean 'min_rating'"):
        Cleaning(min_ratings=3)  # type: ignore[call-arg]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), min_size=1, max_size=12))
def test_no_row_disappears(rows: list[tuple[str, str]]) -> None:
    frame = pl.DataFrame(rows, schema={"user": pl.String, "item": pl.String}, orient="row")
    bad = sum(any(pl.Series([text]).str.strip_chars()[0] in MISSING_IDS for text in row) for row in rows)
    try:
        report = read(frame).report
    except DataError:
        assert bad == len(rows)
    else:
        assert report["rows_kept"] == len(rows) - bad
        assert report["rows_read"] == report["rows_kept"] + sum(report["dropped"].values())
