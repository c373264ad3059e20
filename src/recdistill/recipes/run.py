"""A recipe's stages, in the order in which data walks through the rooms."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..compression.outcome import FILE as OUTCOME
from ..compression.pictures import fingerprint
from ..config import Config
from ..data.store import load_split, save_split
from ..errors import RunError
from ..files import atomic_directory, atomic_path, read_json, write_json
from ..stages import LOCK, Stage, Stages
from .rounds import asks_in_rounds, read_in_rounds, shaping_rounds
from .schema import CompressionSpec, Recipe, TeacherSpec, TrainSpec
from .sources import input_files, item_folder, split_data

if TYPE_CHECKING:
    from ..compression.chain import Compressed
    from ..data import Split
    from ..knowledge import Knowledge
    from ..models import ModelConfig, RankingModel
    from ..models.base import Floats
    from ..reports import ReportData
    from ..training import SideTask

__all__ = ["Run", "run_recipe"]

log = logging.getLogger("recdistill")

_MEASURED = 6
"""Raised when more is measured of the same models; what is trained stays."""


def run_recipe(recipe: Recipe, directory: str | Path) -> ReportData:
    """Run every stage of a recipe that is not done yet, and write the report.

    Args:
        recipe: The experiment.
        directory: The run directory: ``stages/``, ``bundle/``, ``results.json``, ``report.html``, ``recipe.json``.

    Returns:
        What the report shows.

    Raises:
        RunError: The directory holds something else, or another process works in it.
    """
    from ..reports import ReportData

    run = Run(recipe, Path(directory))
    with run.claimed():
        results = run.results()
        run.publish(results)
    return ReportData.read(run.directory / "results.json")


class Run:
    """The stages of a recipe in a run directory; nothing is loaded before a stage needs it.

    Args:
        recipe: The experiment.
        directory: The run directory.
    """

    def __init__(self, recipe: Recipe, directory: Path) -> None:
        self.recipe, self.directory, self.stages = recipe, directory, Stages(directory)
        self._teachers: dict[str, Stage] = {}

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Work in the run directory, alone; make it, or see that it belongs to this recipe.

        A first recipe is written down at once, so that the directory is known for a run if the work is interrupted. One
        that takes the place of another is written down only when it has worked.

        Raises:
            RunError: The directory holds something else, or another process works in it.
        """
        self._check_ours()  # before a lock file lies in somebody else's directory
        with self.stages.lock():
            self._check_ours()  # what another process began in the meantime
            if not self._mark.exists():
                self._describe()
            yield
            self._describe()

    @property
    def _mark(self) -> Path:
        return self.directory / "recipe.json"

    def _describe(self) -> None:
        base = os.path.relpath(self.recipe.base, self.directory)
        write_json(
            self._mark, {"title": self.recipe.title, "base": base, "recipe": self.recipe.model_dump(mode="json")}
        )

    def _check_ours(self) -> None:
        if self._mark.exists():
            there = read_json(self._mark, RunError).get("title")
            if there != self.recipe.title:
                hint = "name another directory with --out"
                raise RunError(
                    f"holds the results of {there!r}, not of {self.recipe.title!r}", where=self.directory, hint=hint
                )
        elif self.directory.exists() and any(file.name != LOCK for file in self.directory.iterdir()):
            raise RunError(
                "is not empty and holds no run", where=self.directory, hint="name another directory with --out"
            )

    @cached_property
    def data(self) -> Stage:
        """The split."""
        spec, base = self.recipe.data, self.recipe.base

        def work(path: Path) -> dict[str, Any]:
            split = split_data(spec, base, path / "quarantine.csv")
            save_split(split, path / "split")
            return {"users": split.n_users, "items": split.n_items, "catalogue": split.dataset.items.fingerprint}

        inputs = {"files": input_files(spec, base), "spec": spec.model_dump(mode="json")}
        return self.stages("data", inputs, work)

    @cached_property
    def split(self) -> Split:
        """The split as the student's task sees it, loaded."""
        return self.split_of(self.recipe.student.task)

    @cached_property
    def _whole(self) -> Split:
        return load_split(self.data.path / "split")

    def split_of(self, task: str | None) -> Split:
        """The split as a task sees it."""
        return self._whole if task is None else self.recipe.tasks[task].of(self._whole)

    def data_of(self, task: str | None) -> str:
        """Key of the data as a task sees them."""
        return self.data.key if task is None else f"{self.data.key}-{self.recipe.tasks[task].digest()}"

    @property
    def _own_data(self) -> str:
        """Key of the data as the student's task sees them."""
        return self.data_of(self.recipe.student.task)

    def teacher(self, spec: TeacherSpec) -> Stage:
        """The stage of one teacher; earlier ones whose knowledge or model it uses come first."""
        if spec.id not in self._teachers:
            uses = [self.teacher(other) for other in self._used_by(spec)]

            def work(path: Path) -> dict[str, Any]:
                from .teach import teach

                places = {stage.name.removeprefix("teach/"): stage.path for stage in uses}
                split = self.split_of(self.recipe.task_of(spec))
                return teach(self.recipe, spec, split, _knowledge(uses), places, path)

            described = [
                _told(spec, "snapshots", "task", "source"),
                self.recipe.labels(spec),
                [stage.key for stage in uses],
                *self._repeats,
            ]
            inputs = [*self._source(spec), *described, *shaping_rounds(self.recipe, spec)]
            self._teachers[spec.id] = self.stages(f"teach/{spec.id}", inputs, work, keeps=_stores)
        return self._teachers[spec.id]

    def _source(self, spec: TeacherSpec) -> list[str]:
        """What a teacher reads: keys and fingerprints."""
        data = self.data_of(self.recipe.task_of(spec))
        if spec.source is not None:
            return [data, *input_files(spec.source, self.recipe.base).values()]
        if spec.ranks:
            return [data, *(() if spec.model is None else spec.model.inputs())]
        from .teach import described

        teacher = described(self.recipe, spec)
        return [data if teacher.reads_log() else self.data.info["catalogue"], *teacher.inputs()]

    def _used_by(self, spec: TeacherSpec) -> list[TeacherSpec]:
        before = self.recipe.teachers[: self.recipe.teachers.index(spec)]
        read = self.recipe.read_by(spec.objectives, getattr(spec.model, "text", None), before)
        if asks_in_rounds(spec):
            read = [*read, *read_in_rounds(self.recipe, spec)]
        return [t for t in before if t.id in (*spec.members, *read, *spec.uses)]

    def knowledge_of(self, teachers: tuple[str, ...]) -> Knowledge:
        """What some teachers have left."""
        return _knowledge([self.teacher(spec) for spec in self.recipe.teachers if spec.id in teachers])

    @cached_property
    def taught(self) -> list[Stage]:
        """All teachers."""
        return [self.teacher(spec) for spec in self.recipe.teachers]

    @cached_property
    def baselines(self) -> Stage:
        """Tuned baselines, selected on validation."""
        names = self.recipe.evaluate.baselines

        def work(path: Path) -> dict[str, Any]:
            from ..evaluation import tune_baselines

            # EASE is left out for catalogues beyond its matrix
            tuned = tune_baselines(self.split.labelled, names, exclude_history=self.recipe.exclude_history)
            for name, model in tuned.items():
                model.save(path / name)
            return {name: model.config.model_dump(mode="json") for name, model in tuned.items()}

        return self.stages("baselines", [self._own_data, names, *self._repeats], work)

    @property
    def _repeats(self) -> list[str]:
        """What the stages that rank depend on besides, if repeats are asked for."""
        return [] if self.recipe.exclude_history else ["repeats"]

    def trained(self, kind: str, seed: int) -> Stage:
        """The student with one seed: ``alone``, ``distilled``, or an ablation by its name."""
        spec = self.settled(kind)
        training = spec.training.replace(seed=seed)
        model = self.recipe.student.model.replace(**spec.parameters)
        uses = self.knowledge_for(spec)

        def work(path: Path) -> dict[str, Any]:
            from ..training import fit

            label = f"student {kind}, seed {seed}"
            fitted = fit(
                model, self.split, spec.objectives, live=spec.live, models=self._asked(spec),
                tasks=self._side_tasks(spec), knowledge=_knowledge(uses), training=training, directory=path / "fit",
                label=label,
            )  # fmt: skip
            fitted.model.save(path / "model")
            for name, beside in fitted.beside.items():
                beside.save(path / "beside" / name)
            return {"history": fitted.history, "best_epoch": fitted.best_epoch, "fit_seconds": fitted.seconds}

        return self.stages(f"train/{kind}", self._shaping(spec.replace(training=training), model, uses), work)

    def _side_tasks(self, spec: TrainSpec) -> dict[str, SideTask]:
        return {name: task.replace(labels=self.recipe.tasks[name]) for name, task in spec.tasks.items()}

    def _asked(self, spec: TrainSpec) -> dict[str, RankingModel]:
        """The fitted models that live teachers ask, by name."""
        return {name: self.ranker(name) for teacher in spec.live for name in teacher.asks}

    def ranker(self, name: str) -> RankingModel:
        """The fitted model of a teacher, its scores log-probabilities."""
        from ..teachers.ensemble import calibrated
        from .teach import load_ranker

        places = {stage.name.removeprefix("teach/"): stage.path for stage in self.taught}
        ranker, exclude = load_ranker(self.recipe, name, places), self.recipe.exclude_history
        return calibrated(name, ranker, self.split.valid, exclude_seen=exclude)

    def _shaping(self, spec: TrainSpec, model: ModelConfig, uses: Sequence[Stage]) -> list[object]:
        """All that a training of the student depends on."""
        told = _told(spec, "live", "tasks")
        told |= {"labels": [self.data_of(name) for name in spec.tasks]} if spec.tasks else {}
        described = [o.name for o in spec.objectives], told
        return [self._own_data, (model.name, model.model_dump(mode="json")), described, [s.key for s in uses]]

    def settled(self, kind: str) -> TrainSpec:
        """How the student is trained; terms that were left to ``auto`` are those chosen with the first seed."""
        from ..training.auto import objectives_of

        spec, chosen = self.recipe.student.trainings[kind], self.chosen(kind)
        return spec if chosen is None else spec.replace(objectives=objectives_of(chosen.info))

    def chosen(self, kind: str) -> Stage | None:
        """The choice of a training's terms, its info a :meth:`Choice.record`; None if the recipe names them."""
        from ..objectives.auto import Auto

        spec = self.recipe.student.trainings[kind]
        auto = spec.objectives[0]
        if not isinstance(auto, Auto):
            return None
        training, model = spec.training.replace(seed=self.recipe.seeds[0]), self.recipe.student.model
        model, uses = model.replace(**spec.parameters), self.knowledge_for(spec)

        def work(path: Path) -> dict[str, Any]:
            from ..training.auto import choose

            return choose(
                auto, model, self.split, knowledge=_knowledge(uses), training=training, directory=path,
                tasks=self._side_tasks(spec), label=f"terms of student {kind}",
            ).record()  # fmt: skip

        return self.stages(f"choose/{kind}", self._shaping(spec.replace(training=training), model, uses), work)

    def knowledge_for(self, spec: TrainSpec) -> list[Stage]:
        """Stages of the teachers that a training may read."""
        text = spec.parameters.get("text", getattr(self.recipe.student.model, "text", None))
        read = self.recipe.read_by(spec.terms, text, self.recipe.teachers, spec.needs)
        return [self.teacher(teacher) for teacher in self.recipe.teachers if teacher.id in read]

    @cached_property
    def trainings(self) -> dict[str, list[Stage]]:
        """Alone, distilled and the ablations, each with every seed."""
        kinds, seeds = self.recipe.student.trainings, self.recipe.seeds
        return {kind: [self.trained(kind, seed) for seed in seeds] for kind in kinds}

    @cached_property
    def best(self) -> tuple[Stage, int]:
        """The distilled student with the best validation score, and its seed."""
        best = self.best_of("distilled")
        return best, self.recipe.seeds[self.trainings["distilled"].index(best)]

    def compressed(self, spec: CompressionSpec) -> Compressed:
        """That student made smaller; every step is a stage."""
        from ..compression.chain import compress
        from ..models import load_model

        best, seed = self.best
        settled = self.settled("distilled")
        return compress(
            load_model(best.path / "model"), self.split, steps=spec.steps,
            knowledge=_knowledge(self.knowledge_for(settled)), objectives=settled.objectives,
            training=settled.training.replace(seed=seed), gate=spec.gate, budget=spec, directory=self.directory,
        )  # fmt: skip

    @property
    def card(self) -> dict[str, Any]:
        """What the card of a bundle says about its origin."""
        return {"recipe": self.recipe.title, "teacher": self.recipe.main_teacher(), "version": __version__}

    @cached_property
    def served(self) -> Stage:
        """The bundle of the best student, compressed if the recipe says so."""
        (best, seed), spec = self.best, self.recipe.compression
        compressed = None if spec is None else self.compressed(spec)

        def work(path: Path) -> dict[str, Any]:
            from ..compression import write_bundle
            from ..models import load_model

            if compressed is None or spec is None:
                write_bundle(load_model(best.path / "model"), self.split.dataset, path / "bundle",
                             vectors=self.recipe.bundle.vectors, card=self.card, **self.parts())  # fmt: skip
            else:
                shutil.rmtree(path / "bundle", ignore_errors=True)  # of an interrupted attempt
                compressed.outcome.write(path / OUTCOME)
                card = self.card | spec.noted()
                compressed.bundle(path / "bundle", card, dataset=self.split.dataset, **self.parts())
            # the place of that seed among all is no part of it: the stage is the same for other lists of seeds
            return {"seed": seed}

        reads: list[Any] = [stage.key for stage in self._tower_teacher]
        if self._pictures is not None:
            reads.append(fingerprint(self.split.dataset.items, self._pictures))
        reads += [] if compressed is None else [compressed.outcome.model_dump(mode="json")]
        return self.stages("bundle", [best.key, self.recipe.bundle.shaping, *reads], work)

    def parts(self) -> dict[str, Any]:
        """What every bundle of the run has beside the model, whatever was made of that: arguments for writing it."""
        form = self.recipe.bundle
        return {"users": form.users, "tower": self._tower(), "ann": form.ann, "pictures": self._pictures}

    @property
    def _pictures(self) -> Path | None:
        """The folder of the items' pictures, if the bundle shall have them."""
        return item_folder(self.recipe.data, self.recipe.base) if self.recipe.bundle.pictures else None

    def _tower(self) -> bool | Floats:
        """What the text tower of the bundle learns from beside the student: an encoder's embeddings, or nothing."""
        wanted, read = self.recipe.bundle.tower, _knowledge(self._tower_teacher)
        return wanted if isinstance(wanted, bool) else read.embeddings(wanted)[0].all()

    @property
    def _tower_teacher(self) -> list[Stage]:
        return [self.teacher(spec) for spec in self.recipe.teachers if spec.id == self.recipe.bundle.tower]

    def best_of(self, kind: str) -> Stage:
        """The training with the best validation score among all seeds."""
        return max(self.trainings[kind], key=lambda stage: max(_valid(stage), default=0.0))

    @cached_property
    def showcase(self) -> Stage | None:
        """Models and lists to compare with on the page that is served; None if the recipe wants none."""
        people = self.recipe.bundle.showcase

        def work(path: Path) -> dict[str, Any]:
            from .showcase import write_showcase

            write_showcase(self, path / "showcase")
            return {}

        keys = [stage.key for stage in (self.best_of("alone"), self.best_of("distilled"), self.served, *self.taught)]
        return self.stages("showcase", [keys, people], work) if people else None

    def results(self) -> Stage:
        """Everything measured on the test part, once."""
        taught, baselines, trainings, served = self.taught, self.baselines, self.trainings, self.served

        def work(path: Path) -> dict[str, Any]:
            from .results import measure

            measure(self, path / "results.json")
            return {}

        trained = [stage for stages in trainings.values() for stage in stages]
        keys = [stage.key for stage in (*trained, *taught, baselines, served)]
        return self.stages(
            "evaluate", [_MEASURED, keys, self.recipe.evaluate.model_dump(mode="json"), *self._repeats], work
        )

    def publish(self, results: Stage) -> None:
        """Put results, report and bundle where people look; what an earlier recipe left there is kept aside."""
        from ..reports import write_run_report

        new, place, page = (
            results.path / "results.json",
            self.directory / "results.json",
            self.directory / "report.html",
        )
        if not results.cached or not place.exists() or place.read_bytes() != new.read_bytes():
            if place.exists():
                aside = self.directory / "earlier" / results.key
                aside.mkdir(parents=True, exist_ok=True)
                for file in (page, place):
                    if file.exists():
                        file.replace(aside / file.name)
            # first of all: wherever this is interrupted, no page of other results is left beside the new ones
            page.unlink(missing_ok=True)
            with atomic_directory(self.directory / "bundle") as part:
                shutil.copytree(self.served.path / "bundle", part, dirs_exist_ok=True)
            if (self.served.path / OUTCOME).exists():
                with atomic_path(self.directory / OUTCOME) as part:
                    shutil.copyfile(self.served.path / OUTCOME, part)
            with atomic_path(place) as part:
                shutil.copyfile(new, part)
        if not page.exists():
            write_run_report(self.directory)
        self._publish_showcase()

    def _publish_showcase(self) -> None:
        from ..serving.showcase import FILE

        place = self.directory / "showcase"
        if self.showcase is None:
            shutil.rmtree(place, ignore_errors=True)
            return
        made = self.showcase.path / "showcase"
        new, old = made / FILE, place / FILE
        if not old.exists() or old.read_bytes() != new.read_bytes():
            with atomic_directory(place) as part:
                shutil.copytree(made, part, dirs_exist_ok=True)


def _told(spec: Config, *later: str) -> dict[str, Any]:
    """What a part of a recipe says; fields that came later only where they are used, so that keys stay as they were."""
    default = {name for name in later if not getattr(spec, name)}
    return spec.model_dump(mode="json", exclude=default)


def _knowledge(stages: list[Stage]) -> Knowledge:
    from ..knowledge import Knowledge

    found = Knowledge(())
    for stage in stages:
        if _stores(stage.path):  # members of an ensemble may leave a model and no store
            found = found + Knowledge.open(stage.path)
    return found


def _stores(path: Path) -> list[str]:
    """Sealed knowledge stores of a teacher's stage, by their place in it."""
    return sorted(manifest.parent.relative_to(path).as_posix() for manifest in path.rglob("manifest.json"))


def _valid(stage: Stage) -> list[float]:
    """Validation scores of a training's epochs."""
    return [score for record in stage.info["history"] for score in record.get("valid", {}).values()]
