from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.data.dataset import Catalogue
from recdistill.errors import BundleError, DataError
from recdistill.serving import resolve
from recdistill.serving.catalogue import read_items, write_items

FILMS = Catalogue(
    ids=["1", "2", "3", "4", "5"],
    titles=["Alien (1979)", "Aliens (1986)", "ALIENS (1986)", "Heat", "天空の城ラピュタ 🏰"],
)


@pytest.mark.parametrize(
    ("text", "index"),
    [("2", 1), ("Aliens (1986)", 1), ("ALIENS (1986)", 2), ("heat", 3), (" HEAT ", 3), ("1979", 0), ("ラピュタ", 4)],
)
def test_an_id_a_title_or_a_part_of_one_finds_the_item(text: str, index: int) -> None:
    assert resolve(FILMS, text) == index


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aliens", r"'aliens' fits 2 items; say which, or give the id: 'Aliens \(1986\) \[2\]'"),
        ("alien", "fits 3 items"),
        ("Hest", "did you mean 'Heat'"),
        ("xyzzy", "give an item id or a part of a title"),
        ("", "no item is called ''"),
    ],
)
def test_what_is_not_clear_is_said(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        resolve(FILMS, text)


def test_without_titles_ids_are_suggested() -> None:
    with pytest.raises(DataError, match="did you mean 'item-12'"):
        resolve(Catalogue(ids=["item-12", "other"]), "item-13")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(TEXT, st.lists(TEXT, max_size=3)), min_size=1, max_size=6))
def test_the_item_table_survives(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, list[str]]]) -> None:
    path = tmp_path_factory.mktemp("items") / "items.parquet"
    ids = [str(at) for at in range(len(rows))]
    items = Catalogue(ids, titles=[title for title, _ in rows], categories=[tuple(names) for _, names in rows])
    counts = np.arange(len(rows))
    write_items(path, items, counts)
    again, popularity = read_items(path, len(rows))
    assert (again.ids, again.titles, again.categories) == (items.ids, items.titles, items.categories)
    np.testing.assert_array_equal(popularity, counts)


def test_ids_alone_are_enough(tmp_path: Path) -> None:
    write_items(tmp_path / "items.parquet", Catalogue(ids=["a", "b"]), np.array([1, 2]))
    items, _ = read_items(tmp_path / "items.parquet", 2)
    assert items.titles is None
    assert items.title(1) == "b"
    with pytest.raises(BundleError, match="lists 2 items instead of 3"):
        read_items(tmp_path / "items.parquet", 3)
