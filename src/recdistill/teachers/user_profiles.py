"""Users as an encoder sees them: embeddings of what they took."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ..data.dataset import Split
from ..data.sequences import Sequences
from ..knowledge import EmbeddingsStore, EmbeddingsWriter, Knowledge
from .encoder import embed_rest, texts_of
from .text_encoder import TextEncoder

__all__ = ["UserProfiles"]


class UserProfiles(TextEncoder):
    """An embedding of each user's newest training events, and the item embeddings of ``text-encoder`` with them.

    ``mean``: the mean of the items' embeddings, scaled to length 1, which costs nothing beyond the catalogue. ``text``:
    the texts of the items, newest first, read as one text by the encoder, which is cut to what it reads at once. What
    students reconstruct with ``embedding-hint`` and ``of: users``. A user without events has no profile.
    """

    name: ClassVar[str] = "user-profiles"
    leaves: ClassVar[frozenset[str] | None] = frozenset({"item embeddings", "user embeddings"})
    form: Literal["mean", "text"] = Field("mean", description="mean of item embeddings, or one of the joined texts")
    events: int = Field(20, ge=1, description="newest events that make the profile")

    def reads_log(self) -> bool:
        return True

    def teach(
        self, split: Split, path: str | Path, name: str | None = None, knowledge: Knowledge | None = None
    ) -> dict[str, Any]:
        facts = super().teach(split, path, name, knowledge)
        items = EmbeddingsStore.open(Path(path) / "embeddings", verify=False)
        store = self.embed_users(split, items, Path(path) / "users", name)
        return {**facts, "users": len(store)}

    def embed_users(
        self, split: Split, items: EmbeddingsStore, path: str | Path, teacher: str | None = None
    ) -> EmbeddingsStore:
        """Embed every user with training events into a store; goes on where an interrupted call stopped.

        Args:
            split: Gives users and their training events.
            items: Item embeddings by the same encoder.
            path: Directory of the store.
            teacher: Name that students know it by; the component's by default.

        Raises:
            TeacherError: The items have no text, or the model cannot be loaded.
            KnowledgeError: The directory holds something else.
        """
        newest = split.train.last(self.events)
        writer = EmbeddingsWriter(
            path, teacher=teacher or self.name, teacher_fingerprint=self.fingerprint(), rows=len(newest),
            dataset_fingerprint=split.fingerprint, dim=items.dim, keyed_by="user", prompt_hash=self.prompt_hash(),
            meaning=f"embedding of the user's newest items by {self.model}, form: {self.form}",
        )  # fmt: skip
        rest = np.flatnonzero(~writer.done & (newest.lengths > 0))
        with writer:
            if self.form == "mean" and len(rest):
                writer.add(rest, _means(newest.take(rest), items.all()))
            elif len(rest):
                embed_rest(self.open(), writer, _joined(newest, split), f"embed users with {self.model}", "users")
        return writer.seal()


def _means(histories: Sequences, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Mean of the vectors of each row's items, at length 1."""
    sums = np.add.reduceat(vectors[histories.items], histories.offsets[:-1], axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = sums / np.maximum(lengths, 1e-12)
    return unit


def _joined(histories: Sequences, split: Split) -> list[str]:
    """The texts of each row's items, newest first."""
    texts = texts_of(split.dataset.items)
    return ["; ".join(texts[item] for item in reversed(histories[row].tolist())) for row in range(len(histories))]
