from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.reports import words


def _plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (words.metric(0.08123), "0.0812"),
        (words.signed(-0.00031), "−0.0003"),
        (words.signed(0.0089), "+0.0089"),
        (words.count(100_836), "100,836"),
        (words.short_count(9_742), "9.74 k"),
        (words.short_count(4_310_000), "4.31 M"),
        (words.short_count(999_900), "1.00 M"),
        (words.short_count(512), "512"),
        (words.size(572_000), "0.57 MB"),
        (words.size(17_240_000), "17.2 MB"),
        (words.size(2_500_000_000), "2.50 GB"),
        (words.size(64_000), "64.0 kB"),
        (words.size(12), "12 B"),
        (words.latency(0.12), "0.12 ms"),
        (words.latency(0.0204), "0.020 ms"),
        (words.latency(1234.5), "1,234 ms"),
        (words.percent(0.834), "83 %"),
        (words.percent(0.0123, 1), "1.2 %"),
        (words.signed_percent(0.123), "+12.3 %"),
        (words.signed_percent(-0.004), "−0.4 %"),
        (words.signed_percent(-0.0001), "0.0 %"),
        (words.times(12.6), "13"),
        (words.times(2.51), "2.5"),
        (words.duration(0.84), "0.8 s"),
        (words.duration(42.2), "42 s"),
        (words.duration(59.9), "1 min 00 s"),
        (words.duration(185), "3 min 05 s"),
        (words.duration(7_800), "2 h 10 min"),
    ],
)
def test_every_kind_of_quantity(got: str, expected: str) -> None:
    assert _plain(got) == expected


@pytest.mark.parametrize(
    "write", [words.metric, words.count, words.short_count, words.size, words.latency, words.percent, words.duration]
)
def test_what_is_not_known_is_a_dash(write: object) -> None:
    assert write(None) == "–"  # type: ignore[operator]


@given(st.integers(0, 10**12))
def test_no_quantity_has_an_exponent(value: int) -> None:
    for text in (
        words.short_count(value),
        words.size(value),
        words.latency(float(value)),
        words.duration(float(value)),
    ):
        assert "e" not in text.replace("\N{NO-BREAK SPACE}", " ").split(" ")[0]
