"""A referee for the benchmarks in miniature: plain Python, line by line, nothing of the library.

Called as the real one is: ``referee.py NAME PREDICTIONS --split PART``; prints one JSON object.
"""

import gzip
import json
import math
import sys
from pathlib import Path

HERE = Path(__file__).parent


def table(path: Path) -> list[list[str]]:
    """Fields of all lines but the first."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file][1:]


def pairs(path: Path) -> dict[str, set[str]]:
    """User to items."""
    found: dict[str, set[str]] = {}
    for user, item in table(path):
        found.setdefault(user, set()).add(item)
    return found


def questions(name: str, part: str) -> tuple[dict[str, tuple[set[str], set[str]]], tuple[int, ...]]:
    """Key to what is right and what is masked, and the cut-offs."""
    folder = HERE / name
    if name == "amazon-beauty":
        end = {"valid": -2, "test": -1}[part]
        rows = [(user, items.split()) for user, items in table(folder / "sequences.tsv.gz")]
        return {user: ({items[end]}, set(items[:end]) - {items[end]}) for user, items in rows}, (5, 10, 20)
    if name.startswith("alkdrec"):
        sessions = [row for row in table(folder / "sessions.tsv.gz") if row[1] == part]
        return {row[0]: ({row[3]}, set(row[2].split()) - {row[3]}) for row in sessions}, (5, 10, 20)
    train, valid, test = (pairs(folder / f"{which}.tsv.gz") for which in ("train", "valid", "test"))
    right, other = (valid, test) if part == "valid" else (test, valid)
    if name == "citeulike-rcekd":
        return {user: (right.get(user, set()), train[user]) for user in train}, (10, 20)
    return {user: (items, train[user] | other[user]) for user, items in right.items()}, (10, 20, 50)


def main(name: str, path: str, part: str) -> None:
    """Score, print."""
    ranked = {row[0]: row[1].split() for row in table(Path(path))}
    asked, cutoffs = questions(name, part)
    if asked.keys() - ranked.keys():
        sys.exit("keys have no ranking")
    line: dict[str, object] = {"benchmark": name, "split": part, "dropped": 0}
    for k in cutoffs:
        recall = ndcg = 0.0
        for key, (right, masked) in asked.items():
            kept = [item for item in ranked[key] if item not in masked]
            line["dropped"] = line["dropped"] + len(ranked[key]) - len(kept)  # type: ignore[operator]
            gains = [1 / math.log2(place + 2) for place, item in enumerate(kept[:k]) if item in right]
            recall += len(gains) / max(len(right), 1)
            ndcg += sum(gains) / max(sum(1 / math.log2(place + 2) for place in range(min(len(right), k))), 1)
        line |= {f"recall@{k}": recall / len(asked), f"ndcg@{k}": ndcg / len(asked)}
    print(json.dumps(line))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[4])
