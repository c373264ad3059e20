"""The first items of a recommender."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from ....config import Config
from ....data.dataset import Contexts, Split
from ....data.sequences import Sequences
from ....errors import ConfigError
from ....knowledge import Knowledge
from ....models import MODELS, ModelConfig, RankingModel, load_model
from ....registry import component_field
from .base import Candidates, CandidatesConfig, Ints, Items, blocks

__all__ = ["Ranked", "RecommenderCandidates"]

if TYPE_CHECKING:
    Model = ModelConfig
else:
    Model = component_field(MODELS)

_NUMBERS = 1 << 22
"""Scores held at once."""


class RecommenderCandidates(CandidatesConfig):
    """What a model would recommend: a student that was saved, or a model of closed form that is fitted at once.

    A model that is trained, such as a student, is either saved before (``path``) or a teacher of its own, whose stored
    rankings are used (see ``teacher``).
    """

    name: ClassVar[str] = "recommender"

    model: Model | None = Field(None, description="a model of closed form; item-knn if neither this nor path is given")
    path: Path | None = Field(None, description="folder of a saved model, for example a student's")

    @model_validator(mode="after")
    def _one_of_them(self) -> RecommenderCandidates:
        if self.model is not None and self.path is not None:
            raise ConfigError("model and path exclude each other", key=("path",))
        if isinstance(self.model, Config) and getattr(self.model, "trained", False):
            hint = "make it a teacher of its own, and use candidates: {type: teacher}"
            raise ConfigError(f"{self.model.name} is trained, not fitted at once", key=("model",), hint=hint)
        return self

    def prepare(self, split: Split, knowledge: Knowledge) -> Candidates:
        if self.path is not None:
            model = load_model(self.path)
            if model.n_items != split.n_items:
                what = f"ranks {model.n_items} items, the data have {split.n_items}"
                raise ConfigError(what, where=self.path, hint="name a model that was fitted to these data")
            return Ranked(model, self.n)
        config = self.model or MODELS["item-knn"].load()()
        return Ranked(config.build(split, knowledge), self.n)

    def prepare_without(self, split: Split, left_out: npt.NDArray[np.bool_], knowledge: Knowledge) -> Candidates:
        if self.path is not None:
            what = "was fitted to the events that are asked about, and has their labels among its first items"
            hint = "use at: ends, or candidates: {type: recommender} with a model in place of the path"
            raise ConfigError(what, where=self.path, hint=hint)
        return super().prepare_without(split, left_out, knowledge)


class Ranked(Candidates):
    """The first items of a fitted model that the history does not hold.

    Args:
        model: Any.
        n: Items for each context.
    """

    def __init__(self, model: RankingModel, n: int) -> None:
        self.model, self.n = model, n

    def draw(self, contexts: Contexts, positions: Ints, seed: int) -> Items:
        out = np.full((len(contexts), self.n), -1, dtype=np.int32)
        kept = min(self.n, self.model.n_items)
        for part in blocks(len(contexts), max(1, _NUMBERS // self.model.n_items)):
            some = contexts.take(np.arange(part.start, part.stop))
            scores = np.array(self.model.score(some), dtype=np.float32)
            _hide(scores, some.history)
            first = np.argpartition(-scores, kept - 1, axis=1)[:, :kept]
            first.sort(axis=1)  # equal scores by index
            values = np.take_along_axis(scores, first, axis=1)
            order = np.argsort(-values, axis=1, kind="stable")
            first, values = np.take_along_axis(first, order, axis=1), np.take_along_axis(values, order, axis=1)
            out[part, :kept] = np.where(np.isneginf(values), -1, first)
        return out


def _hide(scores: np.ndarray[tuple[int, ...], np.dtype[np.float32]], history: Sequences) -> None:
    scores[history.row_of_event(), history.items] = -np.inf
