from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.compression.budget import Budget, parse_duration, parse_share, parse_size
from recdistill.compression.gate import Gate
from recdistill.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "size"),
    [("2MB", 2_000_000), ("500 kB", 500_000), ("1.5 MiB", 1_572_864), ("750", 750), ("64b", 64), ("1gb", 10**9)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert Budget(under=text).under == size


@pytest.mark.parametrize(("text", "ms"), [("0.1ms", 0.1), ("80 us", 0.08), ("80µs", 0.08), ("1 s", 1000.0), ("2", 2.0)])
def test_durations(text: str, ms: float) -> None:
    assert parse_duration(text) == pytest.approx(ms)
    assert Budget(faster_than=text).faster_than == pytest.approx(ms)


@pytest.mark.parametrize(("text", "share"), [("0.5%", 0.005), ("2 %", 0.02), ("0.01", 0.01)])
def test_shares(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)
    assert Gate(max_drop=text).max_drop == pytest.approx(share)


@given(st.integers(1, 10**9))
def test_numbers_are_what_they_are(number: int) -> None:
    assert parse_size(number) == number == parse_size(str(number))
    assert parse_share(0.25) == 0.25


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"under": "2 apples"}, "under: '2 apples' is not a size; write a number and kB, MB or GB, as in 2MB"),
        ({"under": "-2MB"}, "is not a size"),
        ({"under": 0}, "under: Input should be greater than 0"),
        ({"faster_than": "soon"}, "faster_than: 'soon' is not a duration"),
        ({"fast": "1ms"}, "unknown parameter 'fast' of budget"),
    ],
)
def test_what_is_no_budget_is_one_line(values: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Budget(**values)


def test_a_gate_takes_no_share_above_one() -> None:
    with pytest.raises(ConfigError, match="less than 1"):
        Gate(max_drop="200%")
    with pytest.raises(ConfigError, match="'half' is not a share; write a percentage"):
        Gate(max_drop="half")
