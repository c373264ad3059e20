"""What a recipe may say: the typed form of the YAML of one experiment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from ..compression import STEPS
from ..compression.budget import Budget
from ..compression.gate import Gate
from ..compression.storage import VectorForm
from ..config import Config
from ..data import SPLITS, Cleaning, Task
from ..errors import ConfigError, nearest
from ..evaluation.metrics import METRICS
from ..evaluation.metrics import parse as parse_metric
from ..models import MODELS
from ..objectives import OBJECTIVES
from ..registry import component_field
from ..teachers import TEACHERS
from ..training.config import Training
from ..training.live import LIVE
from ..training.side_task import SideTask
from .kinds import check_kinds
from .rounds import check_rounds

__all__ = [
    "BundleSpec",
    "CompressionSpec",
    "DataSpec",
    "EvaluateSpec",
    "Recipe",
    "SourceSpec",
    "StudentSpec",
    "TeacherSpec",
    "TrainSpec",
]

_SLUG = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What names a file, a folder or a teacher."""


if TYPE_CHECKING:
    from ..compression.steps.base import Step
    from ..data import SplitConfig as SplitMethod
    from ..models import ModelConfig as Model
    from ..objectives.base import ObjectiveConfig as Objective
    from ..training.live.base import LiveConfig as Live
else:
    Live = component_field(LIVE)
    Model = component_field(MODELS)
    Objective = component_field(OBJECTIVES)
    SplitMethod = component_field(SPLITS)
    Step = component_field(STEPS)


class DataSpec(Config):
    """Where interactions and items come from, how they are cleaned and split."""

    name: ClassVar[str] = "data"

    log: str = Field(description="file, MovieLens or RecBole folder, or 'movielens-small' for the embedded data")
    items: str | None = Field(None, description="file of the item table")
    text: str | None = Field(None, description="what encoders read about an item, for example '{title}. {genres}'")
    columns: dict[str, str] = Field({}, description="column of the log for user, item, time, rating, type, weight")
    item_columns: dict[str, str] = Field({}, description="column of the item table for item, title, categories, image")
    cleaning: Cleaning = Cleaning()
    split: SplitMethod = Field(default_factory=lambda: SPLITS["leave-last-out"].load()())


class SourceSpec(DataSpec):
    """Another log with another catalogue, on which a teacher is trained before it ranks the items of this one."""

    name: ClassVar[str] = "source"

    adapt: bool = Field(False, description="go on training with this log, as far as its validation gains")


_IGNORED_OF_OTHERS = ("objectives", "training", "k", "folds", "label", "snapshots", "source")
"""Fields of a teacher that encoders and imports do not read."""
_IGNORED = {"recommender": ("parameters",), "ensemble": ("objectives", "training", "folds", "snapshots", "source")}
"""The same of other types."""


class TeacherSpec(Config):
    """One teacher: an encoder, a language model, a recommender, an ensemble of recommenders, or imported knowledge."""

    name: ClassVar[str] = "teacher"

    id: str = Field(pattern=_SLUG, description="a name for messages, reports and objectives")
    type: str
    model: Model | None = Field(None, description="of a recommender")
    objectives: list[Objective] = Field(
        [], description="of a recommender; cross-entropy if empty. They may read the teachers above: an assistant"
    )
    training: Training = Training()
    task: str | None = Field(
        None, description="of a recommender, an ensemble or an import: its task; the student's if null"
    )
    members: list[str] = Field([], description="of an ensemble: ids of recommenders above")
    label: bool | None = Field(
        None,
        description="store rankings; default: ensembles do, and a recommender in none or whose rankings a term names",
    )
    k: int = Field(100, ge=1, description="items stored for each position")
    snapshots: int = Field(
        0, ge=0, description="of a trained recommender: so many models from the way to its best epoch label too"
    )
    folds: int = Field(0, ge=0, description="of a recommender: label each user by a model fitted without them (0: off)")
    source: SourceSpec | None = Field(
        None, description="of a recommender: the data it is trained on, if not these; texts join the catalogues"
    )
    parameters: dict[str, Any] = Field({}, description="of an encoder, an ensemble, an import or an llm")

    @property
    def ranks(self) -> bool:
        """Whether it ranks items: a recommender or an ensemble."""
        return self.type in ("recommender", "ensemble")

    @property
    def uses(self) -> tuple[str, ...]:
        """Ids of the teachers that its parameters name."""
        return () if self.ranks else tuple(_parameters_of(self.type)(**self.parameters).uses())

    @property
    def of_contexts(self) -> bool:
        """Whether it speaks about contexts; the others, about items, are the same for every task."""
        return self.ranks or bool(_parameters_of(self.type)(**self.parameters).reads_log())

    @model_validator(mode="after")
    def _fits_type(self) -> TeacherSpec:
        if self.type not in TEACHERS:
            raise ConfigError(
                f"no teacher type is called {self.type!r}", key=("type",), hint=nearest(self.type, TEACHERS)
            )
        if (self.type == "recommender") != (self.model is not None):
            raise ConfigError("model goes with type: recommender, and only with it", key=("model",))
        if (self.type == "ensemble") != bool(self.members):
            raise ConfigError("members go with type: ensemble, and only with it", key=("members",))
        return self

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> TeacherSpec:
        fields = type(self).model_fields
        for key in _IGNORED.get(self.type, _IGNORED_OF_OTHERS):
            if getattr(self, key) != fields[key].get_default(call_default_factory=True):
                hint = "its parameters stand under model" if key == "parameters" else "remove it"
                raise ConfigError(f"means nothing to a teacher of type {self.type}", key=(key,), hint=hint)
        return self

    @model_validator(mode="after")
    def _task_of_contexts(self) -> TeacherSpec:
        if self.task is not None and not self.of_contexts:
            raise ConfigError(f"a {self.type} is about items, for whatever task", key=("task",), hint="remove it")
        return self

    @model_validator(mode="after")
    def _folds_without_teacher(self) -> TeacherSpec:
        if self.folds > 1 and any(objective.is_taught for objective in self.objectives):
            what = "fold models are fitted without some users, of whom a teacher above has spoken too"
            raise ConfigError(what, key=("folds",), hint="remove folds, or the objectives that read a teacher")
        return self

    @model_validator(mode="after")
    def _snapshots_of_a_training(self) -> TeacherSpec:
        if self.snapshots and self.model is not None and not self.model.trained:
            what = f"{self.model.name} is not trained by steps: there is nothing to keep on the way"
            raise ConfigError(what, key=("snapshots",), hint="remove it")
        if self.snapshots and self.folds > 1:
            what = "snapshots have seen all users, which folds are there to avoid"
            raise ConfigError(what, key=("snapshots",), hint="remove one of the two")
        return self

    @model_validator(mode="after")
    def _source_is_read_through_texts(self) -> TeacherSpec:
        if self.source is None:
            return self
        if getattr(self.model, "fusion", None) != "text-only":
            hint = "use sasrec, hstu or gru4rec with text: ENCODER and fusion: text-only"
            raise ConfigError(
                "a model with free item vectors knows nothing about other items", key=("model",), hint=hint
            )
        for key in ("objectives", "folds", "snapshots"):
            if getattr(self, key):
                raise ConfigError("means nothing to a teacher trained on other data", key=(key,), hint="remove it")
        return self

    @model_validator(mode="after")
    def _parameters_fit(self) -> TeacherSpec:
        if self.type == "recommender":
            return self
        try:
            _parameters_of(self.type)(**self.parameters)
        except ConfigError as error:
            raise ConfigError(error.what, key=("parameters", *error.key), hint=error.hint) from None
        return self


def _all_above(named: tuple[str, ...], above: list[str], key: tuple[str, ...]) -> None:
    for name in named:
        if name not in above:
            raise ConfigError(f"no teacher above is called {name!r}", key=key, hint=nearest(name, above))


def _parameters_of(kind: str) -> Any:
    """The class of the parameters of an encoder, import or ensemble."""
    found = TEACHERS[kind].load()
    if kind != "ensemble":
        return found
    from ..teachers.ensemble import EnsembleConfig  # needs torch, whose absence was told above

    return EnsembleConfig


class TrainSpec(Config):
    """Objectives and loop of one training of the student."""

    name: ClassVar[str] = "train"

    objectives: list[Objective] = Field(min_length=1)
    live: list[Live] = Field([], description="teachers that change while the student learns; objectives name their ids")
    tasks: dict[str, SideTask] = Field({}, description="what is learned beside the student's task, by name of the task")
    parameters: dict[str, Any] = Field({}, description="of the model, where this training has its own, such as dropout")
    training: Training = Training()

    @field_validator("objectives", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | Mapping) else value

    @model_validator(mode="after")
    def _auto_stands_alone(self) -> TrainSpec:
        names = [objective.name for objective in self.objectives]
        if "auto" in names and len(names) > 1:
            key = ("objectives", str(names.index("auto")))
            raise ConfigError("auto chooses all terms, so it stands alone", key=key, hint="remove the others")
        if "auto" in names and self.live:
            hint = "name the terms that read the live teachers"
            raise ConfigError("auto chooses among terms that read stored teachers", key=("live",), hint=hint)
        return self

    @property
    def terms(self) -> list[Objective]:
        """Those of further tasks too."""
        return [*self.objectives, *(objective for task in self.tasks.values() for objective in task.objectives)]

    @property
    def needs(self) -> tuple[str, ...]:
        """Stored teachers that live ones read, and those whose fitted models they ask."""
        own = {teacher.id for teacher in self.live}
        named = [name for teacher in self.live for name in (*teacher.named_teachers, *teacher.asks)]
        return tuple(name for name in named if name not in own)


class StudentSpec(Config):
    """The student, trained twice: alone and with the teachers' knowledge, each with settings of its own.

    Ablations are further trainings of it. Each gets only the knowledge that its own objectives name, and the report
    says for whom this part helps, hurts, or cannot be told from nothing, against the student alone.
    """

    name: ClassVar[str] = "student"

    model: Model
    task: str | None = Field(
        None, description="which of the tasks it is trained, measured and served for; null: all events"
    )
    alone: TrainSpec
    distilled: TrainSpec
    ablations: dict[str, TrainSpec] = Field(
        {}, description="trainings with part of the knowledge, by name of that part"
    )

    @property
    def trainings(self) -> dict[str, TrainSpec]:
        """All of them by name: ``alone``, ``distilled``, then the ablations in their order."""
        return {"alone": self.alone, "distilled": self.distilled, **self.ablations}

    @model_validator(mode="after")
    def _names_of_ablations(self) -> StudentSpec:
        for name in self.ablations:
            if not re.fullmatch(_SLUG, name):
                hint = "use letters, digits and . _ -, as in llm-only"
                raise ConfigError(f"an ablation cannot be called {name!r}", key=("ablations", name), hint=hint)
            if name in ("alone", "distilled"):
                hint = "name it after the knowledge that it gets, as in llm-only"
                raise ConfigError(f"there is a training called {name!r} already", key=("ablations", name), hint=hint)
        return self

    @model_validator(mode="after")
    def _alone_is_alone(self) -> StudentSpec:
        if self.alone.live:
            what = "live teachers are teachers, and this is the student without one"
            raise ConfigError(what, key=("alone", "live"), hint="use them under distilled or ablations")
        terms: list[tuple[tuple[str, ...], list[Objective]]] = [(("alone",), self.alone.objectives)]
        terms += [(("alone", "tasks", name), task.objectives) for name, task in self.alone.tasks.items()]
        for place, index, objective in ((p, i, o) for p, several in terms for i, o in enumerate(several)):
            if objective.is_taught:
                key = (*place, "objectives", str(index))
                what = f"{objective.name} needs a teacher, and this is the student without one"
                raise ConfigError(what, key=key, hint="use it under distilled or ablations")
        return self

    @model_validator(mode="after")
    def _seeds_of_the_recipe(self) -> StudentSpec:
        for kind, spec in self.trainings.items():
            if spec.training.seed != Training().seed:
                key = (*_place(kind), "training", "seed")
                raise ConfigError(
                    "the student is trained once with each of seeds", key=key, hint="use seeds: at the top"
                )
        return self

    @model_validator(mode="after")
    def _same_question(self) -> StudentSpec:
        for kind, spec in self.trainings.items():
            if spec.training.exclude_history != self.alone.training.exclude_history:
                key = (*_place(kind), "training", "exclude_history")
                hint = "set it alike for alone, distilled and ablations"
                raise ConfigError("all trainings are measured by the same lists", key=key, hint=hint)
        return self

    @model_validator(mode="after")
    def _same_size(self) -> StudentSpec:
        for kind, spec in self.trainings.items():
            place = _place(kind)
            try:
                self.model.replace(**spec.parameters)
            except ConfigError as error:
                raise ConfigError(error.what, key=(*place, "parameters", *error.key), hint=error.hint) from None
            for size in ("dim", "blocks"):
                if size in spec.parameters:
                    key = (*place, "parameters", size)
                    raise ConfigError("all trainings are of one size", key=key, hint="set it under student.model")
        return self


def _place(kind: str) -> tuple[str, ...]:
    """Where a training stands under ``student``."""
    return (kind,) if kind in ("alone", "distilled") else ("ablations", kind)


def _terms_of_one_task(
    objectives: Sequence[Objective], of: Mapping[str, str | None], task: str | None, key: tuple[str, ...]
) -> None:
    for index, objective in enumerate(objectives):
        _of_one_task(objective.named_teachers, of, task, (*key, "objectives", str(index)))


def _of_one_task(names: Sequence[str], of: Mapping[str, str | None], task: str | None, key: tuple[str, ...]) -> None:
    for name in names:
        if of.get(name, task) != task:
            what = f"{name!r} teaches {_task_words(of[name])}, this is about {_task_words(task)}"
            raise ConfigError(what, key=key, hint="name a teacher of the same task")


def _task_words(task: str | None) -> str:
    return "all events" if task is None else f"task {task!r}"


def _read_only(objectives: Sequence[Objective], known: Sequence[str], key: tuple[str, ...], where: str = "") -> None:
    """Refuse terms that name a teacher who is not known."""
    for index, objective in enumerate(objectives):
        place = (*key, "objectives", str(index))
        if objective.is_taught and not known:
            raise ConfigError(f"{objective.name} needs a teacher{where}", key=place, hint="put one before it")
        for name in objective.named_teachers:
            if name not in known:
                field = "teacher" if "teacher" in type(objective).model_fields else "teachers"
                what = f"no teacher{where} is called {name!r}"
                raise ConfigError(what, key=(*place, field), hint=nearest(name, known))


class EvaluateSpec(Config):
    """What is measured."""

    name: ClassVar[str] = "evaluate"

    k: tuple[PositiveInt, ...] = Field((5, 10, 20), min_length=1)
    metric: str = Field(
        "ndcg@10",
        description="the one that verdict and transfer ratio speak of: ndcg, recall, hr, mrr, map or precision, at the "
        "largest k at most",
    )
    baselines: tuple[Literal["popularity", "item-knn", "ease"], ...] = ("popularity", "item-knn", "ease")
    examples: int = Field(4, ge=0, description="users shown with titles in the report")

    @model_validator(mode="after")
    def _metric_is_measured(self) -> EvaluateSpec:
        try:
            _, k, part = parse_metric(self.metric, METRICS)
        except ConfigError as error:
            raise ConfigError(error.what, key=("metric",), hint=error.hint) from None
        if part is not None:
            hint = f"use {self.metric.partition('/')[0]}: every slice is measured by it"
            raise ConfigError(f"{self.metric!r} is of one slice only", key=("metric",), hint=hint)
        if k > max(self.k):
            what = f"{self.metric!r} goes beyond the largest cut-off, {max(self.k)}"
            raise ConfigError(what, key=("metric",), hint=f"add {k} to k, or measure at {max(self.k)} at most")
        return self


_COMPRESSION, _ASKED = "compression", "asked"


class CompressionSpec(Budget):
    """How the student is made smaller before it is served: steps behind a gate, and what the bundle may cost."""

    name: ClassVar[str] = "compression"

    steps: list[Step] | None = Field(None, description="in their order; left out: those that suit the model")
    gate: Gate = Gate()

    def noted(self) -> dict[str, Any]:
        """A section of a bundle's card: what was asked for, so that an update makes the next bundle the same way."""
        return {_COMPRESSION: {_ASKED: self.model_dump(mode="json")}}

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> CompressionSpec | None:
        """What was asked for when a bundle was made; None if its card does not say so.

        Raises:
            ConfigError: It says what this version does not know.
        """
        section = card.get(_COMPRESSION)
        asked = section.get(_ASKED) if isinstance(section, Mapping) else None
        return None if asked is None else cls(**asked)


class BundleSpec(Config):
    """How the student is served."""

    name: ClassVar[str] = "bundle"

    vectors: VectorForm = Field("int8", description="how numbers are stored; pq: product quantisation")
    tower: bool | str = Field(
        False,
        description="a text tower, so that items can be added while it is served; an encoder's id: it teaches too",
    )
    users: bool = Field(False, description="keep the histories of the log, so that it can be asked for a user")
    ann: bool | None = Field(None, description="graph for approximate search; left out: from 200,000 items")
    pictures: bool = Field(
        False,
        description="pictures of the items: files that the item table's column image names, as paths from its folder",
    )
    showcase: int = Field(
        6,
        ge=0,
        description="people of the test part for whom the served page shows the teacher's lists; 0: no showcase",
    )

    @property
    def shaping(self) -> dict[str, Any]:
        """What the bundle itself depends on."""
        extras = {
            "tower": False,
            "users": False,
            "ann": None,
            "pictures": False,
        }  # those that were not asked for change nothing
        left = {key for key, nothing in extras.items() if getattr(self, key) is nothing}
        return self.model_dump(mode="json", exclude={"showcase", *left})


class Recipe(Config):
    """One experiment, from files to a bundle and a report."""

    name: ClassVar[str] = "recipe"

    title: str = Field(pattern=_SLUG, description="name of the run directory")
    data: DataSpec
    tasks: dict[str, Task] = Field({}, description="which events count for each task, by name of the task")
    teachers: list[TeacherSpec] = Field([], description="in the order in which they are taught")
    student: StudentSpec
    seeds: list[NonNegativeInt] = Field([0], min_length=1)
    evaluate: EvaluateSpec = EvaluateSpec()
    compression: CompressionSpec | None = Field(
        None, description="how the student is made smaller; left out: nothing but what bundle says is done"
    )
    bundle: BundleSpec = BundleSpec()
    base: Path = Field(Path(), exclude=True, description="directory that relative paths start from")

    @model_validator(mode="after")
    def _names_fit(self) -> Recipe:
        ids = [teacher.id for teacher in self.teachers]
        for index, teacher in enumerate(self.teachers):
            if teacher.id in ids[:index]:
                raise ConfigError(f"two teachers are called {teacher.id!r}", key=("teachers", str(index), "id"))
            earlier = [t.id for t in self.teachers[:index] if t.type == "recommender"]
            for member in teacher.members:
                if member not in earlier:
                    hint = nearest(member, earlier)
                    raise ConfigError(
                        f"member {member!r} is no recommender above", key=("teachers", str(index), "members"), hint=hint
                    )
            _all_above(teacher.uses, ids[:index], ("teachers", str(index), "parameters"))
        self._objectives_fit(ids)
        self._tasks_fit()
        check_rounds(self)
        check_kinds(self)
        if not ids and not self.student.distilled.live:
            raise ConfigError("nobody teaches the student", key=("teachers",), hint="add a teacher, or a live one")
        if len(set(self.seeds)) < len(self.seeds):
            raise ConfigError("a seed is named twice", key=("seeds",))
        encoders = [teacher.id for teacher in self.teachers if not teacher.ranks]
        if isinstance(self.bundle.tower, str) and self.bundle.tower not in encoders:
            what = f"no encoder is called {self.bundle.tower!r}"
            raise ConfigError(what, key=("bundle", "tower"), hint=nearest(self.bundle.tower, encoders) or "or say true")
        return self

    def _objectives_fit(self, ids: list[str]) -> None:
        for number, teacher in enumerate(self.teachers):
            _read_only(teacher.objectives, ids[:number], ("teachers", str(number)), " above")
        for kind, spec in self.student.trainings.items():
            place = ("student", *_place(kind))
            live = [teacher.id for teacher in spec.live]
            for index, name in enumerate(live):
                if name in (*ids, *live[:index]):
                    raise ConfigError(f"two teachers are called {name!r}", key=(*place, "live", str(index), "id"))
            _read_only(spec.objectives, [*ids, *live], place)
            for name, side in spec.tasks.items():
                _read_only(side.objectives, [*ids, *live], (*place, "tasks", name))
            for name in spec.needs:
                if name not in ids:
                    hint = nearest(name, [*ids, *live, "student"])
                    raise ConfigError(f"no teacher is called {name!r}", key=(*place, "live"), hint=hint)

    def _tasks_fit(self) -> None:
        """Every task is known, and terms read teachers of their own task."""
        own = self.student.task
        of = {teacher.id: self.task_of(teacher) for teacher in self.teachers if teacher.of_contexts}
        used: list[tuple[tuple[str, ...], str | None]] = [(("student", "task"), own)]
        used += [(("teachers", str(number), "task"), teacher.task) for number, teacher in enumerate(self.teachers)]
        for kind, spec in self.student.trainings.items():
            used += [(("student", *_place(kind), "tasks", name), name) for name in spec.tasks]
        for key, name in used:
            if name is not None and name not in self.tasks:
                raise ConfigError(f"no task is called {name!r}", key=key, hint=nearest(name, self.tasks))
        for number, teacher in enumerate(self.teachers):
            task = self.task_of(teacher)
            _of_one_task(teacher.members, of, task, ("teachers", str(number), "members"))
            _terms_of_one_task(teacher.objectives, of, task, ("teachers", str(number)))
        for kind, spec in self.student.trainings.items():
            place = ("student", *_place(kind))
            _terms_of_one_task(spec.objectives, of, own, place)
            for name, side in spec.tasks.items():
                if name == own:
                    what = f"{name!r} is the student's own task"
                    raise ConfigError(what, key=(*place, "tasks", name), hint="put its terms under objectives")
                if side.labels != Task():
                    raise ConfigError("a recipe's tasks say what counts", key=(*place, "tasks", name, "labels"))
                _terms_of_one_task(side.objectives, of, name, (*place, "tasks", name))

    @property
    def exclude_history(self) -> bool:
        """Whether what is in the history is left out of the lists that are measured, of all models alike."""
        return self.student.alone.training.exclude_history

    def task_of(self, teacher: TeacherSpec) -> str | None:
        """The task that a teacher is for, unless it is about items; None: all events."""
        return self.student.task if teacher.task is None else teacher.task

    def read_by(
        self, objectives: Sequence[Objective], text: str | None, of: Sequence[TeacherSpec], also: Sequence[str] = ()
    ) -> list[str]:
        """Ids of the teachers that a training may read: those that are named, or all if a term names none.

        Args:
            objectives: Its terms.
            text: The teacher whose embeddings the model carries inside, or ``all``.
            of: The teachers there are for it.
            also: Further teachers that it needs.
        """
        taught = [objective for objective in objectives if objective.is_taught]
        if not all(objective.named_teachers for objective in taught):
            return [teacher.id for teacher in of]
        named = [name for objective in taught for name in objective.named_teachers]
        encoders = {teacher.id for teacher in of if not teacher.ranks} if text == "all" else {text}
        return [teacher.id for teacher in of if teacher.id in encoders.union(named, also)]

    def labels(self, teacher: TeacherSpec) -> bool:
        """Whether a recommender's or ensemble's rankings are stored."""
        if teacher.label is not None:
            return teacher.label
        terms = [term for spec in self.student.trainings.values() for term in spec.terms]
        terms += [term for other in self.teachers for term in other.objectives]
        if any(teacher.id in term.named_teachers and "rankings" in term.reads for term in terms):
            return True
        in_ensemble = any(teacher.id in other.members for other in self.teachers)
        return teacher.type == "ensemble" or (teacher.type == "recommender" and not in_ensemble)

    def main_teacher(self) -> str | None:
        """The teacher that the report compares with: one that the student is taught by, else the last that ranks."""
        ranking = [t.id for t in self.teachers if t.ranks and self.task_of(t) == self.student.task]
        named = [t for o in self.student.distilled.objectives for t in o.named_teachers if t in ranking]
        return named[0] if named else ranking[-1] if ranking else None
