"""All that a student is taught from: stores of any kinds, by any teachers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import KnowledgeError, nearest
from .embeddings import EmbeddingsStore
from .manifest import MANIFEST, parse_manifest
from .preferences import PreferencesStore
from .rankings_store import RankingsStore
from .scores import ScoresStore
from .texts import TextsStore
from .weights import WeightsStore

__all__ = ["Knowledge", "Store"]

if TYPE_CHECKING:
    from typing import TypeAlias

Store: TypeAlias = "RankingsStore | EmbeddingsStore | PreferencesStore | ScoresStore | TextsStore | WeightsStore"
_STORES: dict[str, Any] = {
    store.kind: store
    for store in (RankingsStore, EmbeddingsStore, PreferencesStore, ScoresStore, TextsStore, WeightsStore)
}

AnyStore = TypeVar("AnyStore", RankingsStore, EmbeddingsStore, PreferencesStore, ScoresStore, TextsStore, WeightsStore)


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Some stores; ``+`` joins two collections.

    Attributes:
        stores: In the order in which they were taught.
    """

    stores: tuple[Store, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "stores", tuple(self.stores))

    @classmethod
    def open(cls, directory: str | Path, verify: bool = True) -> Knowledge:
        """Every sealed store in or below a directory, in the order of their paths.

        Raises:
            KnowledgeError: There is none, or one is broken.
        """
        found = sorted(Path(directory).rglob(MANIFEST))
        stores = [_STORES[parse_manifest(file).kind].open(file.parent, verify=verify) for file in found]
        if not stores:
            raise KnowledgeError("no sealed knowledge store is here or below", where=directory, hint="teach first")
        return cls(tuple(stores))

    def __add__(self, other: Knowledge) -> Knowledge:
        return Knowledge(self.stores + other.stores)

    def __len__(self) -> int:
        return len(self.stores)

    def __repr__(self) -> str:
        return f"<Knowledge: {', '.join(map(_described, self.stores)) or 'none'}>"

    def kinds(self) -> tuple[str, ...]:
        """Kinds that are there, sorted."""
        return tuple(sorted({store.kind for store in self.stores}))

    def rankings(self, teacher: str | None = None) -> tuple[RankingsStore, ...]:
        """Rankings by one teacher, or by all.

        Raises:
            KnowledgeError: There are none; what there is is named. The same holds for the other kinds.
        """
        return self._of(RankingsStore, teacher)

    def embeddings(self, teacher: str | None = None, keyed_by: str = "item") -> tuple[EmbeddingsStore, ...]:
        """Embeddings by one teacher, or by all, of items or of users."""
        stores = [s for s in self.stores if isinstance(s, EmbeddingsStore) and s.manifest.keyed_by == keyed_by]
        return _named(stores, teacher, f"embeddings of {keyed_by}s", self.stores)

    def preferences(self, teacher: str | None = None) -> tuple[PreferencesStore, ...]:
        """Preferences by one teacher, or by all."""
        return self._of(PreferencesStore, teacher)

    def scores(self, teacher: str | None = None) -> tuple[ScoresStore, ...]:
        """Scores by one teacher, or by all."""
        return self._of(ScoresStore, teacher)

    def texts(self, teacher: str | None = None) -> tuple[TextsStore, ...]:
        """Texts by one teacher, or by all."""
        return self._of(TextsStore, teacher)

    def weights(self, teacher: str | None = None) -> tuple[WeightsStore, ...]:
        """Weights of one teacher, or of all."""
        return self._of(WeightsStore, teacher)

    def digest(self) -> str:
        """Hash over all manifests in order: 16 hex digits."""
        digest = hashlib.sha256()
        for store in self.stores:
            digest.update(store.manifest.model_dump_json().encode())
        return digest.hexdigest()[:16]

    def _of(self, kind: type[AnyStore], teacher: str | None) -> tuple[AnyStore, ...]:
        return _named([s for s in self.stores if isinstance(s, kind)], teacher, kind.kind, self.stores)


def _named(
    stores: list[AnyStore], teacher: str | None, what: str, everything: tuple[Store, ...]
) -> tuple[AnyStore, ...]:
    """Those by one teacher, or all; ``what`` and ``everything`` are for the message if there are none."""
    named = tuple(store for store in stores if teacher in (None, store.manifest.teacher))
    if named:
        return named
    if not stores:
        there = ", ".join(map(_described, everything))
        raise KnowledgeError(f"no teacher left {what}", hint=f"there are: {there or 'no stores at all'}")
    close = nearest(teacher or "", {s.manifest.teacher for s in stores})
    raise KnowledgeError(f"no {what} by a teacher called {teacher!r}", hint=close)


def _described(store: Store) -> str:
    of = f" of {store.manifest.keyed_by}s" if isinstance(store, EmbeddingsStore) else ""
    return f"{store.kind}{of} by {store.manifest.teacher!r}"
