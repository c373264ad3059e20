"""Which events count for a task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recdistill.data import Sequences, Task
from recdistill.data.dataset import Contexts, Split
from recdistill.errors import DataError
from recdistill.testing import tiny_split


def behaviours(n_users: int = 60) -> Split:
    """Views, every third event a purchase, and ratings from 1 to 5."""
    split = tiny_split(n_users=n_users, cold=0)

    def typed(events: Sequences) -> Sequences:
        kinds = (events.items % 3 == 0).astype(np.int16)
        return replace(events, types=kinds, ratings=(1 + np.arange(events.n_events) % 5).astype(np.float32))

    def held_out(contexts: Contexts) -> Contexts:
        return replace(contexts, history=typed(contexts.history), targets=typed(contexts.targets))

    dataset = replace(split.dataset, log=typed(split.dataset.log), types=("view", "buy"))
    return Split(dataset, typed(split.train), held_out(split.valid), held_out(split.test), split.method)


WHOLE = behaviours()
BUY = Task(types=("buy",))


def test_histories_and_positions_stay_and_labels_do_not() -> None:
    view = BUY.of(WHOLE)
    np.testing.assert_array_equal(view.train.items, WHOLE.train.items)
    assert view.train.weights is not None
    np.testing.assert_array_equal(view.train.weights, (WHOLE.train.items % 3 == 0).astype(np.float32))
    assert (view.test.targets.items % 3 == 0).all()
    assert 0 < len(view.test) < len(WHOLE.test)
    assert (view.test.targets.lengths > 0).all()
    kept = np.isin(WHOLE.test.users, view.test.users)
    np.testing.assert_array_equal(view.test.history.items, WHOLE.test.history.take(np.flatnonzero(kept)).items)
    assert view.fingerprint != WHOLE.fingerprint
    assert view.method == "leave-last-out, types buy"


def test_views_of_views_are_views_of_the_whole() -> None:
    liked = Task(min_rating=4)
    assert liked.of(BUY.of(WHOLE)).fingerprint == liked.of(WHOLE).fingerprint
    assert Task().of(BUY.of(WHOLE)) is WHOLE
    both = Task(types=("buy",), min_rating=4).of(WHOLE)
    assert both.train.weights is not None
    assert set(np.unique(both.train.weights)) == {0.0, 1.0}
    assert both.method.endswith("types buy and ratings from 4")


def test_weights_of_events_stay() -> None:
    weighted = replace(WHOLE, train=replace(WHOLE.train, weights=np.full(WHOLE.train.n_events, 0.5, np.float32)))
    view = BUY.of(weighted)
    assert view.train.weights is not None
    assert set(np.unique(view.train.weights)) == {0.0, 0.5}


def test_closed_forms_are_fitted_to_what_counts() -> None:
    view = BUY.of(WHOLE)
    assert (view.labelled.train.items % 3 == 0).all()
    assert len(view.labelled.train) == len(WHOLE.train)
    assert WHOLE.labelled is WHOLE


@pytest.mark.parametrize(
    ("task", "split", "message"),
    [
        (Task(types=("by",)), WHOLE, "no events of type 'by'; did you mean 'buy'"),
        (Task(types=("buy",)), tiny_split(), r"no events of type 'buy'; name its column with columns: \{type: …\}"),
        (Task(min_rating=4), tiny_split(), r"no ratings; name the column with columns: \{rating: …\}"),
        (Task(min_rating=9), WHOLE, "no training event counts for ratings from 9; use other types or ratings"),
    ],
)
def test_misuse_is_one_line(task: Task, split: Split, message: str) -> None:
    with pytest.raises(DataError, match=message):
        task.of(split)


def test_held_out_events_without_types() -> None:
    bare = replace(WHOLE, test=replace(WHOLE.test, targets=WHOLE.test.targets.without_extras()))
    with pytest.raises(DataError, match="held-out events have no types; use a split of the log itself"):
        BUY.of(bare)
