"""A small log in large batches: said before it is trained, with a batch that fits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.models import FISM
from recdistill.models.neural import NeuralModel
from recdistill.training import Training, fit
from recdistill.training.few_steps import FEW, fitting_batch, tell_few_steps
from tests.synthetic import tiny_split


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.messages if "too few to learn much" in line]


def test_it_is_said_once_and_with_what_to_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    split, training = tiny_split(), Training(epochs=30, patience=30)
    first = fit(FISM(dim=4), split, training=training.replace(max_minutes=1e-9), directory=tmp_path, label="small")
    assert len(first.history) == 1
    (line,) = told(caplog)
    batch = fitting_batch(int((split.train.lengths - 1).sum()), training)
    assert line.startswith("small: ")
    assert "are 1 step an epoch, so it may stop after 30, too few" in line
    assert line.endswith(f"set batch: {batch} in training")
    caplog.clear()
    assert isinstance(first.model, NeuralModel)
    fit(FISM(dim=4), split, training=training.replace(epochs=2), start=first.model)  # knows something already
    fit(FISM(dim=4), split, training=training.replace(patience=30, epochs=2), directory=tmp_path)  # goes on
    fit(FISM(dim=4), split, training=training.replace(batch=batch))
    assert not told(caplog)


def test_where_no_batch_is_small_enough_it_takes_epochs(caplog: pytest.LogCaptureFixture) -> None:
    tell_few_steps("x", 3, Training(epochs=2, batch=1))
    assert told(caplog)[0].endswith("are 3 steps an epoch, so it may stop after 6, too few to learn much; "
                                    "set more epochs in training")  # fmt: skip


@given(
    contexts=st.integers(1, 10**9), epochs=st.integers(1, 200), patience=st.integers(1, 50), batch=st.integers(1, 8192)
)
def test_a_fitting_batch_is_enough_and_no_larger_than_asked(
    contexts: int, epochs: int, patience: int, batch: int
) -> None:
    found = fitting_batch(contexts, Training(epochs=epochs, patience=patience, batch=batch))
    assert 1 <= found <= batch
    assert found == 1 or -(-contexts // found) * min(epochs, patience) >= 2 * FEW
