"""What trainings and teachers wrote down, as the report has it: the choice of terms, whom they believed, and rounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..objectives.auto import TASK
from ..objectives.ledger import SLICES
from ..reports import results as report
from ..teachers.llm.budget import Prices
from ..training.setup import named_terms
from .comparisons import shown
from .rounds import asks_in_rounds

if TYPE_CHECKING:
    from ..stages import Stage
    from .run import Run
    from .schema import TrainSpec

__all__ = ["asked_in_rounds", "asked_of_models", "candidates", "listened"]


def candidates(run: Run) -> tuple[list[report.Candidate], str]:
    """What the terms of the distilled student were chosen from, the chosen first, and the metric that decided.

    Empty where the recipe names the terms.
    """
    stage = run.chosen("distilled")
    if stage is None:
        return [], "NDCG@10"
    record = stage.info
    trials: list[Mapping[str, Any]] = record["trials"]
    last = max(trial["rounds"] for trial in trials)
    terms = " + ".join(f"{_weight(term)}{term['type']}" for term in record["objectives"])
    found = [
        report.Candidate(
            name=trial["name"],
            about=terms if trial["name"] == record["name"] else "",
            score=trial["score"] if trial["epochs"] else None,
            epochs=trial["epochs"],
            seconds=trial["seconds"],
            chosen=trial["name"] == record["name"],
            reason=_reason(trial, trials, last),
        )
        for trial in trials
    ]
    return found, shown(record["metric"])


def _weight(term: Mapping[str, Any]) -> str:
    weight = term["weight"]
    if weight["shape"] != "constant":
        return f"{weight['start']:g} to {weight['end']:g} "
    return "" if weight["start"] == 1 else f"{weight['start']:g} "


def _reason(trial: Mapping[str, Any], trials: Sequence[Mapping[str, Any]], last: int) -> str:
    """The winner is the first of the trials."""
    if trial is not trials[0]:
        if trial["rounds"] < last:
            return f"left out after round {trial['rounds']} of {last}: the better half went on"
        return ""
    if trial["name"] == TASK:
        return "no way of listening to the teacher did better on validation within the time"
    alone = next(other for other in trials if other["name"] == TASK)
    return f"the best of {len(trials)} on validation, {trial['score'] - alone['score']:+.4f} against the task alone"


def listened(spec: TrainSpec, trainings: Sequence[Stage]) -> Iterable[report.Listened]:
    """How much each term of the distilled student believed its teacher, by kind of position, at first and in the end.

    The means are over seeds. A term that was not active in an epoch says nothing in it; one that was refused for good
    has its last page from before that, and the epoch from which on its weight was 0.

    Args:
        spec: How the student was trained.
        trainings: One for each seed.
    """
    histories = [stage.info["history"] for stage in trainings]
    pages = [[record for record in history if record.get("trust")] for history in histories]
    named = dict.fromkeys(
        (term, teacher)
        for history in pages
        for record in history
        for term, told in record["trust"].items()
        for teacher in told
    )
    for term, teacher in named:
        first, final = (
            [
                page
                for history in pages
                if (page := next((p for r in order(history) if (p := _page(r, term, teacher))), None)) is not None
            ]
            for order in (iter, reversed)
        )
        yield report.Listened(
            term=term,
            teacher=teacher,
            silent_from=_silent_from(histories, term),
            why=_why(spec, term),
            parts=tuple(
                report.ListenedPart(
                    name=part,
                    positions=round(float(np.mean([page[part]["positions"] for page in final]))),
                    answered=_mean(final, part, "answered"),
                    listed=_mean(final, part, "listed") if _answered_labels(final) else None,
                    first=_mean(first, part, "weight") or 0.0,
                    weight=_mean(final, part, "weight") or 0.0,
                )
                for part in SLICES  # of which older runs have fewer
                if part in final[0] and any(page[part]["positions"] for page in final)
            ),
        )


def asked_of_models(run: Run) -> Iterable[report.Asked]:
    """What became of the questions to each language model, and what they cost."""
    for spec in run.recipe.teachers:
        if spec.type == "llm":
            info = run.teacher(spec).info
            yield report.Asked(
                teacher=spec.id,
                model=info["model"],
                questions=info["questions"],
                requests=info.get("requests"),  # which older runs did not write down
                tokens_in=info["tokens_in"],
                tokens_out=info["tokens_out"],
                seconds=info["seconds"],
                money=info.get("money", ""),
                twice=info["possibly_paid_twice"],
            )


def asked_in_rounds(run: Run) -> Iterable[report.Asking]:
    """What each round of the language models that were asked in rounds cost and brought."""
    for spec in run.recipe.teachers:
        if asks_in_rounds(spec):
            info = run.teacher(spec).info
            yield report.Asking(
                teacher=spec.id,
                metric=shown(info["metric"]),
                alone=info["alone"],
                currency=spec.parameters.get("prices", {}).get("currency", Prices().currency),
                rounds=tuple(report.Round(**found) for found in info["rounds"]),
                ended=info["ended"],
            )


def _page(record: Mapping[str, Any], term: str, teacher: str) -> Mapping[str, Mapping[str, float]] | None:
    found: Mapping[str, Mapping[str, float]] | None = record["trust"].get(term, {}).get(teacher)
    return found


def _mean(pages: Sequence[Mapping[str, Mapping[str, float]]], part: str, value: str) -> float | None:
    known = [page[part][value] for page in pages if value in page[part]]
    return float(np.mean(known)) if known else None


def _answered_labels(pages: Sequence[Mapping[str, Mapping[str, float]]]) -> bool:
    """Whether any answer is where it is known what came next: some are at the ends of histories only."""
    known = [page[part] for page in pages for part in ("head", "tail") if part in page]
    return not known or any(found["positions"] and found.get("answered", 1.0) for found in known)


def _silent_from(histories: Sequence[Sequence[Mapping[str, Any]]], term: str) -> int | None:
    """The first epoch after the last one in which any seed gave the term a weight; None where it had one to the end."""
    heard = [max((r["epoch"] for r in history if r["weight"].get(term)), default=0) for history in histories]
    ends = [history[-1]["epoch"] for history in histories if history]
    return max(heard) + 1 if ends and all(h < end for h, end in zip(heard, ends, strict=False)) else None


def _why(spec: TrainSpec, term: str) -> str:
    """What could make the term silent, in the words of the report."""
    task, _, name = term.rpartition("/")
    objective = named_terms(spec.tasks[task].objectives if task else spec.objectives)[name]
    refuse = getattr(objective, "refuse", "never")
    reasons = {"validation": "the teacher was no better on validation any more",
               "labels": "the teacher gave the training labels no higher probability any more"}  # fmt: skip
    if refuse in reasons:
        return reasons[refuse]
    return "the schedule of its weight ended" if objective.weight.shape != "constant" else ""
