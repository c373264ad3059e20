"""How long a list takes in process, on one thread, beside what reading the vectors from memory takes.

Each bundle is that of a model over 64 dimensions with weights as :func:`_world` draws them, stored in int8: neither
size nor time of an exact scan depends on what was learned. Approximate search does depend on it: vectors that point
anywhere have no neighbours to speak of. So items lie in groups, directions differ in how much they spread, as those of
trained models do, and users stay with a few groups. A time is that of :meth:`Bundle.recommend_indices`, everything
included, for a list of 10 with the history left out; p50 and p99 are those of the quietest of some rounds.

The bound is what the numbers that an exact scan must read weigh, over the speed at which one thread reads an array far
larger than all caches. ``numpy`` is the peer: a float32 product and ``argpartition``.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: one recommendation is for one core
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

from recdistill.data.dataset import Catalogue, Contexts, Dataset, Split
from recdistill.data.sequences import Sequences
from recdistill.files import atomic_directory
from recdistill.serving.bundle import Bundle
from recdistill.serving.manifest import Manifest
from recdistill.serving.place import Place
from recdistill.serving.scorers import VectorScorer
from recdistill.serving.tables import DenseTable

LIMITS = {
    "p50_ms_10000": 0.1, "p50_ms_100000": 0.5, "p50_ms_1000000": 5.0, "ann_p50_ms_1000000": 1.0,
    "ann_recall_at_10": 0.98, "sasrec_p50_ms": 0.5, "times_bound": 2.0,
}  # fmt: skip
SIZES = (10_000, 100_000, 1_000_000)
_DIM, _HISTORY, _USERS, _ROUNDS = 64, 20, 200, 20
_GROUP, _GROUPS_OF_A_USER = 200, 3
_READ = 512 << 20
_KEPT = Path(".cache/bench-topk")

Floats = npt.NDArray[np.float32]


def main() -> None:
    """Measure, print a line each, and the JSON at the end."""
    speed = _reading()
    measured: dict[str, float] = {"read_gb_per_s": speed / 1e9}
    with tempfile.TemporaryDirectory() as directory:
        for size in SIZES:
            measured |= _shown(_exact(size, Path(directory) / f"{size}.bundle", speed))
        for size in SIZES[:2]:
            measured |= _shown(_sasrec(size, Path(directory) / f"sasrec-{size}.bundle"))
        measured |= _shown(_approximate(Path(directory) / f"{SIZES[-1]}.bundle"))
    measured["times_bound"] = max(measured[f"times_bound_{size}"] for size in SIZES)
    measured["sasrec_p50_ms"] = measured["sasrec_p50_ms_10000"]
    missed = [name for name, limit in LIMITS.items() if _misses(name, measured.get(name, np.nan), limit)]
    print(json.dumps({"bench": "topk", "target": LIMITS, "measured": measured, "ok": not missed, "missed": missed}))


def _shown(found: dict[str, float]) -> dict[str, float]:
    for name, value in found.items():
        print(f"{name:32} {value:>12,.4f}", flush=True)
    return found


def _misses(name: str, value: float, limit: float) -> bool:
    return not (value >= limit if "recall" in name else value <= limit)


def _reading() -> float:
    """Bytes that one thread reads from memory in a second, at best."""
    numbers = np.ones(_READ // 4, dtype=np.float32)
    taken = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        np.dot(numbers, numbers)  # one stream: both are the same array
        taken.append(time.perf_counter() - start)
    return _READ / min(taken)


def _exact(size: int, path: Path, speed: float) -> dict[str, float]:
    """Times of an exact list, its bound, and those of the peer."""
    from recdistill.compression import write_bundle

    split, groups = _world(size)
    bundle = Bundle.open(write_bundle(_fism(split, groups), split.dataset, path, ann=False), verify=False)
    p50, p99 = _times(_asking(bundle, split), _repeats(size))
    scorer = bundle.scorer
    assert isinstance(scorer, VectorScorer)
    table = scorer.table
    stored = 4 * _DIM if isinstance(table, DenseTable) else _DIM + 4  # int8 and a scale
    bound = size * stored / speed * 1e3
    vectors = np.ascontiguousarray(table.rows(np.arange(size)))
    queries = scorer.contexts(split.train)
    peer = _times(lambda user: np.argpartition(vectors @ queries[user], -10)[-10:], max(_repeats(size) // 4, 10))
    return {
        f"p50_ms_{size}": p50, f"p99_ms_{size}": p99, f"bound_ms_{size}": bound, f"times_bound_{size}": p50 / bound,
        f"numpy_p50_ms_{size}": peer[0],
    }  # fmt: skip


def _approximate(path: Path) -> dict[str, float]:
    """Times of an approximate list in the largest bundle, and its recall as it was measured when it was linked."""
    from recdistill.compression.linear import contexts_of

    size, kept = SIZES[-1], _KEPT / f"{SIZES[-1]}.bundle"
    split, _ = _world(size)
    if not kept.exists():
        with atomic_directory(kept) as part:
            shutil.copytree(path, part, dirs_exist_ok=True)
            _link(part, contexts_of(split.train))
    checks = Manifest.read(Place.open(kept), verify=False).checks
    found = {name: checks[name] for name in ("ann_recall_at_10", "ann_link_s", "ann_expansion") if name in checks}
    if "ann_expansion" not in checks:
        return found
    bundle = Bundle.open(kept, verify=False)
    p50, p99 = _times(_asking(bundle, split), _repeats(10_000))
    return found | {
        f"ann_p50_ms_{size}": p50,
        f"ann_p99_ms_{size}": p99,
        "ann_megabytes": bundle.place.sizes["graph.usearch"] / 1e6,
    }


def _link(path: Path, users: Contexts) -> None:
    """Make the graph of a bundle, and note how long that took."""
    from recdistill.compression.graph_search import write_graph

    bundle = Bundle.open(path, verify=False)
    assert isinstance(bundle.scorer, VectorScorer)
    start = time.perf_counter()
    checks = write_graph(path, bundle.scorer, bundle.n_items, users)
    checks = {**bundle.manifest.checks, **checks, "ann_link_s": time.perf_counter() - start}
    replace(bundle.manifest, checks=checks, files={}).write(path)


def _sasrec(size: int, path: Path) -> dict[str, float]:
    """Times of a list for a session of 50 events, read by a SASRec of two blocks."""
    from recdistill.compression import write_bundle
    from recdistill.models.sasrec import SASRec

    split, _ = _world(size, history=50)
    bundle = Bundle.open(write_bundle(SASRec(dim=_DIM).build(split), split.dataset, path, ann=False), verify=False)
    p50, p99 = _times(_asking(bundle, split), _repeats(size))
    return {f"sasrec_p50_ms_{size}": p50, f"sasrec_p99_ms_{size}": p99}


def _asking(bundle: Bundle, split: Split) -> Callable[[int], Any]:
    histories = [split.train[user].astype(np.int64) for user in range(_USERS)]
    return lambda user: bundle.recommend_indices(histories[user], 10)


def _repeats(size: int) -> int:
    return max(2_000_000 // size, 30)


def _times(call: Callable[[int], Any], repeats: int) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds, of the quietest round."""
    rounds = []
    for _ in range(_ROUNDS):
        taken = []
        for user in range(repeats):
            start = time.perf_counter()
            call(user % _USERS)
            taken.append((time.perf_counter() - start) * 1e3)
        rounds.append(np.percentile(taken, [50, 99]))
    p50, p99 = np.min(rounds, axis=0)
    return float(p50), float(p99)


def _world(size: int, history: int = _HISTORY) -> tuple[Split, Floats]:
    """A log of users who stay with a few groups of items, and the vectors of the items."""
    random = np.random.default_rng(0)
    groups = size // _GROUP
    spread = (np.arange(1, _DIM + 1) ** -0.5).astype(np.float32)
    centres = random.normal(size=(groups, _DIM)).astype(np.float32)
    group = random.permutation(np.arange(size) % groups)
    vectors = (centres[group] + 0.6 * random.normal(size=(size, _DIM)).astype(np.float32)) * spread
    members = np.argsort(group, kind="stable").reshape(groups, _GROUP)
    own = random.integers(0, groups, (_USERS, _GROUPS_OF_A_USER))
    picked = np.take_along_axis(own, random.integers(0, _GROUPS_OF_A_USER, (_USERS, history)), axis=1)
    log = Sequences.from_lists(members[picked, random.integers(0, _GROUP, (_USERS, history))].tolist())
    ids = [str(item) for item in range(size)]
    dataset = Dataset([str(user) for user in range(_USERS)], Catalogue(ids), log)
    empty: Any = None
    return Split(dataset, log, empty, empty, "all"), vectors


def _fism(split: Split, vectors: Floats) -> Any:
    """A model whose items are reached from, and lead to, items of the same vector."""
    import torch

    from recdistill.models.fism import FISM

    model: Any = FISM(dim=_DIM).build(split)
    with torch.no_grad():
        model.items.copy_(torch.from_numpy(vectors))
        model.seen.copy_(torch.from_numpy(vectors))
    return model.eval()


if __name__ == "__main__":
    main()
