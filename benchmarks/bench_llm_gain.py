"""What a language model adds over ids alone: ``make bench-llm-gain [PART=embeddings] [DATA=movies] [BENCH=…]``.

Each part measures one way of using it, on one or several data sets; with ``PART`` only that one is measured, and what
was measured of the others before is kept. The last line is JSON, with an object for each part and data set.

- ``embeddings``: its hidden states of title and genres, as a hint on the student's item vectors, or inside them.
- ``rankings``: it ranks, as it comes, five candidates of item-kNN by the likelihood of their titles; the student
  learns its answers as soft labels beside the log.
- ``fine-tuned``: its first blocks are fine-tuned as the recommender (``llm-recommender``), and the student learns from
  its rankings. Beside it stands the same network with random weights in place of those of the language model.

For these three see ``quality/words.py``; ``DATA`` is ``movies``, ``games``, or both, joined by a comma.

- ``active``: 500 lists that are chosen, against 500 at random and against the 500 that ALKDRec published, out of
  GPT-4's stored rankings for its sessions: see ``quality/active.py``. It needs the published benchmarks. With ``BENCH``
  ``movies`` or ``games``: chosen answers of the real language model against random ones, by
  ``quality/active_words.py``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recdistill.files import read_json

Line = dict[str, Any]
RESULTS = Path(__file__).parent / "results" / "llm-gain.json"


def embeddings(options: argparse.Namespace) -> Line:
    """The language model is read."""
    from quality import words

    return {name: words.embeddings(name) for name in options.data.split(",")}


def rankings(options: argparse.Namespace) -> Line:
    """The language model is asked."""
    from quality import words

    return {name: words.rankings(name) for name in options.data.split(",")}


def fine_tuned(options: argparse.Namespace) -> Line:
    """The language model is trained."""
    from quality import words

    return {name: words.fine_tuned(name) for name in options.data.split(",")}


def active(options: argparse.Namespace) -> Line:
    """What it is asked about is chosen."""
    from quality import active, active_words
    from quality.plans import PLANS

    return {
        name: active.measure(name, options.seeds) if name in PLANS else active_words.measure(name)
        for name in options.bench.split(",")
    }


PARTS: dict[str, Callable[[argparse.Namespace], Line]] = {
    "embeddings": embeddings,
    "rankings": rankings,
    "fine-tuned": fine_tuned,
    "active": active,
}
"""Name of a part to what measures it."""
TARGETS = {
    "embeddings": "its vectors help the student to find cold items, more often than chance does",
    "rankings": "the student ranks better for its answers, and better than for its candidates alone",
    "fine-tuned": "its weights are better than random ones, and the student of it than the student alone",
    "active": "chosen lists teach more than those that were published, or than random ones, at equal budget",
}
"""The same to what it should show."""


def main() -> None:
    """Measure what is wanted; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default=os.environ.get("PART", ""), choices=["", *PARTS], help="all if empty")
    parser.add_argument("--data", default=os.environ.get("DATA", "movies"), help="of all but active")
    parser.add_argument("--bench", default=os.environ.get("BENCH", "alkdrec-ml"), help="of active")
    parser.add_argument("--seeds", type=int, default=int(os.environ.get("SEEDS", "3")), help="of active")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    known = read_json(RESULTS) if RESULTS.exists() else {}
    parts = {name: known[name] for name in PARTS if name in known}
    for name in [options.part] if options.part else PARTS:
        parts[name] = parts.get(name, {}) | PARTS[name](options)
        print(name, json.dumps(parts[name]), flush=True)
    line = {
        "bench": "llm-gain",
        "target": "; ".join(f"{name}: {TARGETS[name]}" for name in parts),
        "measured": "; ".join(
            f"{name} ({data}): {'yes' if one['reached'] else 'no'}"
            for name, part in parts.items()
            for data, one in part.items()
        ),
        "ok": all(one["reached"] for part in parts.values() for one in part.values()),
        **parts,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
