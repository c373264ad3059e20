"""Does an update learn what is new, and forget nothing?

MovieLens in the order of its events. A run learns from the first 85 %; the next 10 % come in as feedback and
``recdistill update`` learns from them; the last 5 % are asked for. ``old`` is NDCG@10 on the run's test part, ``new``
that on the events of the last 5 %, each with all that its user did before as history: an update sees neither, and its
gate looks at neither. All is asked of the bundles as they are served. Beside the update stands the same training
without what keeps the student from forgetting: no older events, nothing of what it said before, no gate for old
events, and the learning rate that the student was trained with.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

from recdistill.compression import ServedModel
from recdistill.compression.linear import contexts_of
from recdistill.data import Cleaning, movielens_small
from recdistill.data.dataset import Contexts, Dataset
from recdistill.data.sequences import Sequences
from recdistill.evaluation.metrics import metric_values
from recdistill.evaluation.ranking import rank
from recdistill.recipes import load_recipe, run_recipe
from recdistill.recipes.run import Run
from recdistill.recipes.update import Updated, Updating, update
from recdistill.serving import Bundle
from recdistill.serving.deployment import Home
from recdistill.serving.feedback import Event, open_store

LIMITS = {"old_kept": 0.99, "new_gain": 0.05}
"""Least values: of NDCG@10 on old events, the share that is left; of that on new events, what is added, as a share."""
_KNOWN, _FED, _MOST, _K = 0.85, 0.95, 4_000, 10
_METRIC = f"ndcg@{_K}"
_AGREED, _FORGETFUL = Updating(), Updating(replay=0, remember=0, lr_scale=1.0, max_drop=0.99)
_RECIPE = """\
title: update
data: {log: log.csv, items: items.csv, split: {type: per-user-ratio, valid: 0.1, test: 0.1}}
teachers:
  - {id: slist, type: recommender, model: {type: slist, l2: 100}, k: 100}
student:
  model: {type: sasrec, dim: 64, blocks: 1, max_length: 50}
  alone: {objectives: [cross-entropy], training: {epochs: 1}}
  distilled:
    objectives: [{type: soft-labels, temperature: 1.0}]
    parameters: {dropout: 0.1}
    training: {epochs: 16, patience: 4, lr: 0.004, lr_decay: cosine, batch: 2048, weight_decay: 0.1}
evaluate: {baselines: [popularity]}
compression: {steps: [int8]}
bundle: {tower: true}
"""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stream:
    """Events in the order in which they happened.

    Attributes:
        dataset: What the ids are of.
        users: int64 ``[n]``.
        items: int64 ``[n]``.
        times: int64 ``[n]``, milliseconds.
    """

    dataset: Dataset
    users: Ints
    items: Ints
    times: Ints

    def part(self, begin: float, end: float) -> slice:
        """Events between two shares of all."""
        return slice(int(begin * len(self.items)), int(end * len(self.items)))


def main() -> int:
    """Measure, print a line each, and the JSON at the end."""
    stream = _stream()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        _learn(stream, Path(folder), run)
        _feed(stream, run)
        asked = {"old": Run(load_recipe(Path(folder) / "update.yaml"), run).split.test, "new": _later(stream, run)}
        measured: dict[str, float] = {f"{part}_contexts": len(contexts) for part, contexts in asked.items()}
        measured |= _shown("before", Bundle.open(run / "bundle"), asked)
        outcomes = {}
        for name, wanted in (("forgetful", _FORGETFUL), ("after", _AGREED)):
            copy = run.with_name(name)
            shutil.copytree(run, copy)
            start = time.perf_counter()
            outcomes[name] = update(copy, wanted)
            measured[f"{name}_s"] = time.perf_counter() - start
            measured |= _shown(name, Bundle.open(outcomes[name].bundle), asked)
        found: Updated = outcomes["after"]
        measured["events"] = found.new_events
    measured["old_kept"] = measured["old_after"] / measured["old_before"]
    measured["new_gain"] = measured["new_after"] / measured["new_before"] - 1
    missed = [name for name, limit in LIMITS.items() if not measured[name] >= limit]
    told = {"outcomes": {name: one.outcome for name, one in outcomes.items()}, "reason": found.reason}
    line = {"bench": "update", "metric": _METRIC, "target": LIMITS, "measured": measured, **told}
    print(json.dumps(line | {"ok": not missed and found.outcome == "published", "missed": missed}))
    return 0


def _stream() -> Stream:
    dataset = movielens_small(Cleaning(min_item_events=5))
    log = dataset.log
    assert log.times is not None
    order = np.argsort(log.times, kind="stable")
    return Stream(dataset, log.row_of_event()[order], log.items[order].astype(np.int64), log.times[order])


def _learn(stream: Stream, folder: Path, run: Path) -> None:
    """A finished run on the events that are known."""
    items, known = stream.dataset.items, stream.part(0, _KNOWN)
    assert items.texts is not None
    with (folder / "items.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["itemId", "title", "genres"])
        rows.writerows(
            (item, items.title(at), "|".join((items.categories or [()] * len(items))[at]))
            for at, item in enumerate(items.ids)
        )
    with (folder / "log.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["userId", "itemId", "timestamp"])
        for user, item, moment in zip(stream.users[known], stream.items[known], stream.times[known], strict=True):
            rows.writerow([stream.dataset.users[user], items.ids[item], moment // 1000])
    recipe = folder / "update.yaml"
    recipe.write_text(_RECIPE, encoding="utf-8")
    run_recipe(load_recipe(recipe), run)


def _feed(stream: Stream, run: Path) -> None:
    """What happened next, as feedback."""
    home, ids, users = Home.of(run), stream.dataset.items.ids, stream.dataset.users
    home.path.mkdir(exist_ok=True)
    part = stream.part(_KNOWN, _FED)
    rows = zip(stream.users[part], stream.items[part], stream.times[part], strict=True)
    store = open_store(None, home.events)
    store.add([Event(f"e{n}", users[u], ids[i], "rating", t / 1e3) for n, (u, i, t) in enumerate(rows)])
    store.close()


def _later(stream: Stream, run: Path) -> Contexts:
    """The events after the feedback, each with what its user did before, in the numbers of the run's catalogue."""
    numbers = Bundle.open(run / "bundle").items.find(stream.dataset.items.ids)
    items = numbers[stream.items]
    histories, targets = [], []
    for at in range(stream.part(0, _FED).stop, len(items)):
        before = items[:at][stream.users[:at] == stream.users[at]]
        before = before[before >= 0]
        if items[at] >= 0 and len(before) and items[at] not in before:
            histories.append(before.tolist())
            targets.append([int(items[at])])
    asked = contexts_of(Sequences.from_lists(histories))
    some = np.random.default_rng(0).permutation(len(asked))[:_MOST]
    return Contexts(asked.users, asked.history, Sequences.from_lists(targets)).take(some)


def _shown(name: str, bundle: Bundle, asked: dict[str, Contexts]) -> dict[str, float]:
    found = {}
    for part, contexts in asked.items():
        ranked = rank(ServedModel(bundle), contexts, _K)
        found[f"{part}_{name}"] = float(np.nanmean(metric_values(ranked, contexts.targets, _METRIC)))
        print(f"{part}_{name:12} {found[f'{part}_{name}']:.4f}", flush=True)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
