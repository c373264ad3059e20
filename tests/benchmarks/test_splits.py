"""The published files become the splits that their protocols mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quality.llm import gpt4_order, gpt4_rankings, semantic_ids
from quality.splits import NAMES, BenchmarkSplit, bench_directory, load, read_rows
from recdistill.errors import ConfigError, DataError
from recdistill.models import Popularity
from recdistill.training import fit


def ids(split: BenchmarkSplit, items: np.ndarray) -> list[str]:
    return [split.dataset.items.ids[item] for item in items]


@pytest.mark.parametrize("name", NAMES)
def test_no_target_is_in_training_or_history(bench: Path, name: str) -> None:
    split = load(name)
    for part in ("valid", "test"):
        contexts = split.contexts(part)
        assert len(contexts) == len(split.keys[part]) == len(split.masked[part])
        for row in range(len(contexts)):
            assert not set(contexts.history[row]) & set(contexts.targets[row])
            assert not set(split.masked[part][row]) & set(contexts.targets[row])
            if contexts.users[row] >= 0:
                assert not set(split.train[contexts.users[row]]) & set(contexts.targets[row])
                assert split.dataset.users[contexts.users[row]] == split.keys[part][row]


def test_citeulike_masks_training_items_and_knows_every_id(bench: Path) -> None:
    split = load("citeulike-rcekd")
    train = read_rows("citeulike-rcekd", "train")
    assert split.n_users == 40
    assert set(ids(split, split.train.items)) == {item for _, item in train}
    assert split.valid.targets.lengths.tolist() == [0] + [1] * 39
    assert split.masked["test"].n_events == 0
    row = split.keys["test"].index("107")
    mine = sorted(item for user, item in train if user == "107")
    for contexts in (split.valid, split.test):
        assert sorted(ids(split, contexts.history[row])) == mine


def test_topology_masks_the_other_held_out_item(bench: Path) -> None:
    split = load("citeulike-topology")
    np.testing.assert_array_equal(split.masked["valid"].items, split.test.targets.items)
    np.testing.assert_array_equal(split.masked["test"].items, split.valid.targets.items)
    assert split.select == "recall@50"


def test_order_of_ids_is_hidden_unless_asked_for(bench: Path) -> None:
    plain, ordered = load("citeulike-rcekd"), load("citeulike-rcekd", ordered=True)
    rows = range(plain.n_users)
    assert all((np.diff(ordered.train[row]) > 0).all() for row in rows)
    assert not all((np.diff(plain.train[row]) > 0).all() for row in rows)
    assert all(set(plain.train[row]) == set(ordered.train[row]) for row in rows)
    assert plain.fingerprint != ordered.fingerprint
    assert plain.fingerprint == load("citeulike-rcekd").fingerprint
    assert (plain.sequential, ordered.sequential) == (False, True)
    with pytest.raises(ConfigError, match="always has the order"):
        load("amazon-beauty", ordered=True)


def test_amazon_leaves_the_last_two_out(bench: Path) -> None:
    split = load("amazon-beauty")
    user, items = read_rows("amazon-beauty", "sequences")[7]
    given = items.split()
    assert split.keys["test"][7] == user
    assert ids(split, split.train[7]) == ids(split, split.valid.history[7]) == given[:-2]
    assert ids(split, split.valid.targets[7]) == given[-2:-1]
    assert ids(split, split.test.history[7]) == given[:-1]
    assert ids(split, split.test.targets[7]) == given[-1:]
    assert split.dataset.items.titles is not None
    assert split.dataset.items.titles[0] == 'A & "0'
    assert split.dataset.items.texts is not None
    assert split.dataset.items.texts[0] == 'A & "0. Beauty > Nails'
    assert split.dataset.items.categories is not None
    assert split.dataset.items.categories[0] == ("Beauty", "Nails")


def test_sessions_of_alkdrec_are_anonymous(bench: Path) -> None:
    split = load("alkdrec-games")
    rows = {row[0]: row for row in read_rows("alkdrec-games", "sessions")}
    assert set(split.valid.users) == set(split.test.users) == {-1}
    for key, contexts in zip(split.keys["test"], range(len(split.test)), strict=True):
        assert rows[key][1] == "test"
        assert ids(split, split.test.history[contexts]) == rows[key][2].split()
        assert ids(split, split.test.targets[contexts]) == [rows[key][3]]
    first = split.dataset.users[0]
    assert ids(split, split.train[0]) == [*rows[first][2].split(), rows[first][3]]
    assert split.dataset.items.texts is not None
    assert split.dataset.items.texts[3] == "Game 3"


def test_lists_of_gpt4_stand_at_the_last_event_of_their_session(bench: Path) -> None:
    split = load("alkdrec-ml")
    lists = gpt4_rankings(split)
    rows = [split.dataset.users.index("3"), split.dataset.users.index("0")]
    np.testing.assert_array_equal(lists.positions, split.train.offsets[1:][rows] - 1)
    assert ids(split, lists.items[0]) == ["5", "7", "6"]
    assert lists.items.lengths.tolist() == [3, 0]
    np.testing.assert_array_equal(gpt4_order(split), lists.positions)


def test_lists_of_held_out_sessions_are_refused(bench: Path) -> None:
    split = load("alkdrec-ml")
    (bench / "alkdrec-ml" / "gpt4_active_order.tsv.gz").unlink()
    from .conftest import write

    write(bench / "alkdrec-ml" / "gpt4_active_order", "session", ["1"])
    with pytest.raises(DataError, match="1 sessions are not of training"):
        gpt4_order(split)


def test_semantic_ids_are_four_codes(bench: Path) -> None:
    codes = semantic_ids(load("amazon-beauty"))
    assert codes.shape == (30, 4)
    assert codes[4].tolist() == [4, 2, 3, 8]


def test_a_benchmark_is_a_split_to_the_library(bench: Path) -> None:
    split = load("citeulike-topology")
    assert fit(Popularity(), split).model.n_items == split.n_items
    assert split.name == "citeulike-topology"


def test_wrong_names_and_missing_files(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="did you mean 'amazon-beauty'"):
        load("amazon-beuty")
    monkeypatch.setenv("RECDISTILL_BENCH", str(bench / "nothing"))
    with pytest.raises(DataError, match="set RECDISTILL_BENCH"):
        load("amazon-beauty")
    monkeypatch.delenv("RECDISTILL_BENCH")
    assert bench_directory().parts[-2:] == ("shared", "bench")
