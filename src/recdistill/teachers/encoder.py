"""What all encoders share: texts to vectors in batches of like length, and a store of item embeddings that resumes."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, field_validator
from torch import Tensor

from ..data.dataset import Catalogue, Dataset, Split
from ..errors import KnowledgeError, TeacherError
from ..knowledge import EmbeddingsStore, EmbeddingsWriter, Knowledge, is_sealed
from ..knowledge.embeddings import VectorType
from ..pretrained import Weights, locate
from ..progress import track
from .base import TeacherConfig
from .cluster import cluster_in_use

__all__ = ["POOL", "Encoder", "LoadedEncoder", "Opened", "embed_rest", "texts_of"]

Floats = npt.NDArray[np.float32]

_CHARACTERS = 20
"""Characters of a text that are looked at for each token that is kept; no language needs nearly as many."""
POOL = 8192
"""Texts that are tokenised together and then sorted by length."""


class Opened(Protocol):
    """A model that is ready to encode."""

    config: Encoder
    dim: int

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
        """See :meth:`LoadedEncoder.batches`."""


class Encoder(TeacherConfig):
    """Parameters of a model that turns texts into vectors."""

    leaves: ClassVar[frozenset[str] | None] = frozenset({"item embeddings"})

    model: str
    revision: str | None = Field(None, description="branch, tag or commit at the hub")
    local_only: bool = Field(False, description="never ask the hub, use only what is on this machine")
    template: str = Field("{text}", description="what the model reads; {text} stands for the item's text")
    max_length: int | None = Field(None, ge=1, description="tokens read of each text; None: as many as the model wants")
    normalize: bool = Field(True, description="scale vectors to length 1")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 where the hardware multiplies it, float32 elsewhere"
    )
    device: str = Field("auto", description="auto: GPU if there is one")
    batch_tokens: int | None = Field(
        None, ge=1, description="tokens in a batch, padding included; None: 1,024 on a CPU, 32,768 elsewhere"
    )

    speed_only: ClassVar[frozenset[str]] = frozenset({"model", "revision", "local_only", "device", "batch_tokens"})
    """Parameters that do not change the vectors, or whose effect is in the identity of the weights."""

    @field_validator("template")
    @classmethod
    def _has_text(cls, template: str) -> str:
        if "{text}" not in template:
            raise ValueError("the template must contain {text}")
        return template

    def load(self) -> LoadedEncoder:
        """Load the model; costs seconds and memory.

        Raises:
            TeacherError: There is no such model, or it cannot be loaded.
            MissingExtraError: transformers or sentence-transformers are not installed.
        """
        raise TypeError(f"{type(self).__name__} is not an encoder")  # every subclass overrides this

    def open(self) -> Opened:
        """The model in memory, here or on the machines of the cluster in use.

        Raises:
            TeacherError: As :meth:`load`, or there is no such cluster.
        """
        cluster = cluster_in_use()
        if cluster is None:
            return self.load()
        from .encoder_on_cluster import EncoderOnCluster

        return EncoderOnCluster(self, cluster)

    def weights(self) -> Weights:
        """Where the weights are.

        Raises:
            TeacherError: They are not there, or altered.
        """
        return locate(self.model, getattr(self, "gguf", None), self.revision)

    def inputs(self) -> tuple[str, ...]:
        return (self.weights().identity,) if Path(self.model).is_dir() else ()

    def fingerprint(self) -> str:
        """Hash over all that decides the vectors: parameters and weights; 16 hex digits."""
        parameters = {k: v for k, v in self.model_dump(mode="json").items() if k not in self.speed_only}
        text = f"{self.name} {sorted(parameters.items())} {self.weights().identity}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of some texts: float32 ``[n, dim]``, zeros for empty texts. Loads the model each time."""
        loaded = self.load()
        out = np.zeros((len(texts), loaded.dim), dtype=np.float32)
        for rows, vectors in loaded.batches(texts):
            out[rows] = vectors
        return out

    def embed_items(
        self,
        items: Catalogue | Dataset | Split,
        path: str | Path,
        teacher: str | None = None,
        dtype: VectorType = "float16",
    ) -> EmbeddingsStore:
        """Embed the text of every item into a store; goes on where an interrupted call stopped.

        A finished store of the same teacher and catalogue is returned without loading the model.

        Args:
            items: The catalogue, or what has one.
            path: Directory of the store.
            teacher: Name that students know it by; the component's by default.
            dtype: How vectors are stored.

        Raises:
            TeacherError: The items have no text, or the model cannot be loaded.
            KnowledgeError: The directory holds something else.
        """
        catalogue = _catalogue(items)
        identity: dict[str, Any] = {
            "teacher": teacher or self.name,
            "teacher_fingerprint": self.fingerprint(),
            "dataset_fingerprint": catalogue.fingerprint,
        }
        if is_sealed(path):
            return _finished(path, identity)
        texts = texts_of(catalogue)
        loaded = self.open()
        writer = EmbeddingsWriter(
            path, rows=len(texts), dim=loaded.dim, dtype=dtype, meaning=f"embedding of the item's text by {self.model}",
            prompt_hash=self.prompt_hash(), **identity,
        )  # fmt: skip
        empty = np.array([not text.strip() for text in texts], dtype=np.bool_)
        with writer:
            embed_rest(loaded, writer, texts, f"embed items with {identity['teacher']}")
        return writer.seal(empty=int(empty.sum()))

    def teach(
        self, split: Split, path: str | Path, name: str | None = None, knowledge: Knowledge | None = None
    ) -> dict[str, Any]:
        store = self.embed_items(split, Path(path) / "embeddings", name)
        return {"items": len(store), "dim": store.dim, "empty": store.manifest.extra.get("empty", 0)}

    def prompt_hash(self) -> str | None:
        """Hash of the template, if it adds anything to the text."""
        return None if self.template == "{text}" else hashlib.sha256(self.template.encode()).hexdigest()[:16]


class LoadedEncoder(ABC):
    """A model in memory.

    Args:
        config: Its parameters.
        tokenizer: A Hugging Face tokenizer.
        max_length: Tokens read of each text.
        device: Where it runs.
    """

    dim: int

    def __init__(self, config: Encoder, tokenizer: Any, max_length: int, device: torch.device) -> None:
        self.config, self.tokenizer, self.max_length, self.device = config, tokenizer, max_length, device

    @abstractmethod
    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors of a padded batch: int64 ``[n, length]``, twice, to float ``[n, dim]``."""

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
        """Vectors of all texts, a batch at a time, texts of like length together: row numbers and float32 ``[n, dim]``.

        Empty texts get zeros. Equal texts in equal order give equal batches.
        """
        for start in range(0, len(texts), POOL):
            for rows, vectors in self.pool(texts[start : start + POOL]):
                yield start + rows, vectors

    def pool(
        self, texts: Sequence[str], part: int = 0, parts: int = 1
    ) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
        """The same for texts that are sorted by length together, of which several machines may each take a part.

        Args:
            texts: Not more than ``POOL``.
            part: Which of the batches: every ``parts``-th from this one on.
            parts: So many machines share them.
        """
        budget = self.config.batch_tokens or (1024 if self.device.type == "cpu" else 32_768)
        tokens = self.tokens(texts)
        lengths = np.array([len(ids) for ids in tokens], dtype=np.int64)
        for rows in islice(_by_length(lengths, budget), part, None, parts):
            yield rows, self._vectors([tokens[row] for row in rows])

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut to ``max_length``; none for an empty text."""
        template, limit = self.config.template, self.max_length * _CHARACTERS
        cut = [text[:limit].encode("utf-8", "replace").decode("utf-8").strip() for text in texts]
        asked = [template.replace("{text}", text) for text in cut]
        ids: list[list[int]] = self.tokenizer(
            asked, truncation=True, max_length=self.max_length, return_attention_mask=False, return_token_type_ids=False
        )["input_ids"]
        return [found if text else [] for found, text in zip(ids, cut, strict=True)]

    @torch.inference_mode()
    def _vectors(self, tokens: list[list[int]]) -> Floats:
        width = max(len(ids) for ids in tokens)
        if not width:
            return np.zeros((len(tokens), self.dim), dtype=np.float32)
        lengths = torch.tensor([len(ids) for ids in tokens])
        ids = torch.tensor([found + [0] * (width - len(found)) for found in tokens])
        mask = (torch.arange(width) < lengths[:, None]).long()
        vectors = self.forward(ids.to(self.device), mask.to(self.device)).float().cpu()
        if self.config.normalize:
            vectors = torch.nn.functional.normalize(vectors, dim=1)
        return vectors.masked_fill_((lengths == 0)[:, None], 0.0).numpy()


def _by_length(lengths: npt.NDArray[np.int64], budget: int) -> Iterator[npt.NDArray[np.int64]]:
    """Row numbers of each batch, longest texts first, so that memory is short at once or never; empty texts apart."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        rows = order[start : start + (max(budget // longest, 1) if longest else len(order))]
        rows = rows[(lengths[rows] > 0) == (longest > 0)]
        yield rows
        start += len(rows)


def embed_rest(loaded: Opened, writer: EmbeddingsWriter, texts: Sequence[str], label: str, unit: str = "items") -> None:
    """Embed those of the texts whose rows are not written yet.

    Raises:
        TeacherError: A vector is not finite.
    """
    rest = np.flatnonzero(~writer.done)
    with track(label, len(texts), unit, done=len(texts) - len(rest)) as progress:
        for rows, vectors in loaded.batches([texts[row] for row in rest.tolist()]):
            if not np.isfinite(vectors).all():
                raise TeacherError(
                    "the model gave a vector that is not finite", where=loaded.config.model, hint="use dtype='float32'"
                )
            writer.add(rest[rows], vectors)
            progress.advance(len(rows))


def _finished(path: str | Path, identity: dict[str, Any]) -> EmbeddingsStore:
    store = EmbeddingsStore.open(path, identity["dataset_fingerprint"])
    for key, wanted in identity.items():
        if getattr(store.manifest, key) != wanted:
            raise KnowledgeError(
                f"the embeddings here have {key} {getattr(store.manifest, key)!r}, wanted is {wanted!r}",
                where=path,
                hint="choose another directory, or remove this one",
            )
    return store


def _catalogue(items: Catalogue | Dataset | Split) -> Catalogue:
    if isinstance(items, Split):
        return items.dataset.items
    return items.items if isinstance(items, Dataset) else items


def texts_of(catalogue: Catalogue) -> Sequence[str]:
    """What there is to read of each item: its text, or its title.

    Raises:
        TeacherError: There is neither.
    """
    texts = catalogue.texts or catalogue.titles
    if texts is None or not any(text.strip() for text in texts):
        raise TeacherError(
            "the items have no text to embed", hint="give an item table and a template, such as text='{title}'"
        )
    return texts
