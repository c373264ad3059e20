"""What goes through a chain of compression steps: a model and how its numbers are stored."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..data.dataset import Contexts, Split
from ..errors import ConfigError
from ..files import read_json, write_json
from ..knowledge import Knowledge
from ..models.base import RankingModel, load_model
from ..models.neural import NeuralModel
from ..objectives.base import ObjectiveConfig
from ..training import Training, fit
from .fake import as_stored
from .linear import contexts_of
from .storage import Storage

__all__ = ["Candidate", "Workshop"]

_SAMPLE = 512


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model on its way through the chain.

    Attributes:
        model: Fitted.
        storage: How its bundle stores its numbers.
        sparse: Whether single numbers were pruned, which then stay zero.
    """

    model: RankingModel
    storage: Storage
    sparse: bool = False

    def network(self) -> Any:
        """A copy of the model that may be changed.

        Raises:
            ConfigError: It has nothing that is trained.
        """
        if not isinstance(self.model, NeuralModel):
            what = f"{self.model.config.name} is of closed form, it has no network to change"
            raise ConfigError(what, hint="int8, int4, float16 and prune-neighbours are for such models")
        return copy.deepcopy(self.model).eval()

    def stored(self, **changes: Any) -> Candidate:
        """The same with another storage."""
        return replace(self, storage=self.storage.replace(**changes))

    def save(self, directory: Path) -> None:
        """Write ``model`` and ``candidate.json``."""
        self.model.save(directory / "model")
        write_json(
            directory / "candidate.json", {"storage": self.storage.model_dump(mode="json"), "sparse": self.sparse}
        )

    @classmethod
    def load(cls, directory: Path) -> Candidate:
        """Read what :meth:`save` wrote."""
        described = read_json(directory / "candidate.json")
        return cls(load_model(directory / "model"), Storage(**described["storage"]), described["sparse"])


@dataclass(frozen=True, eq=False)
class Workshop:
    """What the steps of a chain work with.

    Attributes:
        split: Histories to learn from and to look at; the test part is not touched.
        knowledge: What teachers said, for recovery training.
        objectives: Its loss terms.
        training: Parameters of its loop; steps say how many epochs and at which rate.
        directory: Of the present step; a training that was interrupted goes on there.
        label: Of the present step.
    """

    split: Split
    knowledge: Knowledge
    objectives: tuple[ObjectiveConfig, ...]
    training: Training
    directory: Path | None = None
    label: str = "recover"

    @cached_property
    def sample(self) -> Contexts:
        """Some training histories, spread evenly over the users."""
        rows = np.flatnonzero(self.split.train.lengths)
        rows = rows[np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(np.int64)]
        return replace(contexts_of(self.split.train.take(rows)), users=rows.astype(np.int32))

    def recover(self, candidate: Candidate, epochs: int, lr: float) -> Candidate:
        """Train a network further with its numbers as they will be stored, from the teachers' knowledge.

        The best epoch on validation counts; where none is better than the start, it stays as it was.

        Args:
            candidate: Stays as it is.
            epochs: 0 for no training.
            lr: Learning rate at the start; it falls to 0.
        """
        if not epochs or not isinstance(candidate.model, NeuralModel):
            return candidate
        model = candidate.network()
        training = self.training.replace(epochs=epochs, lr=lr, lr_decay="cosine", patience=epochs)
        with as_stored(model, candidate.storage, candidate.sparse):
            fit(
                model.config, self.split, self.objectives, knowledge=self.knowledge, training=training,
                directory=self.directory and self.directory / "fit", label=self.label, start=model,
            )  # fmt: skip
        return replace(candidate, model=model.eval())
