"""The choice that ``objectives: auto`` stands for: candidates are trained side by side, the better half goes on."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..data.dataset import Split
from ..errors import ConfigError
from ..knowledge import Knowledge
from ..models.base import ModelConfig
from ..objectives import OBJECTIVES
from ..objectives.auto import TASK, Auto
from ..objectives.base import ObjectiveConfig
from .config import Training
from .side_task import SideTask

__all__ = ["Choice", "Trial", "choose", "objectives_of"]


@dataclass(frozen=True, slots=True)
class Trial:
    """How far a candidate came.

    Attributes:
        name: Of the candidate.
        score: Best value of the metric on validation.
        epochs: Epochs trained.
        seconds: Time spent.
        rounds: Rounds it took part in.
    """

    name: str
    score: float = -math.inf
    epochs: int = 0
    seconds: float = 0.0
    rounds: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen.

    Attributes:
        name: Of the candidate.
        objectives: Its terms.
        metric: By which it was chosen, on validation.
        trials: All candidates, best first.
        directory: Where its training can be gone on with, or None.
    """

    name: str
    objectives: Sequence[ObjectiveConfig]
    metric: str
    trials: tuple[Trial, ...]
    directory: Path | None = None

    def record(self) -> dict[str, Any]:
        """As JSON: ``name``, ``metric``, ``objectives`` with their parameters, ``trials``."""
        terms = [{"type": term.name, **term.model_dump(mode="json")} for term in self.objectives]
        trials = [{field: getattr(t, field) for field in Trial.__dataclass_fields__} for t in self.trials]
        return {"name": self.name, "metric": self.metric, "objectives": terms, "trials": trials}


def objectives_of(record: Mapping[str, Any]) -> list[ObjectiveConfig]:
    """The terms of a :meth:`Choice.record`."""
    terms = [dict(term) for term in record["objectives"]]
    return [OBJECTIVES[term.pop("type")].load()(**term) for term in terms]


def choose(
    auto: Auto,
    config: ModelConfig,
    split: Split,
    *,
    knowledge: Knowledge,
    training: Training,
    tasks: Mapping[str, SideTask] = MappingProxyType({}),
    directory: Path | None = None,
    label: str = "choose",
) -> Choice:
    """Train the candidates of :class:`~recdistill.objectives.auto.Auto` in rounds, and take the best on validation.

    Args:
        auto: Candidates and budget.
        config: The student.
        split: The data; only training and validation are looked at.
        knowledge: What the teachers said.
        training: Parameters of the loop, the same for all.
        tasks: Further tasks, which all candidates learn beside.
        directory: Holds a training for each candidate, which an interrupted call goes on with.
        label: Name in the progress lines.

    Raises:
        ConfigError: There is nothing on validation to choose by.
        KnowledgeError: No such teacher left rankings.
    """
    if not split.valid.targets.n_events:
        hint = "hold events out for validation, or name the terms"
        raise ConfigError("auto chooses on validation, and the split has none", key=("objectives",), hint=hint)
    from .loop import fit  # which asks here

    candidates = auto.candidates(_of_its_task(knowledge, split) if tasks else knowledge)
    trials = {name: Trial(name) for name in candidates}
    rounds = max(math.ceil(math.log2(len(candidates))), 1)
    alive, minutes = list(candidates), 0.0
    with _place(directory) as place:
        for number in range(1, rounds + 1):
            minutes += auto.minutes / rounds / len(alive)
            limited = training.replace(max_minutes=min(minutes, training.max_minutes or math.inf))
            for name in alive:
                fitted = fit(
                    config, split, candidates[name], knowledge=knowledge, training=limited, tasks=tasks,
                    directory=place / _folder(candidates, name), label=f"{label}, try {name}",
                )  # fmt: skip
                scores = [record["valid"][training.metric] for record in fitted.history if "valid" in record]
                best = max(scores, default=-math.inf)
                trials[name] = Trial(name, best, len(fitted.history), round(fitted.seconds, 2), number)
            if number < rounds:
                alive = _better_half(alive, trials)
    ordered = sorted(trials.values(), key=lambda trial: -trial.score)
    winner = max(alive, key=lambda name: trials[name].score)
    ordered.sort(key=lambda trial: trial.name != winner)
    kept = None if directory is None else directory / _folder(candidates, winner)
    return Choice(winner, candidates[winner], training.metric, tuple(ordered), kept)


def _of_its_task(knowledge: Knowledge, split: Split) -> Knowledge:
    """Without the rankings that were made for further tasks."""
    stores = knowledge.stores
    return Knowledge(
        tuple(s for s in stores if s.kind != "rankings" or s.manifest.dataset_fingerprint == split.fingerprint)
    )


def _better_half(alive: list[str], trials: Mapping[str, Trial]) -> list[str]:
    """The better half, and the task alone, in their order."""
    best = sorted(alive, key=lambda name: -trials[name].score)[: -(-len(alive) // 2)]
    return [name for name in alive if name in best or name == TASK]


def _folder(candidates: Mapping[str, Any], name: str) -> str:
    return f"candidate-{list(candidates).index(name) + 1}"


@contextmanager
def _place(directory: Path | None) -> Iterator[Path]:
    if directory is not None:
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="recdistill-") as place:
        yield Path(place)
