"""What every ranking model can do, whatever it is made of; no torch here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..config import Config
from ..data.dataset import Contexts, Split
from ..errors import RecdistillError
from ..files import atomic_directory, read_json, write_json

if TYPE_CHECKING:
    from ..knowledge import Knowledge

__all__ = ["ModelConfig", "RankingModel", "VectorModel", "load_model", "remade"]

Floats = npt.NDArray[np.float32]
_VERSION = 1


class ModelConfig(Config):
    """Parameters of a model. ``build`` makes the model that they describe; any model can be teacher or student."""

    trained: ClassVar[bool] = False
    """True if the model learns by gradient steps (see ``training``); False if ``build`` already fits it."""

    has_vectors: ClassVar[bool | None] = None
    """Whether ``build`` gives a :class:`VectorModel`, which leaves its vectors when it teaches; None: unknown."""

    def inputs(self) -> tuple[str, ...]:
        """Hashes of the files that it reads: another content under the same name is another model."""
        return ()

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> RankingModel:
        """Make the model for a split: fitted if it is of closed form, with initial weights if it is trained.

        Args:
            split: Gives catalogue size, users and training events.
            knowledge: Item embeddings for the models that carry them inside.
            seed: For initial weights.
        """
        raise TypeError(f"{type(self).__name__} is not a model")  # every subclass overrides this

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> RankingModel:
        """Make the model again from what :meth:`RankingModel.tensors` gave."""
        raise TypeError(f"{type(self).__name__} is not a model")


class RankingModel(ABC):
    """A fitted recommender: contexts in, a score for every item out.

    Attributes:
        config: Its parameters.
        n_items: Catalogue size.
        n_users: Users it was fitted for (0 where users have no parameters).
    """

    config: ModelConfig
    n_items: int
    n_users: int

    @abstractmethod
    def score(self, contexts: Contexts) -> Floats:
        """Scores of all items, higher is better: float32 ``[len(contexts), n_items]``. Targets are not looked at."""

    @abstractmethod
    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """All that was learned, by name."""

    @property
    def n_parameters(self) -> int:
        """Numbers stored by the model (for a sparse matrix: its non-zero values)."""
        return sum(int(value.size) for value in self.tensors().values())

    def __repr__(self) -> str:
        """What it is and how large."""
        return f"<{type(self).__name__}: {self.n_items:,} items, {self.n_parameters:,} parameters>"

    def save(self, path: str | Path) -> None:
        """Write ``model.json`` and ``weights.safetensors`` into the directory ``path``, atomically."""
        from safetensors.numpy import save_file

        with atomic_directory(path) as part:
            save_file({k: np.ascontiguousarray(v) for k, v in self.tensors().items()}, part / "weights.safetensors")
            write_json(part / "model.json", {"version": _VERSION, **self.described()})

    def described(self) -> dict[str, Any]:
        """All that :func:`remade` needs besides the tensors, JSON-like."""
        return {
            "model": self.config.name,
            "config": self.config.model_dump(mode="json"),
            "n_items": self.n_items,
            "n_users": self.n_users,
        }


class VectorModel(RankingModel):
    """A ranking model whose score is a dot product of a context vector and an item vector, plus an item bias."""

    @abstractmethod
    def encode(self, contexts: Contexts) -> Floats:
        """Context vectors: float32 ``[len(contexts), dim]``."""

    @abstractmethod
    def item_vectors(self) -> Floats:
        """float32 ``[n_items, dim]``."""

    def item_bias(self) -> Floats | None:
        """float32 ``[n_items]``, or None where scores have no bias."""
        return None

    def score(self, contexts: Contexts) -> Floats:
        scores: Floats = self.encode(contexts) @ self.item_vectors().T
        bias = self.item_bias()
        return scores if bias is None else scores + bias


def load_model(path: str | Path) -> RankingModel:
    """Read a model that :meth:`RankingModel.save` wrote.

    Raises:
        RecdistillError: Files are missing, broken, or of a newer version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    described = read_json(path / "model.json")
    if described.get("version") != _VERSION:
        raise RecdistillError(
            f"model format {described.get('version')!r}, this version reads {_VERSION}",
            where=path,
            hint="upgrade recdistill",
        )
    try:
        tensors = load_file(path / "weights.safetensors")
    except (OSError, SafetensorError) as error:
        raise RecdistillError(f"weights cannot be read ({error})", where=path, hint="train the model again") from None
    return remade(described, tensors)


def remade(described: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> RankingModel:
    """Make a model again from what :meth:`RankingModel.described` and :meth:`RankingModel.tensors` gave."""
    from . import MODELS

    config: ModelConfig = MODELS[described["model"]].load()(**described["config"])
    return config.restore(described["n_items"], described["n_users"], tensors)
