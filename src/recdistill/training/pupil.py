"""The student that says what a language model is asked next: trained alone at first, then after every round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..data.dataset import Split
from ..errors import TrainingError
from ..knowledge import Knowledge, RankingsStore
from ..models.base import ModelConfig
from ..objectives.auto import Auto
from ..objectives.base import ObjectiveConfig
from ..objectives.cross_entropy import CrossEntropy
from ..objectives.defaults import default_objectives
from ..teachers.llm.rounds import Learned
from .config import Training
from .loop import fit

__all__ = ["Pupil"]


class Pupil:
    """Learns from what was said until now.

    Args:
        model: The student.
        split: The data; its validation part measures each round.
        knowledge: Of other teachers.
        objectives: Loss terms once something was said; the defaults for what there is if None or left to ``auto``,
            which would try all of its candidates in every round.
        training: How it is trained then.
        alone: The student without the language model: model, terms and training; the same model by the task if None.

    Raises:
        TrainingError: There is nothing to measure a round by.
    """

    def __init__(
        self, model: ModelConfig, split: Split, knowledge: Knowledge,
        objectives: Sequence[ObjectiveConfig] | None = None, training: Training | None = None,
        alone: tuple[ModelConfig, Sequence[ObjectiveConfig], Training] | None = None,
    ) -> None:  # fmt: skip
        if not split.valid.targets.n_events:
            hint = "hold some events out for validation, or remove select"
            raise TrainingError("rounds are measured on validation, of which there is none", hint=hint)
        self.split, self.knowledge = split, knowledge
        self.training = training or Training()
        self.metric = self.training.metric
        self._taught = (model, objectives)
        self._alone = alone or (model, [CrossEntropy()], self.training)

    def __call__(self, said: RankingsStore | None, directory: Path, label: str) -> Learned:
        """See :class:`~recdistill.teachers.llm.rounds.Learn`."""
        if said is None:
            model, objectives, training = self._alone
            training = training.replace(metric=self.metric)
            fitted = fit(
                model, self.split, objectives, knowledge=self.knowledge, training=training, directory=directory,
                label=label,
            )  # fmt: skip
        else:
            known = self.knowledge + Knowledge((said,))
            fitted = fit(
                self._taught[0], self.split, self._terms(known), knowledge=known, training=self.training,
                directory=directory, label=label,
            )  # fmt: skip
        if not fitted.history:
            raise TrainingError(f"{self._taught[0].name} is not trained by steps, so it cannot learn in rounds")
        scores = [record["valid"][self.metric] for record in fitted.history if "valid" in record]
        return Learned(fitted.model, max(scores))

    def _terms(self, known: Knowledge) -> Sequence[ObjectiveConfig]:
        objectives = self._taught[1]
        if objectives is None or any(isinstance(term, Auto) for term in objectives):
            return default_objectives(known)
        return objectives
