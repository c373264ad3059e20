"""Guessing what columns mean."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recdistill.data import guess_columns


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        ("userId movieId rating timestamp", {"user": 0, "item": 1, "rating": 2, "time": 3}),
        ("reviewerID asin overall unixReviewTime", {"user": 0, "item": 1, "rating": 2, "time": 3}),
        ("userID artistID weight", {"user": 0, "item": 1, "weight": 2}),
        ("visitorid event itemid ts", {"user": 0, "type": 1, "item": 2, "time": 3}),
        ("user_id:token item_id:token rating:float", {"user": 0, "item": 1, "rating": 2}),
        ("movieId title genres", {"item": 0, "title": 1, "categories": 2}),
        ("artist_id name top_tags", {"item": 0, "title": 1, "categories": 2}),
        ("id gender articleType productDisplayName image", {"item": 0, "categories": 2, "title": 3, "image": 4}),
        ("colour size", {}),
    ],
)
def test_by_name(names: str, roles: dict[str, int]) -> None:
    columns = names.split()
    assert guess_columns(columns) == {role: columns[index] for role, index in roles.items()}


def test_by_contents(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("196\t242\t3\t881250949\n186\t302\t3\t891717742\n")
    found = guess_columns(tmp_path / "u.data")
    assert found == {"user": "column_1", "item": "column_2", "time": "column_4", "rating": "column_3"}


def test_a_column_of_few_numbers_is_no_rating_if_it_says_when() -> None:
    frame = pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "when": [1, 1]})
    assert guess_columns(frame) == {"user": "user", "item": "item", "time": "when"}


def test_contents_of_text_and_dates() -> None:
    frame = pl.DataFrame({"a": ["u", "v"], "b": ["x", "y"], "c": ["2020-01-01", "2021-01-01 10:00"], "d": [None, None]})
    assert guess_columns(frame) == {"user": "a", "item": "b", "time": "c"}
    dated = frame.with_columns(pl.date(2020, 1, 1).alias("c"))
    assert guess_columns(dated, ("user", "item", "time", "rating"))["time"] == "c"


@pytest.mark.parametrize("name", ["bought_at", "orderDate", "created on"])
def test_a_time_by_the_end_of_its_name_and_by_what_it_holds(name: str) -> None:
    frame = pl.DataFrame(
        {"customer": ["a", "b"], "sku": ["x", "y"], "item_id": ["x", "y"], name: [1_700_000_000, 1_700_000_001]}
    )
    assert guess_columns(frame)["time"] == name
    assert "time" not in guess_columns(frame.with_columns(pl.Series(name, [1, 2])))  # a count of days, perhaps
    assert "time" not in guess_columns(frame.rename({name: "phone"}))
    assert "time" not in guess_columns(frame.with_columns(pl.Series("shipped_at", [1_700_000_000, 1_700_000_009])))


def test_an_item_table_is_not_taken_for_a_log() -> None:
    assert "user" not in guess_columns(pl.DataFrame({"movieId": [1], "title": ["a"], "genres": ["b"], "year": [2000]}))
