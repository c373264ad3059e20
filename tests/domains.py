"""Two shops with other users and other items, in which the same follows from the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np

__all__ = ["TOPICS", "write_shop"]

TOPICS = (
    "dragons, wizards and spells",
    "football players and a goal in the last minute",
    "cooking pasta with tomatoes and garlic",
    "astronauts in a rocket on the way to Mars",
    "a detective who solves a murder",
    "a trumpet, a piano and a jazz club",
)


def write_shop(folder: Path, kind: str, n_users: int, copies: int, seed: int) -> None:
    """Write ``KIND.csv`` and ``KIND-items.csv``: who has seen one topic wants the following one.

    Args:
        folder: Where to.
        kind: What the items are, for example ``film``.
        n_users: Users, with 8 events each.
        copies: Items of each topic.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    items = [f"{kind}{topic}x{copy}" for topic in range(len(TOPICS)) for copy in range(copies)]
    rows = [f"{item},The {kind} number {n % copies + 1} about {TOPICS[n // copies]}" for n, item in enumerate(items)]
    table = "\n".join(f'{row.partition(",")[0]},"{row.partition(",")[2]}"' for row in rows)
    (folder / f"{kind}-items.csv").write_text(f"item,title\n{table}\n", encoding="utf-8")
    lines = ["user,item,time"]
    for user in range(n_users):
        begin = int(rng.integers(len(TOPICS)))
        for step in range(8):
            topic = (begin + step) % len(TOPICS)
            lines.append(f"{kind}lover{user},{kind}{topic}x{rng.integers(copies)},{1_600_000_000 + 1000 * step}")
    (folder / f"{kind}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
