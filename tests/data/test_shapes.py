"""Sequences, catalogue, dataset, fingerprints, and what is shipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recdistill.data
from recdistill.data import READERS, Catalogue, Cleaning, Dataset, LeaveLastOut, Sequences, movielens_small
from recdistill.data.cleaning import Events
from recdistill.data.dataset import Contexts
from recdistill.data.log import by_user_and_time
from recdistill.data.store import load_split, save_split
from recdistill.errors import DataError
from tests.synthetic import contexts_of, tiny_split

ragged = st.lists(st.lists(st.integers(0, 20), max_size=6), max_size=8)


def lists(sequences: Sequences) -> list[list[int]]:
    return [sequences[row].tolist() for row in range(len(sequences))]


@settings(deadline=None)
@given(ragged, st.data())
def test_sequences_against_lists(rows: list[list[int]], data: st.DataObject) -> None:
    made = Sequences.from_lists(rows)
    assert lists(made) == rows
    assert lists(made.last(2)) == [row[-2:] for row in rows]
    assert lists(made.concat(made.last(1))) == [row + row[-1:] for row in rows]
    assert made.padded(3, 99).tolist() == [(row[-3:] + [99] * 3)[:3] for row in rows]
    picked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=5)) if rows else []
    assert lists(made.take(picked)) == [rows[index] for index in picked]
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=made.n_events, max_size=made.n_events)), dtype=bool)
    flat = iter(mask.tolist())
    assert lists(made.keep(mask)) == [[item for item in row if next(flat)] for row in rows]


def test_extras_travel_along() -> None:
    made = Sequences.from_sorted(
        np.array([0, 0, 2]), 3, [5, 6, 7], times=[1, 2, 3], ratings=[1, 2, 3], weights=[1, 1, 2], types=[0, 1, 0]
    )
    picked = made.take([2, 0]).last(1)
    joined = picked.concat(picked)
    for name, values in (
        ("times", [3, 3, 2, 2]),
        ("ratings", [3, 3, 2, 2]),
        ("weights", [2, 2, 1, 1]),
        ("types", [0, 0, 1, 1]),
    ):
        assert getattr(joined, name).tolist() == values
    assert made.without_extras().types is None


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(-(2**62), 2**62) | st.integers(0, 3)), min_size=1, max_size=40)
)
def test_events_are_sorted_by_user_time_and_file(pairs: list[tuple[int, int]]) -> None:
    users, times = (np.array(column) for column in zip(*pairs, strict=True))
    events = Events(users.astype(np.int32), users.astype(np.int32), times.astype(np.int64))
    wanted = sorted(range(len(pairs)), key=lambda event: pairs[event])
    assert by_user_and_time(events).tolist() == wanted


def test_catalogue() -> None:
    items = Catalogue(["apple", "pear"], titles=["Apple", ""])
    assert items.index("pear") == 1
    assert [items.title(0), items.title(1)] == ["Apple", "pear"]
    with pytest.raises(DataError, match="did you mean 'apple'"):
        items.index("aple")
    with pytest.raises(DataError, match=r"not in the catalogue$"):
        items.index("zzzz")


@settings(deadline=None)
@given(ragged, ragged)
def test_repeated_targets(history: list[list[int]], targets: list[list[int]]) -> None:
    n = min(len(history), len(targets))
    rows = [Sequences.from_lists(part[:n]) for part in (history, targets)]
    found = Contexts(np.full(n, -1, dtype=np.int32), *rows).repeated()
    assert found.dtype == np.bool_
    assert found.tolist() == [item in history[row] for row in range(n) for item in targets[row]]


def test_repeated_targets_of_many_contexts() -> None:
    n = 10_000
    items = np.random.default_rng(0).integers(0, 3, (n, 2)).tolist()
    rows = [Sequences.from_lists([[row[place]] for row in items]) for place in (0, 1)]
    found = Contexts(np.full(n, -1, dtype=np.int32), *rows).repeated()
    assert found.tolist() == [a == b for a, b in items]


def test_positions_of_contexts() -> None:
    split = tiny_split()
    train, n = split.train, split.train.n_events
    assert split.position_of(split.valid).tolist() == (n + split.valid.users).tolist()
    assert (split.position_of(split.test) == -1).all()  # their histories hold the validation event
    user = int(np.argmax(train.lengths))
    row = train[user].tolist()
    histories, users = [row[:3], [*row[:2], row[2] ^ 1], row, [*row, 0], [], row[:3]], [user] * 5 + [-1]
    wanted = [int(train.offsets[user]) + 3, -1, n + user, -1, int(train.offsets[user]), -1]
    assert split.position_of(contexts_of(histories, users)).tolist() == wanted


def test_fingerprints_see_every_part() -> None:
    assert Catalogue(["a", "b"]).fingerprint != Catalogue(["a"], ["b"]).fingerprint
    log = Sequences.from_lists([[0, 1]])
    one = Dataset(["u"], Catalogue(["a", "b"]), log)
    assert one.fingerprint == Dataset(["u"], Catalogue(["a", "b"]), log, name="other").fingerprint
    assert one.fingerprint != Dataset(["v"], Catalogue(["a", "b"]), log).fingerprint
    assert one.fingerprint != Dataset(["u"], Catalogue(["a", "b"]), log, types=("buy",)).fingerprint


def test_movielens_small() -> None:
    data = movielens_small()
    assert (data.name, data.n_users, data.n_items, data.log.n_events) == ("movielens-small", 610, 9742, 100_836)
    assert data.items.texts is not None
    assert data.items.texts[0] == "Toy Story (1995). Adventure, Animation, Children, Comedy, Fantasy"
    assert data.report["dropped"] == {}
    folder = Path(recdistill.data.__file__).parent / "movielens"
    assert sum(file.stat().st_size for file in folder.glob("*.parquet")) < 1.5e6
    assert "redistribute" in (folder / "README.txt").read_text()
    core = movielens_small(Cleaning(min_rating=4, min_user_events=5, min_item_events=5))
    assert np.bincount(core.log.items).min() >= 5
    assert core.log.lengths.min() >= 5


def test_a_stored_split_comes_back(tmp_path: Path) -> None:
    split = LeaveLastOut().split(movielens_small(Cleaning(min_item_events=50)))
    save_split(split, tmp_path / "split")
    assert load_split(tmp_path / "split").fingerprint == split.fingerprint


def test_the_package_is_light_and_complete() -> None:
    for name in recdistill.data.__all__:
        assert getattr(recdistill.data, name) is not None
    assert all(callable(component.load()) for component in READERS.values())
    with pytest.raises(AttributeError):
        recdistill.data.__getattr__("nothing")
    code = "import sys, recdistill.data; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
