"""Weights over time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.errors import ConfigError
from recdistill.objectives import CrossEntropy, SoftLabels
from recdistill.objectives.base import Moment
from recdistill.objectives.schedule import Schedule


def test_shapes() -> None:
    at = [0.0, 1.0, 2.0, 4.0, 6.0, 100.0]
    values = {
        shape: [Schedule(start=2.0, end=0.5, shape=shape, epochs=4.0, warmup=2.0).at(epoch) for epoch in at]
        for shape in ("constant", "linear", "cosine", "decay")
    }
    assert values["constant"] == [0.0, 1.0, 2.0, 2.0, 2.0, 2.0]
    assert values["linear"] == pytest.approx([0.0, 1.0, 2.0, 1.25, 0.5, 0.5])
    assert values["cosine"] == pytest.approx([0.0, 1.0, 2.0, 1.25, 0.5, 0.5])
    assert values["decay"] == pytest.approx([0.0, 1.0, 2.0, 1.0, 0.5, 0.5])
    quarter = Schedule(start=1.0, end=0.0, shape="cosine", epochs=4.0).at(1.0)
    assert quarter == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


@given(
    shape=st.sampled_from(["constant", "linear", "cosine", "decay"]),
    start=st.floats(0.01, 10), end=st.floats(0.01, 10), epochs=st.floats(0.1, 50), warmup=st.floats(0, 10),
    epoch=st.floats(0, 200),
)  # fmt: skip
def test_stays_between_its_ends(
    shape: str, start: float, end: float, epochs: float, warmup: float, epoch: float
) -> None:
    schedule = Schedule(start=start, end=end, shape=shape, epochs=epochs, warmup=warmup)
    value = schedule.at(epoch)
    assert -1e-9 <= value <= max(start, end) * (1 + 1e-9)
    if epoch >= warmup:
        assert value >= min(start, end) * (1 - 1e-9)


def test_a_number_is_a_constant_weight() -> None:
    assert CrossEntropy(weight=0.25).weight == Schedule(start=0.25)
    assert CrossEntropy(weight=2).weight.at(5) == 2.0


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="above 0"):
        Schedule(shape="decay", end=0.0)
    with pytest.raises(ConfigError):
        CrossEntropy(weight=-1)
    for wrong in (True, "high", [1]):
        with pytest.raises(ConfigError, match="weight: neither a number nor a schedule over the epochs"):
            CrossEntropy(weight=wrong)
    for key in ("end", "epochs"):
        with pytest.raises(ConfigError, match=rf"weight\.{key}: {key} without a shape.*add shape: linear"):
            CrossEntropy(weight={"start": 0.5, key: 3})


def test_what_is_written_down_is_read_again() -> None:
    for schedule in (Schedule(start=0.5), Schedule(start=0.5, end=0.1, shape="linear", epochs=3)):
        assert Schedule(**schedule.model_dump(mode="json")) == schedule == schedule.replace(start=0.5)


def test_zero_at_all_times() -> None:
    assert Schedule(start=0).is_zero
    assert Schedule(start=0, end=0, shape="linear").is_zero
    assert not Schedule(start=0, end=1, shape="linear").is_zero
    assert not Schedule(start=1, end=0, shape="linear").is_zero


def test_a_temperature_may_cool() -> None:
    objective = SoftLabels(temperature={"start": 4, "end": 1, "shape": "linear", "epochs": 3}).build()
    seen = []
    for epoch in (1, 2, 3, 4, 9):
        objective.begin(Moment(epoch))
        seen.append(objective.temperatures)
    assert seen == [(4.0,), (3.0,), (2.0,), (1.0,), (1.0,)]
    assert SoftLabels(temperature=3).build().temperatures == (3.0,)


@pytest.mark.parametrize("wrong", [0.1, 200, {"start": 2, "warmup": 1}, {"start": 2, "end": 0, "shape": "linear"}])
def test_temperatures_that_cannot_be(wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"temperature: a temperature lies between 0.25 and 100"):
        SoftLabels(temperature=wrong)
