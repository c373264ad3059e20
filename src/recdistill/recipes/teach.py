"""What each kind of teacher does in its stage: fit if it must be fitted, then write its knowledge."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ..data.dataset import Split
from ..errors import ConfigError
from ..knowledge import Knowledge
from ..models import RankingModel, VectorModel, load_model
from ..objectives import CrossEntropy
from ..teachers import TEACHERS
from ..teachers.base import TeacherConfig
from ..teachers.ensemble import Ensemble, calibrated
from ..teachers.out_of_fold import OutOfFold, folds_of_users, without_users
from ..teachers.own_vectors import leave_vectors
from ..teachers.recommender import RecommenderTeacher, label_snapshots
from ..training import Fitted, fit, fit_across
from .rounds import asks_in_rounds, pupil
from .schema import Recipe, TeacherSpec
from .sources import split_data

__all__ = ["described", "load_ranker", "teach"]


def teach(
    recipe: Recipe, spec: TeacherSpec, split: Split, knowledge: Knowledge, earlier: dict[str, Path], path: Path
) -> dict[str, Any]:
    """Do the work of one teacher.

    Args:
        recipe: The whole recipe.
        spec: The teacher.
        split: The data.
        knowledge: Of the teachers before it.
        earlier: Directories of the teachers before it.
        path: Its directory; afterwards it holds sealed stores, and for rankers a fitted model.

    Returns:
        Facts for the report.
    """
    if spec.type == "recommender":
        return _recommender(recipe, spec, split, knowledge, path)
    if spec.type == "ensemble":
        return _ensemble(recipe, spec, split, earlier, path)
    teacher = described(recipe, spec)
    if asks_in_rounds(spec):
        from ..teachers.llm.rounds import label_in_rounds

        return label_in_rounds(teacher, split, path, spec.id, knowledge, pupil(recipe, split, knowledge))  # type: ignore[arg-type]
    return dict(teacher.teach(split, path, name=spec.id, knowledge=knowledge) or {})


def described(recipe: Recipe, spec: TeacherSpec) -> TeacherConfig:
    """The parameters of a teacher that does not rank; relative files in them start from the recipe's folder."""
    teacher: TeacherConfig = TEACHERS[spec.type].load()(**spec.parameters)
    return teacher.at(recipe.base)


def _recommender(recipe: Recipe, spec: TeacherSpec, split: Split, knowledge: Knowledge, path: Path) -> dict[str, Any]:
    assert spec.model is not None
    if spec.source is None:
        fitted = _fit(spec, split, knowledge, path / "fit", spec.id)
    else:
        fitted = _across(recipe, spec, split, knowledge, path)
    model = fitted.model
    model.save(path / "model")
    for fold, folds in _folds(spec, split.n_users):
        rest = without_users(split, folds == fold)
        _fit(spec, rest, knowledge, path / f"fit-{fold}", f"{spec.id}, fold {fold + 1}").model.save(
            path / f"fold-{fold}"
        )
    if isinstance(model, VectorModel):
        leave_vectors(model, split, path, spec.id)
    if recipe.labels(spec):
        labeller = _labeller(spec, split.n_users, path)
        fused = calibrated(spec.id, model, split.valid, exclude_seen=recipe.exclude_history)
        if isinstance(fused, Ensemble):
            labeller = fused.with_members({spec.id: labeller})
        _ranking(recipe, spec, labeller).label(split, path / "rankings", k=spec.k)
        label_snapshots(fitted.snapshots, split, path, spec.id, spec.k, exclude_seen=recipe.exclude_history)
    return {"history": fitted.history, "best_epoch": fitted.best_epoch, "fit_seconds": fitted.seconds}


def _ranking(recipe: Recipe, spec: TeacherSpec, model: RankingModel) -> RecommenderTeacher:
    return RecommenderTeacher(model, name=spec.id, exclude_seen=recipe.exclude_history)


def _fit(spec: TeacherSpec, split: Split, knowledge: Knowledge, directory: Path, label: str) -> Fitted:
    assert spec.model is not None
    return fit(
        spec.model, split, spec.objectives or [CrossEntropy()],
        knowledge=knowledge, training=spec.training, directory=directory, label=label, snapshots=spec.snapshots,
    )  # fmt: skip


def _across(recipe: Recipe, spec: TeacherSpec, split: Split, knowledge: Knowledge, path: Path) -> Fitted:
    """Train on other data; texts are embedded by the encoder that the model names."""
    from ..models.sequence import SequenceConfig
    from ..teachers.encoder import Encoder

    assert spec.source is not None
    assert isinstance(spec.model, SequenceConfig)
    named = next((teacher for teacher in recipe.teachers if teacher.id == spec.model.text), None)
    encoder = None if named is None or named.ranks else described(recipe, named)
    if not isinstance(encoder, Encoder):
        what = f"{spec.model.text!r} is no encoder, so nobody embeds the source's items"
        raise ConfigError(
            what, key=("teachers", spec.id, "model", "text"), hint="name a text-encoder or an llm-encoder"
        )
    source = split_data(spec.source, recipe.base)
    texts = path / "source-texts"
    encoder.embed_items(source, texts, teacher=spec.model.text)
    fitted = fit_across(
        spec.model, source, split, source_texts=Knowledge.open(texts), target_texts=knowledge, training=spec.training,
        adapt=spec.source.adapt, directory=path / "fit", label=spec.id,
    )  # fmt: skip
    shutil.rmtree(texts)  # of other items than what the student learns from
    return fitted


def _folds(spec: TeacherSpec, n_users: int) -> list[tuple[int, Any]]:
    return [(fold, folds_of_users(n_users, spec.folds)) for fold in range(spec.folds)] if spec.folds > 1 else []


def _labeller(spec: TeacherSpec, n_users: int, path: Path) -> RankingModel:
    """The model that labels: fitted on everything, or each user's fold model."""
    if spec.folds < 2:
        return load_model(path / "model")
    models = [load_model(path / f"fold-{fold}") for fold in range(spec.folds)]
    return OutOfFold(models, folds_of_users(n_users, spec.folds))


def _ensemble(recipe: Recipe, spec: TeacherSpec, split: Split, earlier: dict[str, Path], path: Path) -> dict[str, Any]:
    specs = {teacher.id: teacher for teacher in recipe.teachers}
    members = {name: load_model(earlier[name] / "model") for name in spec.members}
    ensemble = Ensemble.fit(members, split.valid, **{"exclude_seen": recipe.exclude_history, **spec.parameters})
    ensemble.save_weights(path / "ensemble.json")
    if recipe.labels(spec):
        labellers = {name: _labeller(specs[name], split.n_users, earlier[name]) for name in spec.members}
        _ranking(recipe, spec, ensemble.with_members(labellers)).label(split, path / "rankings", k=spec.k)
    return {"weights": ensemble.weights_by_name(), "temperature": ensemble.temperature}


def load_ranker(recipe: Recipe, name: str, places: dict[str, Path]) -> RankingModel:
    """The fitted model of a recommender or ensemble teacher.

    Args:
        recipe: The recipe.
        name: The teacher's id.
        places: Directories of the teachers.

    Raises:
        ConfigError: That teacher does not rank.
    """
    spec = next(t for t in recipe.teachers if t.id == name)
    if spec.type == "recommender":
        return load_model(places[name] / "model")
    if spec.type == "ensemble":
        members = {member: load_model(places[member] / "model") for member in spec.members}
        return Ensemble.load_weights(places[name] / "ensemble.json", members)
    raise ConfigError(f"teacher {name!r} does not rank items")
