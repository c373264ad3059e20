from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.compression.budget import Budget
from recdistill.compression.outcome import FILE, Outcome, Row, chosen, front
from recdistill.errors import RunError


def row(name: str = "x", kept: bool = True, ndcg: float | None = 0.5, size: int = 100, ms: float = 1.0) -> Row:
    return Row(name=name, kept=kept, reason="", ndcg=ndcg, bytes=size, model_bytes=size, p50_ms=ms)


NUMBERS = st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.3]), st.integers(1, 3), st.sampled_from([1.0, 2.0]))


def naive_front(rows: list[Row]) -> list[bool]:
    def beats(a: Any, b: Any) -> bool:
        better = a.ndcg > b.ndcg or a.bytes < b.bytes or a.p50_ms < b.p50_ms
        return a.kept and a.ndcg >= b.ndcg and a.bytes <= b.bytes and a.p50_ms <= b.p50_ms and bool(better)

    return [own.kept and not any(beats(other, own) for other in rows) for own in rows]


@given(st.lists(NUMBERS, max_size=8))
def test_the_front_is_what_nothing_beats(numbers: list[tuple[bool, float, int, float]]) -> None:
    rows = [row(kept=kept, ndcg=ndcg, size=size, ms=ms) for kept, ndcg, size, ms in numbers]
    assert front(rows) == naive_front(rows)


def test_what_could_not_be_measured_is_nothing_and_stays_so(tmp_path: Path) -> None:
    unknown = Row(**{**dict(row()), "tail": float("nan")})
    found = Outcome(model="x", contexts=1, max_drop=0.1, rows=(row(), unknown))
    assert found.rows[1].tail is None
    found.write(tmp_path / FILE)
    assert Outcome.read(tmp_path / FILE) == found


def test_without_a_budget_the_smallest_that_was_kept_is_chosen() -> None:
    rows = [row(size=100), row(size=50, ndcg=0.49), row(size=10, kept=False), row(size=50, ndcg=0.495)]
    assert chosen(rows, Budget()) == 3


def test_with_a_budget_the_best_that_fits_is_chosen() -> None:
    rows = [row(size=100), row(size=50, ndcg=0.49, ms=3), row(size=40, ndcg=0.48), row(ndcg=None, kept=False)]
    assert chosen(rows, Budget(under=60)) == 1
    assert chosen(rows, Budget(under=60, faster_than=2)) == 2
    assert chosen(rows, Budget(faster_than=1.0)) == 0
    assert chosen(rows, Budget(under=39)) is None
    assert chosen([row(size=9, ndcg=0.4), row(size=5, ndcg=0.4)], Budget(under=9)) == 1


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    assert Outcome.beside(tmp_path) is None
    picked = row("int8").model_copy(update={"picked": True})
    outcome = Outcome(model="sasrec", contexts=7, max_drop=0.01, budget=Budget(under="1MB"), rows=(row(), picked))
    outcome.write(tmp_path / FILE)
    assert Outcome.beside(tmp_path) == Outcome.read(tmp_path / FILE) == outcome
    assert outcome.picked == picked
    assert outcome.whole == row()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="recdistill compress"):
        Outcome.read(tmp_path / FILE)
    (tmp_path / FILE).write_text('{"model": "sasrec"}')
    with pytest.raises(RunError, match="contexts: Field required; compress again"):
        Outcome.read(tmp_path / FILE)
