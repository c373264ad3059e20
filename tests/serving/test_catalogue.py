from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.data.dataset import Catalogue
from recdistill.errors import BundleError, DataError
from recdistill.serving import resolve, strings
from recdistill.serving.catalogue import read_items, write_items
from recdistill.serving.place import Folder
from recdistill.serving.strings import Strings, Tags

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


SORTED = Catalogue(
    ids=["1", "2", "3", "4"],
    titles=["Matrix, The (1999)", "Matrix Reloaded, The (2003)", "Ring, The (1998)", "Ring, The (2002)"],
)


@pytest.mark.parametrize(
    ("text", "index"),
    [("The Matrix", 0), ("the matrix (1999)", 0), ("The Matrix Reloaded", 1), ("The Ring (2002)", 3), ("Reloaded", 1)],
)
def test_an_article_may_stand_in_front(text: str, index: int) -> None:
    assert resolve(SORTED, text) == index


def test_an_article_does_not_make_it_clear() -> None:
    with pytest.raises(DataError, match="'The Ring' fits 2 items"):
        resolve(SORTED, "The Ring")
    with pytest.raises(DataError, match="no item is called 'The Heat'"):
        resolve(SORTED, "The Heat")


def test_without_titles_ids_are_suggested() -> None:
    with pytest.raises(DataError, match="did you mean 'item-12'"):
        resolve(Catalogue(ids=["item-12", "other"]), "item-13")


TEXT = st.text(max_size=20)


@given(
    st.lists(st.tuples(TEXT, TEXT, st.lists(TEXT, max_size=3)), min_size=1, max_size=6, unique_by=lambda row: row[0])
)
def test_the_item_table_survives(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, list[str]]]
) -> None:
    path = tmp_path_factory.mktemp("items")
    ids = [row[0] for row in rows]
    items = Catalogue(ids, titles=[title for _, title, _ in rows], categories=[tuple(names) for _, _, names in rows])
    counts = np.arange(len(rows))
    write_items(path, items, counts, counts / 2)
    table = read_items(Folder(path), len(rows))
    again = table.items
    assert [*again.ids] == items.ids
    assert [*(again.titles or ())] == items.titles
    assert [*(again.categories or ())] == items.categories
    np.testing.assert_array_equal(table.popularity, counts)
    np.testing.assert_array_equal(table.trend, counts / 2)
    np.testing.assert_array_equal(again.find([*reversed(ids), "\0no such id"]), [*reversed(counts), -1])
    assert [again.index(item) for item in ids] == counts.tolist()


def test_ids_alone_are_enough(tmp_path: Path) -> None:
    write_items(tmp_path, Catalogue(ids=["a", "b"]), np.array([1, 2]))
    table = read_items(Folder(tmp_path), 2)
    assert table.items.titles is None
    assert table.trend is None
    assert table.items.title(1) == "b"
    with pytest.raises(BundleError, match="lists 2 items instead of 3"):
        read_items(Folder(tmp_path), 3)
    with pytest.raises(DataError, match="'c' is not in the catalogue"):
        table.items.index("c")


def test_the_nearest_id_is_named_where_that_is_quick(tmp_path: Path) -> None:
    for count, hint in ((2_000, "did you mean 'item-1234'"), (20_001, "is not in the catalogue$")):
        write_items(tmp_path, Catalogue(ids=[f"item-{at}" for at in range(count)]), np.zeros(count, np.int64))
        with pytest.raises(DataError, match=hint):
            read_items(Folder(tmp_path), count).items.index("itm-1234")


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_items(tmp_path, FILMS, np.arange(5))
    whole = dict(np.load(tmp_path / "items.npz"))
    tagged = dict(Tags.pack([("x",)] * 5).arrays("category"))
    for change in (
        {"id_lengths": whole["id_lengths"] + 1},
        {"id_lengths": np.array([1, 1, 1, 3, -1])},
        {"id": np.array([{}] * 5, dtype=object)},
        {"title_lengths": whole["title_lengths"][:-1]},
        tagged | {"category_codes": np.ones(5, np.uint16)},
        tagged | {"category_counts": np.zeros(5, np.uint32)},
    ):
        np.savez(tmp_path / "items.npz", **(whole | change))
        with pytest.raises(BundleError, match=r"cannot be read"):
            read_items(Folder(tmp_path), 5)
    np.save(tmp_path / "items", np.arange(3))
    (tmp_path / "items.npy").replace(tmp_path / "items.npz")
    with pytest.raises(BundleError, match="no archive of arrays"):
        read_items(Folder(tmp_path), 5)


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=3, unique=True), max_size=20), st.sets(st.sampled_from("abc"))
)
def test_rows_with_one_of_some_names(rows: list[list[str]], wanted: set[str]) -> None:
    tags = Tags.pack(rows)
    expected = [bool(wanted & set(row)) for row in rows]
    assert tags.any_of(wanted).tolist() == expected
    assert tags[:] == [tuple(row) for row in rows]


def test_places_count_from_both_ends() -> None:
    texts, tags = Strings.pack(["a", "bc", ""]), Tags.pack([["x"], []])
    assert (texts[-1], texts[-2], [*texts[::-1]]) == ("", "bc", ["", "bc", "a"])
    assert (tags[-1], tags[-2]) == ((), ("x",))
    for column in (texts, tags):
        for at in (len(column), -len(column) - 1):
            with pytest.raises(IndexError):
                _ = column[at]


def test_texts_of_equal_checksum_are_told_apart() -> None:
    one, other = "plumless", "buckeroo"  # the known pair of words with one CRC-32
    assert zlib.crc32(one.encode()) == zlib.crc32(other.encode())
    assert Strings.pack(["x", other, one]).find([one, other]).tolist() == [2, 1]


@given(
    st.lists(st.text(max_size=3), max_size=8), st.lists(st.text(max_size=3), max_size=8), st.sampled_from([1, 2, 99])
)
def test_what_is_remembered_changes_no_answer(texts: list[str], more: list[str], kept: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strings, "_KEPT", kept)
        column = Strings.pack(texts)
        for text in ("", *more):
            grown = column.grown(text)
            asked = [*texts, text, "longer than any"] * 2
            every = [*column, text]
            expected = [every.index(one) if one in every else -1 for one in asked]
            assert grown.find(asked).tolist() == expected
            assert column.find(asked).tolist() == [at if at < len(column) else -1 for at in expected]
            assert [*grown, *grown[::-1]] == [*every, *every[::-1]]
            assert max(len(grown._kept), len(grown._found)) <= kept
            column = grown
