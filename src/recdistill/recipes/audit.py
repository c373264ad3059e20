"""Whether the language models of a recipe are worth asking: a sample of validation contexts, and who else is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..data.dataset import Split
from ..errors import RecdistillError
from ..evaluation.audit import Audit, audit
from ..evaluation.audited import Audited
from ..evaluation.verdict import verdict, warnings
from ..models import RankingModel, load_model
from ..models.item_knn import ItemKNN
from ..models.popularity import Popularity
from .run import Run
from .schema import Recipe, TeacherSpec
from .teach import described

if TYPE_CHECKING:
    from ..teachers.llm.teacher import LLM
    from ..teachers.llm.trial import Lists, Trial

__all__ = ["STUDENT", "audits", "examine"]

STUDENT = "student alone"
_SHORT = 5
"""Events of a short history at most."""
_BLOCK = 256
"""Contexts scored at a time."""


def audits(
    recipe: Recipe, directory: str | Path, contexts: int = 100, orders: int = 3, lists: Lists = "auto",
    student: bool = True,
) -> list[Audited]:  # fmt: skip
    """Audit each language model of a recipe that ranks; results are kept in ``audit/ID.json`` of the run directory.

    If the run has a report, they become a part of it.

    The data, the teachers that candidates come from, the baselines and the student alone are stages of the run, which
    are done now if they are not yet, and not again later.

    Args:
        recipe: The experiment.
        directory: The run directory.
        contexts: Validation contexts at most.
        orders: Orders in which each list is shown.
        lists: Where the lists come from; see :func:`~recdistill.teachers.llm.trial.hold_trial`.
        student: Train the student alone, to compare with.

    Raises:
        TeacherError: A model cannot be asked, or a task does not rank.
    """
    run = Run(recipe, Path(directory))
    found = []
    with run.claimed():
        for spec in recipe.teachers:
            if spec.type == "llm":
                found.append(_audit(run, spec, contexts, orders, lists, student))
                found[-1].write(run.directory)
        if found:
            from ..reports import refresh_run_report

            refresh_run_report(run.directory)
    return found


def examine(trial: Trial, split: Split, others: dict[str, RankingModel], base: str | None = None) -> Audit:
    """The numbers of an audit.

    Args:
        trial: What the teacher said.
        split: The data.
        others: Rankers to compare with, at least one.
        base: Name of the one that the teacher would be added to; the best of them if None.
    """
    offered = trial.candidates >= 0
    scores = {name: _scores(model, trial) for name, model in others.items()}
    if base is None:
        from ..evaluation.audit import hits

        base = max(scores, key=lambda name: float(hits(scores[name], trial.right, offered).mean()))
    return audit(
        trial.p, trial.places, trial.right, offered, scores, base, _parts(trial, split), trial.otherwise,
        trial.contexts.users,
    )  # fmt: skip


def _audit(run: Run, spec: TeacherSpec, contexts: int, orders: int, lists: Lists, student: bool) -> Audited:
    from ..teachers.llm.trial import hold_trial

    llm: LLM = described(run.recipe, spec)  # type: ignore[assignment]
    place = run.directory / "stages" / "teach" / spec.id / "audit"  # beside the stage, where its journal is
    knowledge = run.knowledge_of(spec.uses)
    trial = hold_trial(llm, run.split, place, spec.id, knowledge, contexts, orders, lists)
    others = _others(run, student)
    found = examine(trial, run.split, others, STUDENT if student else None)
    return Audited(
        teacher=spec.id, task=llm.task.name, found=found, verdict=verdict(found), warnings=tuple(warnings(found)),
        drawn=trial.drawn, counts=trial.counts, tokens=trial.tokens, terms=tuple(_terms(run.recipe, spec.id)),
    )  # fmt: skip


def _terms(recipe: Recipe, teacher: str) -> Iterator[str]:
    """Keys of the weights of the terms that read a teacher."""
    for index, objective in enumerate(recipe.student.distilled.objectives):
        if teacher in objective.named_teachers:
            yield f"student.distilled.objectives.{index}.weight"


def _others(run: Run, student: bool) -> dict[str, RankingModel]:
    """Who could do the same without a language model."""
    tuned = run.baselines.path / "item-knn" if "item-knn" in run.recipe.evaluate.baselines else None
    others: dict[str, RankingModel] = {
        "popularity": Popularity().build(run.split),
        "item-knn": load_model(tuned) if tuned is not None else ItemKNN().build(run.split),
    }
    if student:
        others[STUDENT] = load_model(run.trained("alone", run.recipe.seeds[0]).path / "model")
    return others


def _scores(model: RankingModel, trial: Trial) -> npt.NDArray[np.float64]:
    """A ranker's scores of the candidates; the lowest of the list where there is none."""
    out = np.zeros(trial.candidates.shape)
    for start in range(0, len(out), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(out)))
        whole = np.asarray(model.score(trial.contexts.take(rows)), dtype=np.float64)
        out[rows] = np.take_along_axis(whole, np.maximum(trial.candidates[rows], 0).astype(np.int64), axis=1)
    if np.isnan(out).any():
        raise RecdistillError(f"{model.config.name} scores some items as NaN", hint="check its training")
    return out


def _parts(trial: Trial, split: Split) -> dict[str, npt.NDArray[np.bool_]]:
    """Contexts by the length of the history and the popularity of the right item."""
    events = split.popularity[trial.candidates[np.arange(len(trial.right)), trial.right]]
    by_size = np.sort(split.popularity)[::-1]
    half = by_size[int(np.searchsorted(np.cumsum(by_size), by_size.sum() / 2))] if len(by_size) else 0
    lengths = trial.contexts.history.lengths
    return {
        "short histories": lengths <= _SHORT,
        "long histories": lengths > _SHORT,
        "popular items": events >= half,
        "rare items": (events > 0) & (events < half),
        "new items": events == 0,
    }
