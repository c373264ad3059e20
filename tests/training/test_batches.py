"""Windows, batches and the thread that prepares them."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recdistill.data.sequences import Sequences
from recdistill.knowledge import RankingsStore, RankingsWriter, rankings_of
from recdistill.training.batches import Loader, Step, batches_of_like_length, windows

ragged = st.lists(st.integers(0, 40), max_size=30)


def rows_of(lengths: list[int]) -> Sequences:
    """Rows of these lengths; every event is an item of its own."""
    flat = iter(range(sum(lengths)))
    return Sequences.from_lists([[next(flat) for _ in range(length)] for length in lengths])


def loader(train: Sequences, **changes: Any) -> Loader:
    settings: dict[str, Any] = {"length": 5, "sequential": True, "positions": 16, "stores": {}, "temperatures": {}}
    settings["device"] = torch.device("cpu")
    return Loader(train, max(train.n_events, 1), **(settings | changes))


@given(lengths=ragged, length=st.integers(1, 12), seed=st.integers(0, 5), ends=st.booleans())
def test_windows_have_every_label_once(lengths: list[int], length: int, seed: int, ends: bool) -> None:
    train = rows_of(lengths)
    cut = windows(train, length, np.random.default_rng(seed), ends)
    row = train.row_of_event()
    labels = []
    for r, start, n in zip(cut.rows, cut.starts, cut.lengths, strict=True):
        assert 1 <= n <= length
        assert set(row[start : start + n]) == {r}  # inputs are of one row
        labels += [(r, label - train.offsets[r]) for label in range(start + 1, start + n + 1)]
    assert sorted(labels) == [(r, i) for r, n in enumerate(lengths) for i in range(1, n + ends)]


@given(lengths=st.lists(st.integers(1, 20), max_size=200), budget=st.integers(1, 100), seed=st.integers(0, 5))
def test_batches_keep_the_budget(lengths: list[int], budget: int, seed: int) -> None:
    array = np.array(lengths, dtype=np.int64)
    parts = batches_of_like_length(array, budget, np.random.default_rng(seed))
    assert sorted(i for part in parts for i in part) == list(range(len(lengths)))
    for part in parts:
        assert len(part)
        assert array[part].sum() < budget + array[part].max()


@given(lengths=ragged, seed=st.integers(0, 3))
def test_steps_hold_the_events(lengths: list[int], seed: int) -> None:
    train = rows_of(lengths)
    labels = []
    for step in loader(train).epoch(seed, 1):
        batch, own = step.batch, step.batch.labels[:, 0]
        assert batch.labels.dtype == torch.int64
        places = batch.inputs.reshape(-1)[batch.at]
        assert torch.equal(places, own - 1)  # the item before, as items count up
        assert int((batch.inputs < train.n_events).sum()) == len(batch.at)  # everything else is padding
        assert step.batch.positions.tolist() == own.tolist()
        assert batch.weights.eq(1).all()
        rows = torch.from_numpy(train.row_of_event())[own]
        assert torch.equal(batch.users[batch.at // batch.inputs.shape[1]], rows)
        labels += own.tolist()
    assert len(labels) == len(set(labels)) == sum(max(n - 1, 0) for n in lengths)


@given(lengths=ragged, seed=st.integers(0, 3))
def test_ends_have_knowledge_but_no_label(lengths: list[int], seed: int) -> None:
    train = rows_of(lengths)
    some = loader(train)
    some.ends = True
    ends = []
    for step in some.epoch(seed, 1):
        unlabelled = step.batch.labels[:, 0] < 0
        assert torch.equal(unlabelled, step.batch.weights[:, 0] == 0)
        assert (step.batch.positions >= train.n_events).tolist() == unlabelled.tolist()
        ends += (step.batch.positions[unlabelled] - train.n_events).tolist()
        newest = step.batch.inputs.reshape(-1)[step.batch.at][unlabelled]
        rows = (step.batch.positions[unlabelled] - train.n_events).numpy()
        assert newest.tolist() == (train.offsets[rows + 1] - 1).tolist()
    assert sorted(ends) == [r for r, n in enumerate(lengths) if n]


@given(lengths=ragged)
def test_users_have_all_their_items_as_labels(lengths: list[int]) -> None:
    train = rows_of(lengths)
    found: dict[int, list[int]] = {}
    for step in loader(train, sequential=False, length=1).epoch(0, 1):
        batch = step.batch
        assert len(batch.users) <= 16
        assert batch.inputs.eq(max(train.n_events, 1)).all()
        assert batch.at.tolist() == list(range(len(batch.labels)))
        assert step.batch.positions.tolist() == (batch.users + train.n_events).tolist()
        assert torch.equal(batch.weights > 0, batch.labels >= 0)
        for user, labels in zip(batch.users.tolist(), batch.labels.tolist(), strict=True):
            found[user] = [label for label in labels if label >= 0]
    assert found == {r: train[r].tolist() for r, n in enumerate(lengths) if n}


def test_epochs_differ_and_repeat() -> None:
    train = rows_of([30, 3, 17, 22])

    def labels(seed: int, epoch: int) -> list[list[int]]:
        return [step.batch.labels.tolist() for step in loader(train).epoch(seed, epoch)]

    assert labels(1, 2) == labels(1, 2)
    assert labels(1, 2) != labels(1, 3)
    assert labels(1, 2) != labels(2, 2)


def test_weights_of_events() -> None:
    plain = rows_of([4, 3])
    train = Sequences(plain.offsets, plain.items, weights=np.arange(7, dtype=np.float32))
    for sequential in (True, False):
        for step in loader(train, sequential=sequential).epoch(0, 1):
            assert step.batch.weights.tolist() == step.batch.labels.clamp_min(0).tolist()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RankingsStore:
    """Of 20 positions and 20 items, k = 4; positions below 5 were never written, position 5 has two items only."""
    path: Path = tmp_path_factory.mktemp("store") / "rankings"
    writer = RankingsWriter(
        path, teacher="t", teacher_fingerprint="-", split_fingerprint="-", rows=20, k=4, n_items=20, meaning="-",
        scores="float16",
    )  # fmt: skip
    scores = np.random.default_rng(0).standard_normal((15, 20)).astype(np.float32)
    scores[0, 2:] = -np.inf
    writer.add(np.arange(5, 20), rankings_of(scores, 4))
    return writer.seal()


def test_stored_rankings_come_along(store: RankingsStore) -> None:
    train = rows_of([10, 10])
    steps = loader(train, stores={"t": store}, temperatures={"t": (1.0, 3.0)}).epoch(0, 1)
    for step in steps:
        known, wanted = step.rankings["t"], store.read(step.batch.positions.numpy())
        absent = wanted.items < 0
        assert torch.equal(known.items, torch.from_numpy(np.where(absent, 0, wanted.items)).long())
        assert known.logp.isneginf().numpy().tolist() == absent.tolist()
        assert known.logp.numpy()[~absent].tolist() == wanted.logp[~absent].tolist()
        assert known.confidence.tolist() == wanted.confidence.tolist()
        assert set(known.tails) == {1.0, 3.0}
        assert known.tails[3.0].tolist() == wanted.tail_at(3.0, 20).tolist()
        half = known.rows(slice(0, 2)).to(torch.device("cpu"))
        assert half.items.tolist() == known.items[:2].tolist()
        assert half.tails[1.0].tolist() == known.tails[1.0][:2].tolist()


def test_errors_reach_the_caller() -> None:
    broken = loader(rows_of([10]))
    broken.stores = {"t": None}  # type: ignore[dict-item]
    broken.temperatures = {"t": ()}
    with pytest.raises(AttributeError, match="read"):
        list(broken.epoch(0, 1))
    _no_thread_is_left()


def test_closing_early_ends_the_thread() -> None:
    steps = loader(rows_of([50] * 40), positions=4).epoch(0, 1)
    assert isinstance(next(steps), Step)
    start = time.monotonic()
    steps.close()
    assert time.monotonic() - start < 5
    _no_thread_is_left()


def _no_thread_is_left() -> None:
    assert not [thread for thread in threading.enumerate() if thread.name == "recdistill-loader"]
