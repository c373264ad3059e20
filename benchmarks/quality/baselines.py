"""The bar: models of closed form, tuned on validation, scored by the referee.

``PYTHONPATH=benchmarks python -m quality.baselines NAME [MODEL ...] [--ordered]`` prints one JSON line per model. What
was found is kept in ``.cache/bench-quality``, so a second run only reads it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recdistill.errors import ConfigError, nearest
from recdistill.evaluation import metric_values, rank
from recdistill.files import read_json, write_json
from recdistill.models import ModelConfig, RankingModel

from .predictions import judge, metrics, ranked
from .search import SEARCHES, Search, fitter
from .splits import NAMES, BenchmarkSplit, load

__all__ = ["Tuned", "bar", "cache_directory", "tuned"]

_CONTEXTS = 5000
"""Validation contexts that judge a candidate at most, spread evenly; the winner is measured on all."""


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """The best of a search.

    Attributes:
        config: The parameters chosen.
        valid: Metrics over all validation contexts, as the referee takes them.
        seconds: Time that the search took.
        build: Fits the model again.
    """

    config: ModelConfig
    valid: dict[str, float]
    seconds: float
    build: Callable[[], RankingModel]


def cache_directory(split: BenchmarkSplit) -> Path:
    """Where results about a benchmark are kept; with and without an order of events are different benchmarks."""
    return Path(".cache/bench-quality") / (split.name + "-ordered" * split.method.endswith("-ordered"))


def tuned(split: BenchmarkSplit, name: str) -> Tuned:
    """Choose a baseline's parameters on validation; kept until the split or the search changes.

    Raises:
        ConfigError: There is no such baseline.
    """
    search = _search(split, name)
    path = cache_directory(split) / name / "tuned.json"
    of = [split.fingerprint, search.digest()]
    known = read_json(path) if path.exists() else {}
    if known.get("of") != of:
        start = time.monotonic()
        config, valid = _best(split, search)
        seconds = round(time.monotonic() - start, 1)
        known = {"of": of, "config": config.model_dump(mode="json"), "valid": valid, "seconds": seconds}
        write_json(path, known)
    config = type(search.start)(**known["config"])
    return Tuned(config, known["valid"], known["seconds"], lambda: fitter(split)(config))


def bar(split: BenchmarkSplit, name: str) -> dict[str, Any]:
    """What the referee says on test about a tuned baseline, with its parameters and its validation metrics."""
    found = tuned(split, name)
    directory = cache_directory(split) / name
    path, of = directory / "test.json", [split.fingerprint, found.config.digest()]
    known = read_json(path) if path.exists() else {}
    if known.get("of") != of:
        line = judge(found.build(), split, "test", directory / "predictions.tsv.gz")
        known = {"of": of, "test": line}
        write_json(path, known)
    described = {"model": found.config.name, "config": found.config.model_dump(mode="json")}
    return described | {"seconds": found.seconds, "valid": found.valid, "test": known["test"]}


def _search(split: BenchmarkSplit, name: str) -> Search:
    searches = SEARCHES["sequences" if split.sequential else "sets"]
    if name not in searches:
        raise ConfigError(f"{split.name} has no baseline called {name!r}", hint=nearest(name, searches))
    return searches[name](split)


def _best(split: BenchmarkSplit, search: Search) -> tuple[ModelConfig, dict[str, float]]:
    """One parameter after another; of equals, the value that was looked at first."""
    fit = fitter(split)
    rows = np.arange(0, len(split.valid), -(-len(split.valid) // _CONTEXTS) or 1)
    asked, depth = split.valid.take(rows), int(split.select.partition("@")[2])

    def quality(config: ModelConfig) -> float:
        return float(np.nansum(metric_values(rank(fit(config), asked, depth), asked.targets, split.select)))

    best = search.start
    scores = {best: quality(best)}
    for _ in range(search.rounds):
        for name, values in search.grid.items():
            for config in [best.replace(**{name: value}) for value in values]:
                if config not in scores:
                    scores[config] = quality(config)
                    best = config if scores[config] > scores[best] else best
    return best, metrics(ranked(fit(best), split, "valid"), split, "valid")


def main() -> None:
    """Print the bar of a benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--ordered", action="store_true", help="citeulike with its items in the order of their ids")
    args = parser.parse_args()
    split = load(args.name, ordered=args.ordered)
    for model in args.models or SEARCHES["sequences" if split.sequential else "sets"]:
        print(json.dumps({"benchmark": args.name, "ordered": args.ordered, **bar(split, model)}), flush=True)


if __name__ == "__main__":
    main()
