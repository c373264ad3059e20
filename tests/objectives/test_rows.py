"""Sets in rows against Python's."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from recdistill.objectives.rows import contained, first_of_each, padded, places


@given(n=st.integers(1, 4), k=st.integers(0, 5), m=st.integers(0, 5), seed=st.integers(0, 99))
def test_contained(n: int, k: int, m: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    items, among = (torch.randint(-1, 6, (n, width), generator=random) for width in (k, m))
    wanted = [[i >= 0 and i in row for i in mine] for mine, row in zip(items.tolist(), among.tolist(), strict=True)]
    assert contained(items, among).tolist() == wanted


@given(n=st.integers(1, 4), k=st.integers(0, 6), seed=st.integers(0, 99))
def test_first_of_each(n: int, k: int, seed: int) -> None:
    items = torch.randint(-1, 4, (n, k), generator=torch.Generator().manual_seed(seed))
    for before, after in zip(items.tolist(), first_of_each(items).tolist(), strict=True):
        assert len(after) == k
        assert sorted(i for i in after if i >= 0) == sorted({i for i in before if i >= 0})


@given(n=st.integers(1, 4), k=st.integers(0, 5), m=st.integers(1, 5), seed=st.integers(0, 99))
def test_places(n: int, k: int, m: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    items = torch.randint(-1, 8, (n, k), generator=random)
    among = torch.stack([torch.randperm(8, generator=random)[:m] for _ in range(n)])
    among[:, 0] = -1
    wanted = [
        [row.index(i) if i >= 0 and i in row else -1 for i in mine]
        for mine, row in zip(items.tolist(), among.tolist(), strict=True)
    ]
    assert places(items, among).tolist() == wanted


def test_padded() -> None:
    items = torch.tensor([[3, 1, 2]])
    assert padded(items, 2).tolist() == [[3, 1]]
    assert padded(items, 5).tolist() == [[3, 1, 2, -1, -1]]
