"""The frame all objectives fit into: what they are given, what they return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ..config import Config
from ..data.dataset import Split
from ..errors import ConfigError, KnowledgeError
from ..knowledge import EmbeddingsStore, Knowledge, RankingsStore, WeightsStore
from ..models.neural import Batch, NeuralModel
from .schedule import Schedule, Weight

__all__ = [
    "FeatureObjective",
    "Features",
    "Moment",
    "Objective",
    "ObjectiveConfig",
    "ScoreObjective",
    "Scores",
    "Targets",
    "TeacherRankings",
]


class Scores(Protocol):
    """A student's scores at ``n`` positions, without ever holding all positions at once.

    Objectives ask for the few numbers they need. The catalogue-wide matrix behind them lives in bounded chunks, is
    differentiated by hand and shared by all objectives (see ``training/head.py``), so a further objective costs little.
    """

    exact: bool
    """Whether the softmax is over the whole catalogue, not estimated from a sample."""

    @property
    def n_items(self) -> int:
        """Catalogue size."""

    @property
    def states(self) -> Tensor:
        """The student's vectors of the contexts at present: float ``[n, dim]``. No gradient passes."""

    def of(self, items: Tensor) -> Tensor:
        """Scores of some items: int64 ``[n, k]`` to float ``[n, k]``."""

    def logsumexp(self, temperature: float = 1.0, without: Tensor | None = None) -> Tensor:
        """log Σ exp(score / temperature) over the catalogue: float ``[n]``; estimated where the softmax is sampled.

        Args:
            temperature: T.
            without: int64 ``[n, k]``, items that are left out, -1 for none. What remains counts as a millionth of the
                whole at least, so that its logarithm stays finite.
        """

    def top(self, k: int, without: Tensor | None = None) -> Tensor:
        """The student's own best items at present: int64 ``[n, k]``, best first, -1 where there are fewer.

        No gradient passes. Where the softmax is sampled, the best of the sample and the labels.

        Args:
            k: How many.
            without: int64 ``[n, m]``, items that are left out, -1 for none.
        """

    def ranks(self, items: Tensor, without: Tensor | None = None) -> Tensor:
        """How many items the student scores above each of some at present: int64 ``[n, k]``, 0 for its best.

        No gradient passes; equal scores share the better rank. Estimated where the softmax is sampled.

        Args:
            items: int64 ``[n, k]``.
            without: int64 ``[n, m]``, items that do not count, -1 for none, none of them twice.
        """


@dataclass(frozen=True, slots=True)
class TeacherRankings:
    """Stored rankings at ``n`` positions (see :class:`recdistill.knowledge.Rankings`).

    Attributes:
        items: int64 ``[n, k]``; places without an item hold 0 and a ``logp`` of -inf.
        logp: float ``[n, k]``, log-probabilities at temperature 1, descending.
        tails: Temperature to float ``[n]``: log Σ exp(logp / T) over the items that are not listed. T = 1 is always
            there, others where an objective wants them.
        confidence: float ``[n]`` in [0, 1]; 0 where the teacher did not answer.
        derived: What was computed from the above for all positions at once, ``[n, ..]`` each, by any hashable name.
    """

    items: Tensor
    logp: Tensor
    tails: Mapping[float, Tensor]
    confidence: Tensor
    derived: dict[Hashable, tuple[Tensor, ...]] = field(default_factory=dict)

    def rows(self, part: slice) -> TeacherRankings:
        """Some of the positions."""
        tails = {temperature: tail[part] for temperature, tail in self.tails.items()}
        derived = {name: tuple(value[part] for value in values) for name, values in self.derived.items()}
        return TeacherRankings(self.items[part], self.logp[part], tails, self.confidence[part], derived)

    def to(self, device: torch.device) -> TeacherRankings:
        """The same on another device."""
        tails = {temperature: tail.to(device) for temperature, tail in self.tails.items()}
        return TeacherRankings(self.items.to(device), self.logp.to(device), tails, self.confidence.to(device))


@dataclass(frozen=True, slots=True)
class Targets:
    """What the scores at ``n`` positions are compared with.

    A position may have one label (the item that followed a history), several (the items of a user) or none, where only
    knowledge is there to learn from.

    Attributes:
        labels: int64 ``[n, m]``, items that are right here, -1 for none.
        weights: float ``[n, m]``, weight of each as an event; 0 where there is no label.
        rankings: Teacher name to its stored rankings.
        positions: int64 ``[n]``, which training positions these are (see :class:`recdistill.data.dataset.Split`); None
            where nobody knows.
        history: int64 ``[n, h]``, items that nobody should recommend here, beside the labels, -1 for none; None where
            the labels are all that was seen, or where what was seen may be recommended.
    """

    labels: Tensor
    weights: Tensor
    rankings: Mapping[str, TeacherRankings]
    positions: Tensor | None = None
    history: Tensor | None = None

    def rows(self, part: slice) -> Targets:
        """Some of the positions."""
        rankings = {name: known.rows(part) for name, known in self.rankings.items()}
        positions, history = (None if one is None else one[part] for one in (self.positions, self.history))
        return Targets(self.labels[part], self.weights[part], rankings, positions, history)


def _unknown(_: str) -> float:
    """The lead of a teacher as long as nobody was evaluated."""
    return 1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """How far training has come when an epoch begins. What changes with time follows from it and from nothing else, so
    that a resumed training goes on alike.

    Attributes:
        epoch: The one that begins, from 1.
        history: Records of the epochs before it (see :class:`recdistill.training.Fitted`).
        lead: Teacher name to how far its stored rankings are ahead of the student on validation, as a share of the
            teacher's own score: 0.1 where the student reaches 90 % of it, below 0 where the student is better; 1 as
            long as the student has not been evaluated.
    """

    epoch: int
    history: Sequence[Mapping[str, Any]] = ()
    lead: Callable[[str], float] = _unknown


class ObjectiveConfig(Config):
    """Parameters of a loss term."""

    weight: Weight = Field(Schedule(), description="a number, or a schedule over the epochs")

    @property
    def is_taught(self) -> bool:
        """Whether it learns from what a teacher said: a parameter names which, ``teacher`` or ``teachers``."""
        return bool({"teacher", "teachers"} & type(self).model_fields.keys())

    @property
    def named_teachers(self) -> tuple[str, ...]:
        """The teachers that its parameters name; none where it takes those that it finds."""
        one, several = getattr(self, "teacher", None), getattr(self, "teachers", ())
        return tuple(several) if one is None else (one, *several)

    @property
    def reads(self) -> tuple[str, ...]:
        """What its teacher must have left, one of these: ``rankings``, ``weights``, ``item embeddings``, ``user
        embeddings``. Empty for a term that reads nothing, or does not say.
        """
        return ()

    def build(self) -> Objective:
        """Make the loss term."""
        raise TypeError(f"{type(self).__name__} is not an objective")  # every subclass overrides this


class Objective(nn.Module, ABC):
    """One loss term.

    Args:
        config: Its parameters.
    """

    teachers: tuple[str, ...] = ()
    """Teachers whose stored rankings it reads at every position, once :meth:`prepare` has found them."""
    at_ends: bool = False
    """Whether it compares something at the ends of rows, so that these must be among the contexts."""

    term: str = ""
    """Its name among the terms of a training, under which the epochs' records have it."""

    def __init__(self, config: ObjectiveConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def weight(self) -> Schedule:
        """Its weight over time."""
        return self.config.weight

    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        """Look at student, data and knowledge once, before the first step; may add parameters that are trained along.

        Raises:
            KnowledgeError: Something it needs was not taught.
        """

    @property
    def temperatures(self) -> tuple[float, ...]:
        """Temperatures at which it wants the tail of the stored rankings in this epoch, beside 1."""
        return ()

    def begin(self, moment: Moment) -> float:
        """Get ready for an epoch.

        Returns:
            The weight of the term in it.
        """
        return self.weight.at(moment.epoch - 1)

    def end(self) -> dict[str, Any]:
        """What it has to say about the epoch that is over, JSON-like: kept in the epoch's record under ``trust``."""
        return {}


class ScoreObjective(Objective):
    """A term that compares scores at positions with labels or stored rankings."""

    dense: bool = True
    """False if it asks for nothing but ``of``: then the catalogue-wide scores are not computed for it."""

    def look_ahead(self, targets: Targets) -> None:
        """Derive at once, from the targets of a whole step, what :meth:`loss` needs at each part of its positions.

        What is kept in :attr:`TeacherRankings.derived` comes along when the positions are divided.
        """

    @abstractmethod
    def loss(self, scores: Scores, targets: Targets) -> Tensor:
        """Loss at each position, weighted by event or confidence: float ``[n]``."""

    def asked(self, targets: Targets) -> int:
        """Items it asks about at one position, about; sizes the chunks of terms that are not dense."""
        return targets.labels.shape[1] + max((known.items.shape[1] for known in targets.rankings.values()), default=0)


@dataclass(frozen=True, slots=True)
class Features:
    """A student seen from inside at one step.

    Attributes:
        model: The student.
        table: Its item vectors, float ``[n_items, dim]``.
        batch: The windows of this step.
        hidden: float ``[n, dim]``, its state at each context.
        rankings: Teacher name to its stored rankings at the contexts.
        outputs: What the modules returned that were named by :meth:`FeatureObjective.watches`.
    """

    model: NeuralModel
    table: Tensor
    batch: Batch
    hidden: Tensor
    rankings: Mapping[str, TeacherRankings] = field(default_factory=dict)
    outputs: Mapping[nn.Module, Tensor] = field(default_factory=dict)


class FeatureObjective(Objective):
    """A term that compares vectors inside the student with something stored."""

    def watches(self, model: NeuralModel) -> tuple[nn.Module, ...]:
        """Parts of the student whose outputs it wants to see, with their gradient."""
        return ()

    @abstractmethod
    def loss(self, features: Features) -> Tensor:
        """Loss of one step: a scalar."""


Store = TypeVar("Store", RankingsStore, EmbeddingsStore, WeightsStore)


def the_only(stores: tuple[Store, ...], fingerprint: str | None = None) -> Store:
    """The single store of one kind.

    Args:
        stores: Those that fit so far, at least one.
        fingerprint: Of the data that it must be about; None to take any.

    Raises:
        ConfigError: There are several; it asks which of the teachers is meant.
        KnowledgeError: It is about other data.
    """
    store = stores[0]
    if len(stores) > 1:
        names = [other.manifest.teacher for other in stores]
        if len(set(names)) == 1:
            what = f"{len(names)} teachers that left {store.kind} are called {names[0]!r}"
            raise ConfigError(what, key=("teacher",), hint="teach each under a name of its own, and join these")
        what = f"several teachers left {store.kind} ({', '.join(names)})"
        raise ConfigError(what, key=("teacher",), hint="name one with teacher: NAME")
    if fingerprint is not None and store.manifest.dataset_fingerprint != fingerprint:
        what = f"the {store.kind} by {store.manifest.teacher!r} are about other data"
        raise KnowledgeError(what, where=store.path, hint="teach again with the present data")
    return store
