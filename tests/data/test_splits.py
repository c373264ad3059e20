"""Splits: nothing held out is trained on, no history reaches past its targets, every event is somewhere once."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recdistill.data import (
    SPLITS,
    Catalogue,
    Contexts,
    Dataset,
    GlobalTemporal,
    LeaveLastOut,
    PerUserRatio,
    Sequences,
    Split,
    SplitConfig,
    read,
)
from recdistill.data.splits.given_files import GivenFiles
from recdistill.errors import ConfigError, DataError


def dataset(rows: list[list[int]]) -> Dataset:
    """A user per list of times; every event has an item of its own, numbered in (user, time, file) order."""
    rows = [sorted(times) for times in rows]
    n = sum(map(len, rows))
    users = np.repeat(np.arange(len(rows)), [len(times) for times in rows])
    times = np.array([t for row in rows for t in row], dtype=np.int64)
    log = Sequences.from_sorted(users, len(rows), np.arange(n, dtype=np.int32), times=times)
    return Dataset([str(u) for u in range(len(rows))], Catalogue([str(i) for i in range(n)]), log)


logs = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=12), min_size=1, max_size=8).map(dataset)
configs = st.one_of(
    st.builds(LeaveLastOut, n=st.integers(1, 3)),
    st.builds(GlobalTemporal, valid=st.floats(0, 0.4), test=st.floats(0.01, 0.4)),
    st.builds(PerUserRatio, valid=st.floats(0, 0.4), test=st.floats(0.01, 0.4)),
)


def check(split: Split) -> None:
    """The promises of every split; items are events here, so events can be told apart."""
    log = split.dataset.log
    held_out = [split.valid.targets.items, split.test.targets.items]
    assert Counter(np.concatenate([split.train.items, *held_out]).tolist()) == Counter(log.items.tolist())
    for contexts in (split.valid, split.test):
        assert np.all(contexts.targets.lengths > 0)
        assert len(np.unique(contexts.users)) == len(contexts)
        for row, user in enumerate(contexts.users):
            own = set(log[user].tolist())
            history, targets = contexts.history[row], contexts.targets[row]
            assert set(history.tolist()) | set(targets.tolist()) <= own
            assert max(history, default=-1) < min(targets)  # items are numbered in (time, order)
    train, valid, test = (set(part.tolist()) for part in (split.train.items, *held_out))
    assert not train & valid
    assert not train & test
    assert not valid & test
    for row in range(len(split.test)):
        user = split.test.users[row]
        seen = set(split.train[user].tolist()) | (valid & set(log[user].tolist()))
        assert set(split.test.history[row].tolist()) == seen


@settings(deadline=None, max_examples=200)
@given(logs, configs)
def test_no_split_leaks(data: Dataset, config: SplitConfig) -> None:
    try:
        split = config.split(data)
    except DataError as error:
        assume("leaves no" not in error.what or not error.hint)
        raise
    check(split)
    assert split.method == config.name
    if isinstance(config, GlobalTemporal):
        times = {int(i): int(t) for i, t in zip(data.log.items, data.log.times, strict=True)}  # type: ignore[arg-type]
        parts = [split.train.items, split.valid.targets.items, split.test.targets.items]
        ordered = [[times[int(i)] for i in part] for part in parts if len(part)]
        assert all(max(a) < min(b) for a, b in pairwise(ordered))


def test_leave_last_out() -> None:
    split = LeaveLastOut().split(dataset([[1, 2, 3, 4], [1], [1, 2]]))
    assert split.train.items.tolist() == [0, 1, 4, 5, 6]
    assert (split.valid.history[0].tolist(), split.valid.targets[0].tolist()) == ([0, 1], [2])
    assert (split.test.history[0].tolist(), split.test.targets[0].tolist()) == ([0, 1, 2], [3])
    assert split.test.users.tolist() == [0]


def test_per_user_ratio() -> None:
    split = PerUserRatio(valid=0.2, test=0.3).split(dataset([list(range(10)), [1, 2], [1, 2, 3]]))
    assert split.test.targets[0].tolist() == [7, 8, 9]
    assert split.valid.targets[0].tolist() == [5, 6]
    assert split.train.lengths.tolist() == [5, 2, 1]
    assert not len(PerUserRatio(valid=0, test=0.3).split(dataset([[1, 2, 3]])).valid)


def test_global_temporal() -> None:
    split = GlobalTemporal(valid=0.25, test=0.25).split(dataset([[0, 1, 2, 6], [3, 4, 7], [5]]))
    assert split.train.items.tolist() == [0, 1, 2, 4]
    assert split.valid.users.tolist() == [1, 2]
    assert [split.valid.history[r].tolist() for r in (0, 1)] == [[4], []]
    assert split.test.history[1].tolist() == [4, 5]


def test_impossible_splits() -> None:
    with pytest.raises(DataError, match="no user has 3 events: loosen the cleaning"):
        LeaveLastOut().split(dataset([[1, 2]]))
    with pytest.raises(DataError, match="no training events"):
        GlobalTemporal().split(dataset([[1, 1], [1]]))
    timeless = read(pl.DataFrame({"user": ["a"], "item": ["x"]}))
    with pytest.raises(DataError, match="needs times"):
        GlobalTemporal().split(timeless)
    for config in (PerUserRatio, GlobalTemporal):
        with pytest.raises(ConfigError, match="must be less than 1"):
            config(valid=0.5, test=0.5)


def test_the_table_loads_every_split() -> None:
    assert {component.load().name for component in SPLITS.values()} == set(SPLITS)


@pytest.fixture
def given_files(tmp_path: Path) -> dict[str, Path]:
    """A log in three files."""
    parts = {
        "train": [("a", "x", 1), ("a", "y", 5), ("b", "x", 2)],
        "valid": [("a", "z", 3), ("b", "y", 6)],
        "test": [("a", "w", 4), ("b", "w", 7)],
    }
    for name, rows in parts.items():
        timed = [(u, i, 10**9 + t) for u, i, t in rows]
        pl.DataFrame(timed, schema=["user", "item", "time"], orient="row").write_csv(tmp_path / f"{name}.csv")
    return {name: tmp_path / f"{name}.csv" for name in parts}


def _named(data: Dataset, contexts: Contexts) -> list[tuple[str, str, str]]:
    def text(rows: Sequences, row: int) -> str:
        return "".join(data.items.ids[item] for item in rows[row])

    history, targets = contexts.history, contexts.targets
    return [(data.users[u], text(history, r), text(targets, r)) for r, u in enumerate(contexts.users)]


def test_given_files(given_files: dict[str, Path]) -> None:
    config = GivenFiles(valid=given_files["valid"], test=given_files["test"])
    whole = read(list(given_files.values()))
    split = config.split(whole)
    assert split.train.n_events == 3
    assert _named(whole, split.valid) == [("a", "x", "z"), ("b", "x", "y")]
    assert _named(whole, split.test) == [("a", "xz", "w"), ("b", "xy", "w")]  # a's y came after the test event
    items = pl.DataFrame({"item": list("wxyz")})
    trained = config.split(read(given_files["train"], items))
    assert trained.fingerprint != split.fingerprint  # another log
    assert _named(whole, trained.test) == _named(whole, split.test)


def test_given_files_without_times(given_files: dict[str, Path]) -> None:
    split = GivenFiles(valid=given_files["valid"], test=given_files["test"]).split(
        read(list(given_files.values()), columns={"time": None})
    )
    assert _named(split.dataset, split.test) == [("a", "xyz", "w"), ("b", "xy", "w")]


def test_given_files_that_do_not_fit(given_files: dict[str, Path]) -> None:
    files = list(given_files.values())
    whole, train = read(files), read(files[0])
    with pytest.raises(DataError, match="2 of its events are also in"):
        GivenFiles(valid=files[2], test=files[2]).split(whole)
    with pytest.raises(DataError, match=r"read all files together.*no k-core"):
        GivenFiles(valid=files[1], test=files[2]).split(train)
    with pytest.raises(DataError, match="hold out every event"):
        GivenFiles(valid=files[1], test=files[2]).split(read(files[1:]))
    only_a = read(pl.read_csv(files[0]).head(2), pl.DataFrame({"item": list("wxyz")}))
    with pytest.raises(DataError, match=r"1 users are not in the dataset \(first: 'b'\)"):
        GivenFiles(valid=files[1], test=files[2]).split(only_a)
