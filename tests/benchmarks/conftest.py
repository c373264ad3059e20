"""Makes ``benchmarks/quality`` importable and writes benchmarks in miniature in the published file format."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

ITEMS, USERS = 30, 40


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with all benchmarks and a referee; results go beside it."""
    rng = np.random.default_rng(0)
    rows = [[int(i) for i in rng.permutation(ITEMS)[: rng.integers(5, 9)]] for _ in range(USERS)]
    citeulike(tmp_path / "citeulike-rcekd", rows, without_valid=1)
    citeulike(tmp_path / "citeulike-topology", rows, without_valid=0)
    amazon(tmp_path / "amazon-beauty", rows)
    alkdrec(tmp_path / "alkdrec-games", rows)
    alkdrec(tmp_path / "alkdrec-ml", rows)
    (tmp_path / "referee.py").write_text((Path(__file__).parent / "naive_referee.py").read_text(encoding="utf-8"))
    monkeypatch.setenv("RECDISTILL_BENCH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, header: str, lines: list[str]) -> None:
    """A gzipped TSV file."""
    path.parent.mkdir(exist_ok=True)
    with gzip.open(path.with_name(path.name + ".tsv.gz"), "wt", encoding="utf-8") as file:
        file.write("\n".join([header, *lines]) + "\n")


def citeulike(path: Path, rows: list[list[int]], without_valid: int) -> None:
    """User and item ids from 100 and 500; the first users have no validation item."""
    parts = {"train": slice(0, -2), "valid": slice(-2, -1), "test": slice(-1, None)}
    for part, where in parts.items():
        chosen = [(u, sorted(row[where])) for u, row in enumerate(rows) if part != "valid" or u >= without_valid]
        write(path / part, "user\titem", [f"{100 + u}\t{500 + i}" for u, items in chosen for i in items])


def amazon(path: Path, rows: list[list[int]]) -> None:
    """Items from 1, the title of the first has an entity and a quotation mark."""
    sequences = [f"{u}\t{' '.join(str(i + 1) for i in row)}" for u, row in enumerate(rows)]
    write(path / "sequences", "user\titems", sequences)
    items = [f'{i + 1}\tA &amp; "{i}\tBeauty > Nails\t<a_{i}> <b_2> <c_3> <d_{2 * i}>' for i in range(ITEMS)]
    write(path / "items", "item\ttitle\tcategories\tllama_semantic_id", items)


def alkdrec(path: Path, rows: list[list[int]]) -> None:
    """Every fourth session is validation, every fifth test; GPT-4 was asked about some of the others."""
    part = ["valid" if s % 4 == 1 else "test" if s % 5 == 2 else "train" for s in range(len(rows))]
    lines = [f"{s}\t{part[s]}\t{' '.join(map(str, row[:-1]))}\t{row[-1]}" for s, row in enumerate(rows)]
    write(path / "sessions", "session\tsplit\thistory\tnext", lines)
    write(path / "items", "item\ttitle", [f"{i}\tGame {i}" for i in range(ITEMS)])
    write(path / "gpt4_rankings", "session\tranked_items", ["3\t5 7 5 999 6", "0\t"])
    write(path / "gpt4_active_order", "session", ["3", "0"])
