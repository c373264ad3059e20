"""Teachers are fitted, fused and asked once; students learn from them; it all stays in ``.cache/bench-quality``."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from recdistill.files import read_json, write_json
from recdistill.knowledge import Knowledge, RankingsStore
from recdistill.models import RankingModel, load_model
from recdistill.models.base import VectorModel
from recdistill.objectives import StartFrom
from recdistill.objectives.vectors import VectorsConfig
from recdistill.teachers import RecommenderTeacher
from recdistill.teachers.encoder import Encoder
from recdistill.teachers.ensemble import Ensemble
from recdistill.teachers.own_vectors import leave_vectors
from recdistill.teachers.recommender import fingerprint_of
from recdistill.training import fit

from .baselines import cache_directory, tuned
from .plans import Arm, Plan, TrainedTeacher
from .splits import BenchmarkSplit

__all__ = ["School", "Student"]


@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """A trained student.

    Attributes:
        model: The model.
        seconds: Of its training.
        history: Its epochs.
        directory: Where it lies, and what is found out about it.
    """

    model: RankingModel
    seconds: float
    history: list[dict[str, Any]]
    directory: Path


class School:
    """The teachers of a benchmark, and students.

    Args:
        split: The benchmark.
        plan: Who teaches whom.
    """

    def __init__(self, split: BenchmarkSplit, plan: Plan) -> None:
        self.split, self.plan = split, plan
        self.directory = cache_directory(split)

    @cached_property
    def members(self) -> dict[str, RankingModel]:
        """All teachers, fitted."""
        found = {name: tuned(self.split, name).build() for name in self.plan.baselines}
        return found | {name: self._trained(name, teacher) for name, teacher in self.plan.trained.items()}

    @cached_property
    def teacher(self) -> Ensemble:
        """Their fusion, with weights chosen on validation."""
        return Ensemble.fit(self.members, self.split.valid)

    @cached_property
    def teaching_seconds(self) -> float:
        """What fitting, fusing and asking the teachers cost."""
        trained = [self._seconds(self._place(name, teacher)) for name, teacher in self.plan.trained.items()]
        searched = [tuned(self.split, name).seconds for name in self.plan.baselines]
        assert self.rankings
        return sum(trained) + sum(searched) + self._seconds(self.rankings.path.parent)

    @cached_property
    def embeddings(self) -> Knowledge:
        """What encoders say about the items."""
        known = Knowledge()
        for name, encoder in self.plan.encoders.items():
            place = self.place(f"encoders/{name}", [encoder.digest(), self.split.dataset.items.fingerprint])
            self.once(place, partial(self._encode, encoder, place / "store", name))
            known = known + Knowledge.open(place / "store")
        return known

    @cached_property
    def rankings(self) -> RankingsStore:
        """What the ensemble ranks first, at the ends of histories and, where events have an order, at all of them."""
        contexts = "all" if self.split.sequential else "ends"
        of = [fingerprint_of(self.teacher), self.split.fingerprint, self.plan.k, contexts]
        place = self.place("rankings", of)

        def work() -> None:
            teacher = RecommenderTeacher(self.teacher, name="ensemble")
            teacher.label(self.split, place / "store", k=self.plan.k, contexts=contexts)

        self.once(place, work)
        return RankingsStore.open(place / "store", verify=False)

    @cached_property
    def vectors(self) -> Knowledge:
        """Weights and users' vectors of that member with most weight in the fusion that has some."""
        weights = self.teacher.weights_by_name()
        name = max((n for n, m in self.members.items() if isinstance(m, VectorModel)), key=lambda n: weights[n])
        member = self.members[name]
        assert isinstance(member, VectorModel)
        place = self.place(f"vectors/{name}", [fingerprint_of(member), self.split.fingerprint])
        self.once(place, partial(leave_vectors, member, self.split, place / "store", name))
        return Knowledge.open(place / "store")

    def student(self, arm: Arm, seed: int, said: Knowledge | None = None) -> Student:
        """Train the student, or find it trained; ``said`` takes the place of the ensemble's rankings."""
        training = arm.training.replace(seed=seed, metric=self.split.select)
        model = self.plan.student.replace(**arm.parameters)
        taught = any(objective.is_taught for objective in arm.objectives)
        rankings = Knowledge((self.rankings,) if taught else ()) if said is None else said
        known = rankings + self.embeddings
        if any(isinstance(objective, VectorsConfig | StartFrom) for objective in arm.objectives):
            known = known + self.vectors
        terms = [[objective.name, objective.model_dump(mode="json")] for objective in arm.objectives]
        of = [model.digest(), training.model_dump(mode="json"), terms, known.digest(), self.split.fingerprint]
        place = self.place(f"students/seed-{seed}", of)

        def work() -> dict[str, Any]:
            fitted = fit(model, self.split, arm.objectives, knowledge=known, training=training, directory=place / "fit")
            fitted.model.save(place / "model")
            return {"seconds": fitted.seconds, "history": fitted.history}

        self.once(place, work)
        about = read_json(place / "done.json")
        return Student(load_model(place / "model"), about["seconds"], about["history"], place)

    def _trained(self, name: str, teacher: TrainedTeacher) -> RankingModel:
        place = self._place(name, teacher)

        def work() -> None:
            known, training = self.embeddings, teacher.training.replace(metric=self.split.select)
            fitted = fit(
                teacher.model, self.split, knowledge=known, training=training, directory=place / "fit", label=name
            )
            fitted.model.save(place / "model")

        self.once(place, work)
        return load_model(place / "model")

    def _encode(self, encoder: Encoder, path: Path, name: str) -> None:
        encoder.teach(self.split, path, name=name)

    def _place(self, name: str, teacher: TrainedTeacher) -> Path:
        of = [teacher.model.digest(), teacher.training.model_dump(mode="json"), self.split.fingerprint]
        return self.place(f"teachers/{name}", of)

    def place(self, name: str, of: object) -> Path:
        return self.directory / name / hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:16]

    def once(self, place: Path, work: Callable[[], dict[str, Any] | None]) -> None:
        """Do the work unless it is done; what an interrupted one left is used by those that can go on."""
        if (place / "done.json").exists():
            return
        place.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(place / "model", ignore_errors=True)
        start = time.monotonic()
        facts = work() or {}
        write_json(place / "done.json", {"seconds": round(time.monotonic() - start, 1)} | facts)

    @staticmethod
    def _seconds(place: Path) -> float:
        return float(read_json(place / "done.json")["seconds"])
