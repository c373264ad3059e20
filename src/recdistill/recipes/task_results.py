"""What a run measures about the tasks that the student learned beside its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..evaluation import evaluate
from ..models import Popularity, RankingModel, load_model
from ..reports import results as report
from .comparisons import ALONE, shown
from .teach import load_ranker

if TYPE_CHECKING:
    from .run import Run

__all__ = ["task_results"]


def task_results(run: Run) -> Iterable[report.TaskResult]:
    """Every further task of the distilled student, on the test contexts that have targets of that task.

    Its head stands beside the teachers of the task, popularity among its labels, and the student alone, which was
    trained for the student's own task and says what one model without further tasks would do here.
    """
    recipe, distilled = run.recipe, run.trainings["distilled"]
    places = {stage.name.removeprefix("teach/"): stage.path for stage in run.taught}
    for name, side in recipe.student.distilled.tasks.items():
        split = run.split_of(name)
        models: dict[str, Sequence[RankingModel]] = {}
        for teacher in recipe.teachers:
            if teacher.ranks and teacher.task == name:
                models[teacher.id] = [load_ranker(recipe, teacher.id, places)]
        own = "beside/" + name if side.head == "linear" else "model"
        models[f"student, {name}"] = [load_model(stage.path / own) for stage in distilled]
        models[ALONE] = [load_model(stage.path / "model") for stage in run.trainings["alone"]]
        models["popularity"] = [Popularity().build(split.labelled)]
        metric = recipe.evaluate.metric
        result = evaluate(models, split, "test", recipe.evaluate.k, exclude_history=recipe.exclude_history)
        intervals = {row: result.interval(metric, row) for row in models}
        found = result.compare(f"student, {name}", ALONE, metric)
        yield report.TaskResult(
            name=name,
            meaning=recipe.tasks[name].words,
            contexts=len(split.test),
            values={row: interval.mean for row, interval in intervals.items()},
            intervals={row: (interval.low, interval.high) for row, interval in intervals.items()},
            gain=report.Comparison(
                better=f"student, {name}", than=ALONE, metric=shown(metric),
                difference=found.difference, low=found.low, high=found.high,
            ),
        )  # fmt: skip
