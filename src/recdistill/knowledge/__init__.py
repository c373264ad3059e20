"""What teachers have said, stored: the only place where teacher and student meet.

One directory per (teacher, dataset, kind): ``manifest.json`` and memory-mapped Arrow IPC shards of fixed-size records.
Reading needs no teacher, no network and no torch.

::

    knowledge = Knowledge.open("runs/movies/knowledge")
    knowledge.rankings("sasrec")[0].read(positions)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .collection import Knowledge
    from .embeddings import EmbeddingsStore, EmbeddingsWriter
    from .manifest import Manifest, is_sealed
    from .preferences import Preferences, PreferencesStore, PreferencesWriter
    from .rankings import TAIL_BETAS, Rankings, rankings_of, rankings_of_candidates
    from .rankings_store import RankingsStore, RankingsWriter
    from .scores import Scores, ScoresStore, ScoresWriter
    from .texts import TextsStore, TextsWriter
    from .weights import WeightsStore

__all__ = [
    "TAIL_BETAS",
    "EmbeddingsStore",
    "EmbeddingsWriter",
    "Knowledge",
    "Manifest",
    "Preferences",
    "PreferencesStore",
    "PreferencesWriter",
    "Rankings",
    "RankingsStore",
    "RankingsWriter",
    "Scores",
    "ScoresStore",
    "ScoresWriter",
    "TextsStore",
    "TextsWriter",
    "WeightsStore",
    "is_sealed",
    "rankings_of",
    "rankings_of_candidates",
]

_PLACES = {
    "Knowledge": "collection",
    "EmbeddingsStore": "embeddings",
    "EmbeddingsWriter": "embeddings",
    "Manifest": "manifest",
    "is_sealed": "manifest",
    "Preferences": "preferences",
    "PreferencesStore": "preferences",
    "PreferencesWriter": "preferences",
    "TAIL_BETAS": "rankings",
    "Rankings": "rankings",
    "rankings_of": "rankings",
    "rankings_of_candidates": "rankings",
    "RankingsStore": "rankings_store",
    "RankingsWriter": "rankings_store",
    "Scores": "scores",
    "ScoresStore": "scores",
    "ScoresWriter": "scores",
    "TextsStore": "texts",
    "TextsWriter": "texts",
    "WeightsStore": "weights",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
