"""What the text tower is worth for items that nobody has used yet.

A tenth of the items of at least five events leaves the log, with all their events. A student learns from the rest; its
bundle gets a text tower, which learns from the student's vectors and from a text encoder (all-MiniLM-L6-v2), and then
the cold items by their texts alone, as a service would. What is asked: somebody took a cold item; given what they took
before, where does it stand, among the cold items and in the whole catalogue?

- ``random``: a list drawn by lot.
- ``alone``: the student without the tower; the cold items were in its catalogue while it learned, without events.
- ``encoder``: the encoder by itself, the cosine of an item with the mean of the history.
- ``encoder_mapped``: its embeddings of the cold items, mapped into the student's space by ridge regression. Needs the
  encoder wherever an item is added: what the tower came from.
- ``tower``: the bundle. ``tower_without_encoder``: the same with a tower that learned from the student only.

Everything is done ``SEEDS`` times (3), each time with other cold items and another student; figures are means.
``with_tower`` and ``without_tower`` are the recall of the same student, among cold items and in the whole catalogue.

The data are the demo's films and, where ``$RECDISTILL_BENCH`` has it, amazon-beauty.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy

import numpy as np
import numpy.typing as npt

import recdistill as rd
from recdistill.compression.linear import contexts_of
from recdistill.compression.tower import tower_targets
from recdistill.data import Cleaning, movielens_small
from recdistill.data.dataset import Contexts, Dataset, Split
from recdistill.data.sequences import Sequences
from recdistill.models.base import VectorModel
from recdistill.serving.bundle import Bundle
from recdistill.serving.scorers import VectorScorer

LIMITS = {"of_encoder": 1.0, "times_random": 3.0, "gain_over_alone": 0.0, "items_per_s": 20_000}
"""Least values. Of recall among the cold items, ``of_encoder`` is the tower's part of that of the encoder by itself."""
_SHARE, _LEAST, _K, _AT_ONCE, _TIMED, _TIMES = 0.1, 5, 10, 500, 256, 5
_PARTS = ("cold", "all")
_SEEDS = int(os.environ.get("SEEDS", "3"))
_MOST = 4_000
"""Questions, drawn by lot."""
_KEPT = Path(".cache/bench-cold")
"""The encoder's embeddings, which are the same every time."""
_TRAINING = rd.Training(epochs=20, patience=4, lr=5e-3, batch=2048, weight_decay=0.1, negatives=1024)
_STRENGTHS = (0.01, 0.1, 1.0, 10.0)

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class World:
    """A log without its cold items, and the questions that these leave.

    Attributes:
        split: What is learned from; the catalogue has all items.
        cold: int64 ``[c]``, items without events.
        asked: Histories without cold items; the target of each is a cold one.
    """

    split: Split
    cold: Indices
    asked: Contexts

    @property
    def texts(self) -> list[str]:
        """Of all items."""
        items = self.split.dataset.items
        return list(items.texts or items.titles or [])


def main() -> None:
    """Measure each data set, print its table, and the JSON at the end."""
    found = {
        name: _mean([_measure(name, dataset, seed) for seed in range(_SEEDS)]) for name, dataset in _data().items()
    }
    recalls = [one["cold"] for one in found.values()]
    ways = {"with_tower": "tower", "without_tower": "alone"}
    beside = {
        f"{told}_{name}_{part}": one[part][way]
        for name, one in found.items()
        for part in _PARTS
        for told, way in ways.items()
    }
    worst = {
        "of_encoder": min(recall["tower"] / recall["encoder"] for recall in recalls),
        "of_encoder_mapped": min(recall["tower"] / recall["encoder_mapped"] for recall in recalls),
        "times_random": min(recall["tower"] / recall["random"] for recall in recalls),
        "gain_over_alone": min(one[part]["tower"] - one[part]["alone"] for one in found.values() for part in _PARTS),
        "items_per_s": min(one["tower_items_per_s"] for one in found.values()),
    }
    ok = all(worst[name] >= limit for name, limit in LIMITS.items()) and worst["gain_over_alone"] > 0
    result = {"bench": "cold", "metric": f"recall@{_K}", "seeds": _SEEDS, "target": LIMITS, "measured": worst | beside}
    print(json.dumps(result | {"data": found, "ok": ok}))


def _mean(runs: list[Any]) -> Any:
    """Of what was measured with each seed, number by number."""
    if isinstance(runs[0], dict):
        return {name: _mean([run[name] for run in runs]) for name in runs[0]}
    return float(np.mean(runs))


def _data() -> dict[str, Dataset]:
    sys.path.insert(0, str(Path(__file__).parent))
    from quality.splits import bench_directory, load

    found = {"movielens-small": movielens_small(Cleaning(min_item_events=_LEAST))}
    if (bench_directory() / "amazon-beauty").exists():
        found["amazon-beauty"] = load("amazon-beauty").dataset
    return found


def _measure(name: str, dataset: Dataset, seed: int) -> dict[str, Any]:
    """Recall of every way, and speeds."""
    world = _without_cold(dataset, seed)
    texts, cold = world.texts, world.cold
    print(
        f"{name}, seed {seed}: {len(cold):,} cold of {len(texts):,} items, {len(world.asked):,} questions", flush=True
    )
    knowledge = rd.teach(rd.teachers.TextEncoder(), world.split, name="minilm", directory=_KEPT / name)
    said = knowledge.embeddings("minilm")[0].all()
    student = rd.fit(rd.models.FISM(dim=64, dropout=0.4), world.split, training=_TRAINING.replace(seed=seed))
    assert isinstance(student, VectorModel)
    with tempfile.TemporaryDirectory() as folder:
        bundles = {
            "tower": _bundle(student, world, Path(folder) / "b", said),
            "tower_without_encoder": _bundle(student, world, Path(folder) / "alone", True),
        }
        size = sum(bundles["tower"].place.sizes[file] for file in ("tower.npz", "tower_vectors.npy"))
    encoder = rd.teachers.TextEncoder().load()
    first = bundles["tower"]
    scorer, tower = first.scorer, first.tower
    assert isinstance(scorer, VectorScorer)
    assert tower is not None
    assert scorer.bias is not None
    states = np.concatenate([scorer.contexts(part.history) for part in _parts(world.asked)])
    mapped = _mapped(said, tower_targets(student), world)
    dim = first.manifest.dim
    tables = {"alone": (scorer.table.rows(np.arange(len(texts))), scorer.bias)}
    for way, bundle in bundles.items():
        assert bundle.tower is not None
        tables[way] = _replaced(tables["alone"], cold, bundle.tower.embed([texts[at] for at in cold]), dim)
    tables["encoder_mapped"] = _replaced(tables["alone"], cold, mapped[cold], dim)
    unit = said / np.maximum(np.linalg.norm(said, axis=1, keepdims=True), 1e-12)
    means = np.stack([unit[row].mean(axis=0) for row in _rows(world.asked.history)])
    ways = {way: (states, *table) for way, table in tables.items()} | {"encoder": (means, unit, np.zeros(len(unit)))}
    among = {way: _recall(world, *parts, only=cold) for way, parts in ways.items()}
    everywhere = {way: _recall(world, *parts, only=None) for way, parts in ways.items()}
    _check_service(first, world, tables["tower"], states)
    among, everywhere = {"random": _K / len(cold)} | among, {"random": _K / len(texts)} | everywhere
    for way, recall in among.items():
        print(f"  {way:24} {recall:.4f} among cold   {everywhere[way]:.4f} among all", flush=True)
    return {
        "cold_items": len(cold), "questions": len(world.asked), "cold": among, "all": everywhere,
        "explained": first.manifest.checks["tower_explains"],
        "tower_items_per_s": _items_per_s(tower.embed, texts, len(texts)),
        "encoder_items_per_s": _items_per_s(lambda some: list(encoder.batches(some)), texts, _TIMED),
        "tower_bytes": size,
    }  # fmt: skip


def _without_cold(dataset: Dataset, seed: int) -> World:
    """Take the events of some items out of the log."""
    counts = np.bincount(dataset.log.items, minlength=dataset.n_items)
    often = np.flatnonzero(counts >= _LEAST)
    cold = np.sort(np.random.default_rng(seed).permutation(often)[: int(_SHARE * len(often))])
    is_cold = np.isin(dataset.log.items, cold)
    histories, targets = [], []
    for user in range(dataset.n_users):
        part = slice(dataset.log.offsets[user], dataset.log.offsets[user + 1])
        items, held = dataset.log.items[part], is_cold[part]
        for at in np.flatnonzero(held):
            before = items[:at][~held[:at]]
            if len(before):
                histories.append(before.tolist())
                targets.append([int(items[at])])
    rest = dataset.log.keep(~is_cold)
    kept = np.flatnonzero(rest.lengths >= 3)
    names = [dataset.users[user] for user in kept.tolist()]
    split = rd.split(Dataset(names, dataset.items, rest.take(kept), f"{dataset.name} without {len(cold)} items"))
    asked = contexts_of(Sequences.from_lists(histories))
    some = np.random.default_rng(1).permutation(len(asked))[:_MOST]
    return World(split, cold, Contexts(asked.users, asked.history, Sequences.from_lists(targets)).take(some))


def _bundle(student: Any, world: World, path: Path, tower: Floats | bool) -> Bundle:
    split = world.split
    learned = Dataset(split.dataset.users, split.dataset.items, split.train, split.dataset.name)
    return Bundle.open(rd.bundle(student, learned, path, tower=tower, ann=False))


def _mapped(said: Floats, targets: Floats, world: World) -> Floats:
    """The embeddings of all items in the student's space; how strict the regression is, a tenth of the items says."""
    counts = np.bincount(world.split.train.items, minlength=len(said)).astype(np.float64)
    learned = np.random.default_rng(1).permutation(np.flatnonzero(counts))
    held, fitting = np.split(learned, [len(learned) // 10])
    rows = np.concatenate([said - said.mean(axis=0), np.ones((len(said), 1))], axis=1).astype(np.float64)

    def fitted(of: Indices, strength: float) -> npt.NDArray[np.float64]:
        weighted = rows[of] * np.sqrt(counts[of])[:, None]
        gram = weighted.T @ rows[of]
        gram[np.diag_indices(len(gram) - 1)] += strength * np.trace(gram) / len(gram)
        solved: npt.NDArray[np.float64] = rows @ np.linalg.solve(gram, weighted.T @ targets[of])
        return solved

    def error(strength: float) -> float:
        off = np.square(fitted(fitting, strength)[held] - targets[held]).sum(axis=1)
        return float(np.sqrt(counts[held]) @ off)

    return fitted(learned, min(_STRENGTHS, key=error)).astype(np.float32)


def _replaced(table: tuple[Floats, Floats], items: Indices, rows: Floats, dim: int) -> tuple[Floats, Floats]:
    vectors, bias = table[0].copy(), table[1].copy()
    vectors[items], bias[items] = rows[:, :dim], rows[:, -1]
    return vectors, bias


def _parts(asked: Contexts) -> list[Contexts]:
    starts = range(0, len(asked), _AT_ONCE)
    return [asked.take(np.arange(start, min(start + _AT_ONCE, len(asked)))) for start in starts]


def _rows(sequences: Sequences) -> list[npt.NDArray[np.int32]]:
    return [sequences[row] for row in range(len(sequences))]


def _recall(world: World, states: Floats, vectors: Floats, bias: Floats, *, only: Indices | None) -> float:
    """Share of the questions whose target is among the first of some items, or of all that are not seen."""
    hits = 0
    for start in range(0, len(states), _AT_ONCE):
        part = np.arange(start, min(start + _AT_ONCE, len(states)))
        scores = states[part] @ vectors.T + bias
        history = world.asked.history.take(part)
        scores[history.row_of_event(), history.items] = -np.inf
        target = world.asked.targets.take(part).items
        own = scores[np.arange(len(part)), target][:, None]
        rivals = scores if only is None else scores[:, only]
        # of equals, half stand before: a model that knows nothing must not win by order
        ranks = (rivals > own).sum(axis=1) + ((rivals == own).sum(axis=1) - 1) / 2
        hits += int((ranks < _K).sum())
    return hits / len(states)


def _check_service(bundle: Bundle, world: World, table: tuple[Floats, Floats], states: Floats) -> None:
    """Items added one by one to the open bundle get the scores that were measured."""
    some, texts = world.cold[:20], world.texts
    added = [bundle.add_item(f"new {item}", texts[item]) for item in some]
    history = world.asked.history[0].astype(np.int64)
    scores = bundle.score(contexts_of(Sequences.from_lists([history.tolist()])))[0, added]
    np.testing.assert_allclose(scores, table[0][some] @ states[0] + table[1][some], rtol=1e-3, atol=1e-4)


def _items_per_s(call: Callable[[list[str]], Any], texts: list[str], count: int) -> float:
    """Texts a second, at best of several times."""
    some = (texts * (count // max(len(texts), 1) + 1))[:count]
    taken = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        call(some)
        taken.append(time.perf_counter() - start)
    return count / min(taken)


if __name__ == "__main__":
    main()
