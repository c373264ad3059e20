"""What trainings wrote down, in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recdistill.objectives import CrossEntropy, SoftLabels
from recdistill.objectives.auto import TASK
from recdistill.recipes import load_recipe, run_recipe
from recdistill.recipes.run import Run
from recdistill.recipes.schema import TrainSpec
from recdistill.recipes.told import candidates, listened
from recdistill.stages import Stage


def page(weight: float, positions: int = 10) -> dict[str, Any]:
    part = {"positions": positions, "answered": 1.0, "confidence": 1.0, "listed": 0.4, "weight": weight}
    return {"soft-labels": {"t": {"all": part, "short": {"positions": 0}}}}


def stage(*weights: float) -> Stage:
    history = [
        {"epoch": n, "weight": {"soft-labels": weight}} | ({"trust": page(weight / 2)} if weight else {})
        for n, weight in enumerate(weights, 1)
    ]
    return Stage("train/distilled", "key", Path("somewhere"), {"history": history}, 1.0, False)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"refuse": "validation"}, "the teacher was no better on validation any more"),
        ({"refuse": "labels"}, "the teacher gave the training labels no higher probability any more"),
        ({"weight": {"shape": "linear", "epochs": 3}}, "the schedule of its weight ended"),
        ({}, ""),
    ],
)
def test_a_term_that_fell_silent(more: dict[str, Any], why: str) -> None:
    spec = TrainSpec(objectives=[CrossEntropy(), SoftLabels(**more)])
    (found,) = listened(spec, [stage(1.0, 0.5, 0.0, 0.0), stage(1.0, 0.0, 0.0)])
    assert (found.term, found.teacher, found.silent_from, found.why) == ("soft-labels", "t", 3, why)
    (part,) = found.parts  # no position was short
    assert (part.name, part.positions, part.first, part.weight, part.listed) == ("all", 10, 0.5, 0.375, 0.4)


def test_a_term_that_is_heard_to_the_end() -> None:
    spec = TrainSpec(objectives=[CrossEntropy(), SoftLabels()])
    (found,) = listened(spec, [stage(1.0, 1.0), stage(1.0, 0.0)])
    assert found.silent_from is None
    assert list(listened(spec, [Stage("train/distilled", "key", Path(), {"history": []}, 1.0, False)])) == []


def test_a_teacher_that_answers_at_ends_only_is_not_said_to_have_missed_what_came_next() -> None:
    answered = {"positions": 40, "answered": 0.1, "listed": 0.0, "weight": 0.1}
    nothing = {"positions": 36, "answered": 0.0, "listed": 0.0, "weight": 0.0}
    ends = {"positions": 4, "answered": 1.0, "weight": 1.0}
    parts = {"ends": ends, "tail": nothing, "head": nothing, "all": answered}
    record = {"epoch": 1, "weight": {"soft-labels": 1.0}, "trust": {"soft-labels": {"t": parts}}}
    told = Stage("train/distilled", "key", Path("somewhere"), {"history": [record]}, 1.0, False)
    (found,) = listened(TrainSpec(objectives=[CrossEntropy(), SoftLabels()]), [told])
    assert [part.name for part in found.parts] == ["all", "head", "tail", "ends"]
    assert {part.listed for part in found.parts} == {None}


def test_the_terms_of_a_task_are_looked_up_in_the_task() -> None:
    spec = TrainSpec(
        objectives=[CrossEntropy()],
        tasks={"buy": {"objectives": [CrossEntropy(), SoftLabels(refuse="labels")]}},
    )
    told = stage(1.0, 0.0)
    for record in told.info["history"]:
        record["weight"] = {"buy/soft-labels": record["weight"]["soft-labels"]}
        if "trust" in record:
            record["trust"] = {"buy/soft-labels": record["trust"]["soft-labels"]}
    (found,) = listened(spec, [told])
    assert found.why.startswith("the teacher gave the training labels")


class _Chosen:
    """A run of which only the choice is looked at."""

    def __init__(self, **info: Any) -> None:
        self.info = info

    def chosen(self, kind: str) -> Stage:
        return Stage(f"choose/{kind}", "key", Path(), self.info, 1.0, False)


def trial(name: str, score: float, rounds: int, epochs: int = 4) -> dict[str, Any]:
    return {"name": name, "score": score, "epochs": epochs, "seconds": 2.0, "rounds": rounds}


def test_why_it_was_chosen() -> None:
    term = {"type": "soft-labels", "weight": {"start": 0.5, "end": 0.0, "shape": "linear"}}
    trials = [trial("probabilities", 0.12, 3), trial(TASK, 0.1, 3), trial("ranks", 0.08, 1), trial("late", 0.0, 1, 0)]
    run: Any = _Chosen(name="probabilities", metric="ndcg@10", objectives=[term], trials=trials)
    found, metric = candidates(run)
    assert metric == "NDCG@10"
    assert [c.chosen for c in found] == [True, False, False, False]
    assert found[0].reason == "the best of 4 on validation, +0.0200 against the task alone"
    assert found[0].about == "0.5 to 0 soft-labels"
    assert [c.reason for c in found[1:3]] == ["", "left out after round 1 of 3: the better half went on"]
    assert (found[3].score, found[3].epochs, found[3].seconds) == (None, 0, 2.0)
    alone: Any = _Chosen(name=TASK, metric="ndcg@10", objectives=[{"type": "cross-entropy", "weight": {"start": 1.0,
                         "shape": "constant"}}], trials=trials[1::-1])  # fmt: skip
    assert candidates(alone)[0][0].reason.startswith("no way of listening to the teacher did better")
    assert candidates(alone)[0][0].about == "cross-entropy"


def test_a_run_tells_of_its_choice_and_of_its_teacher(films: Path, tmp_path: Path) -> None:
    short = (
        "student.distilled.objectives=[{type: auto, minutes: 0.01}]", "student.distilled.training={epochs: 1}",
        "student.ablations={}", "seeds=[0]", "evaluate={baselines: [popularity], examples: 0}",
    )  # fmt: skip
    recipe = load_recipe(films / "films.yaml", short)
    data = run_recipe(recipe, tmp_path / "run")
    chosen = Run(recipe, tmp_path / "run").chosen("distilled")
    assert chosen is not None
    assert [c.name for c in data.choice] == [trial["name"] for trial in chosen.info["trials"]]
    assert [c.name for c in data.choice if c.chosen] == [chosen.info["name"]]
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "How the objectives were chosen" in text
    heard = {found.teacher for found in data.listened}
    assert heard == ({"both"} if chosen.info["name"] != TASK else set())
    assert ("Where the teacher was heard" in text) == bool(heard)
