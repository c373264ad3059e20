"""Several teachers in one term: against its formula, and whom it learns to trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recdistill.data.dataset import Split
from recdistill.errors import ConfigError, KnowledgeError
from recdistill.evaluation import metric_values, rank
from recdistill.knowledge import Knowledge
from recdistill.models import MF
from recdistill.objectives import SeveralTeachers, SoftLabels
from recdistill.objectives.base import Moment, ScoreObjective, Targets, TeacherRankings
from recdistill.objectives.lists import Scene
from recdistill.objectives.several_teachers import SeveralTeachersLoss
from recdistill.training import Fitted, Training, fit
from tests.killed import killed_after
from tests.training.made_up import FAST, STUDENT

from .naive import NaiveScores, made_up_targets
from .several.two_worlds import mix, teach, two_worlds

NAMES = ("teacher", "other", "third")
COMBINE = ("mean", "confidence", "margin", "label", "gate", "bandit")


def ready(**parameters: Any) -> SeveralTeachersLoss:
    """As :meth:`prepare` would leave it, with a gate that has not learned yet and a bandit of one cluster."""
    config = SeveralTeachers(**parameters)
    objective: SeveralTeachersLoss = config.build()
    objective.teachers, objective.mix = NAMES, config.mix(len(NAMES))
    objective.popularity = torch.ones(12)
    return objective


@pytest.mark.parametrize("combine", ["mean", "confidence", "label"])
@pytest.mark.parametrize("m", [1, 3])
def test_formula(combine: str, m: int) -> None:
    z = 2 * np.random.default_rng(1).standard_normal((8, 12))
    targets, scores = made_up_targets(8, 12, 4, teachers=NAMES, m=m), NaiveScores(torch.from_numpy(z))
    objective = ready(combine=combine, temperature=2.0)
    got = objective.loss(scores, targets)
    shares = objective._shares(_scenes(objective, scores, targets))
    wanted = torch.zeros(8, dtype=torch.float64)
    for column, name in enumerate(NAMES):
        alone: ScoreObjective = SoftLabels(temperature=2.0).build()
        alone.teachers = (name,)
        wanted += shares[:, column] * alone.loss(scores, targets)
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-7)
    answered = torch.stack([_spoke(targets.rankings[name]) for name in NAMES], dim=1)
    torch.testing.assert_close(shares.sum(1), answered.any(1).to(shares.dtype))
    if combine == "mean":
        torch.testing.assert_close(shares, answered / answered.sum(1, keepdim=True).clamp_min(1))
    assert got[1] == got[2] == 0  # an empty list; nobody answered


def _spoke(known: TeacherRankings) -> torch.Tensor:
    return (known.confidence > 0) & ~known.logp[:, 0].isneginf()


def _scenes(objective: SeveralTeachersLoss, scores: NaiveScores, targets: Targets) -> list[Scene]:
    return [Scene(scores, targets.rankings[name], targets, objective.popularity) for name in NAMES]


def test_a_refused_teacher_leaves_its_share_to_the_others() -> None:
    targets = made_up_targets(8, 12, 4, teachers=NAMES)
    scores = NaiveScores(torch.randn(8, 12, generator=torch.Generator().manual_seed(0)))
    objective = ready(combine="mean", refuse="validation", weight=0.5)
    leads = {"teacher": 0.05, "other": -0.2, "third": 0.5}
    assert objective.begin(Moment(2, lead=leads.__getitem__)) == 0.5
    shares = objective._shares(_scenes(objective, scores, targets))
    spoke = torch.stack([_spoke(targets.rankings[name]) for name in NAMES], dim=1)
    all_spoke = spoke.all(1)
    torch.testing.assert_close(shares[all_spoke][0], torch.tensor([1 / 3, 0.0, 2 / 3]))
    assert objective.begin(Moment(2, lead=lambda _: 0.01)) == pytest.approx(0.05)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Split, Knowledge]:
    """Two groups of users, and two teachers that know one each; and one that knows both beside one that knows none."""
    split, _ = two_worlds()
    path = tmp_path_factory.mktemp("worlds")
    return split, teach(split, path, {"even": [0], "odd": [1], "both": [0, 1], "none": []})


def trained(worlds: tuple[Split, Knowledge], combine: str, teachers: tuple[str, ...], **more: Any) -> Fitted:
    split, known = worlds
    directory = more.pop("directory", None)
    settings = {"epochs": 25, **FAST, **{key: more.pop(key) for key in list(more) if key in Training.model_fields}}
    terms = mix(combine, teachers, **more)
    return fit(STUDENT, split, terms, knowledge=known, training=Training(**settings), directory=directory)


def weights(fitted: Fitted, epoch: int = -1) -> dict[str, float]:
    pages = fitted.history[epoch]["trust"]["several-teachers"]
    return {name: page["all"]["weight"] for name, page in pages.items()}


@pytest.mark.parametrize("combine", ["gate", "bandit"])
@pytest.mark.parametrize("judge", ["labels", "validation"])
def test_the_good_teacher_is_learned(worlds: tuple[Split, Knowledge], combine: str, judge: str) -> None:
    found = trained(worlds, combine, ("both", "none"), judge=judge)
    ends = 1 / 9 if (combine, judge) == ("gate", "validation") else 0  # where the gate is judged, all count alike
    assert weights(found)["both"] > 0.9 * (1 - ends) + 0.5 * ends
    if (combine, judge) == ("gate", "labels"):
        assert weights(found, 0)["both"] < 0.75  # it starts as the mean


@pytest.mark.parametrize("combine", ["gate", "bandit"])
def test_who_is_good_where_is_learned(worlds: tuple[Split, Knowledge], combine: str) -> None:
    """Each teacher is good for one group of users: the student learns from the right one, and the mean is worse."""
    split, _ = worlds
    found, mean = (trained(worlds, how, ("even", "odd")) for how in (combine, "mean"))
    scores = []
    for fitted in (found, mean):
        ranked = rank(fitted.model, split.test, 10, exclude_history=False)
        scores.append(float(np.nanmean(metric_values(ranked, split.test.targets, "ndcg@10"))))
    assert scores[0] > scores[1] + 0.05
    assert weights(found) == pytest.approx({"even": 0.5, "odd": 0.5}, abs=0.05)  # half of the users belong to each
    listed = found.history[-1]["trust"]["several-teachers"]["even"]["all"]["listed"]
    assert 0.4 < listed < 0.8


@pytest.mark.parametrize("combine", COMBINE)
def test_resumes_exactly(worlds: tuple[Split, Knowledge], tmp_path: Path, combine: str) -> None:
    whole = trained(worlds, combine, ("even", "odd"), epochs=4)
    trained(worlds, combine, ("even", "odd"), epochs=2, directory=tmp_path)
    parts = trained(worlds, combine, ("even", "odd"), epochs=4, directory=tmp_path)
    tensors, others = whole.model.tensors(), parts.model.tensors()
    assert all(np.array_equal(tensors[name], others[name]) for name in tensors)
    assert [r["trust"] for r in whole.history] == [r["trust"] for r in parts.history]


def test_resumes_exactly_after_kill_9(worlds: tuple[Split, Knowledge], tmp_path: Path) -> None:
    """What the bandit has counted since the last checkpoint is lost with it, and counted again."""
    epochs = killed_after(3, tmp_path / "run", "-m", "tests.objectives.several.two_worlds", str(tmp_path)) + 2
    given = {"epochs": epochs, "checkpoint_seconds": 0}
    known = Knowledge.open(tmp_path / "taught")
    resumed = trained((worlds[0], known), "bandit", ("even", "odd"), directory=tmp_path / "run", **given)
    whole = trained((worlds[0], known), "bandit", ("even", "odd"), **given)
    assert len(resumed.history) == epochs
    assert [r["trust"] for r in whole.history] == [r["trust"] for r in resumed.history]
    tensors, others = whole.model.tensors(), resumed.model.tensors()
    assert all(np.array_equal(tensors[name], others[name]) for name in tensors)


def test_a_gate_gets_a_gradient_and_the_loss_is_the_students(worlds: tuple[Split, Knowledge]) -> None:
    split, known = worlds
    objective = SeveralTeachers(teachers=("even", "odd"), combine="gate").build()
    model = STUDENT.build(split)
    objective.prepare(model, split, known, 0)
    assert {name for name, _ in objective.named_parameters()} == {
        f"mix.network.{part}" for part in ("0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias")
    }
    first = trained(worlds, "gate", ("even", "odd"), epochs=1, lr=1e-12).history[0]["loss"]
    mean = trained(worlds, "mean", ("even", "odd"), epochs=1, lr=1e-12).history[0]["loss"]
    assert first == pytest.approx(mean, rel=1e-4)  # untrained, it is the mean, and its own loss is not in the number


def test_all_that_left_rankings_if_none_is_named(worlds: tuple[Split, Knowledge]) -> None:
    found = trained(worlds, "mean", (), epochs=1)
    assert weights(found) == pytest.approx(dict.fromkeys(("both", "even", "none", "odd"), 0.25))


def test_refusals(worlds: tuple[Split, Knowledge]) -> None:
    split, known = worlds
    with pytest.raises(ConfigError, match="name at least two different teachers"):
        SeveralTeachers(teachers=("even",))
    with pytest.raises(ConfigError, match="name at least two different teachers"):
        SeveralTeachers(teachers=("even", "even"))
    with pytest.raises(KnowledgeError, match="no rankings by a teacher called 'evn'; did you mean 'even'"):
        trained(worlds, "mean", ("evn", "odd"))
    alone = Knowledge(known.rankings("even"))
    with pytest.raises(ConfigError, match="only 'even' left rankings; teach a second one, or use soft-labels"):
        fit(STUDENT, split, [SeveralTeachers()], knowledge=alone, training=Training(epochs=1))
    for combine in ("gate", "label", "bandit"):
        term = SeveralTeachers(teachers=("even", "odd"), combine=combine)
        with pytest.raises(ConfigError, match=f"combine '{combine}' learns from what came next, and mf knows users"):
            fit(MF(dim=4), split, [term], knowledge=known, training=Training(epochs=1))
    term = SeveralTeachers(teachers=("even", "odd"), combine="bandit", judge="validation", clusters=2)
    fit(MF(dim=4), split, [term], knowledge=known, training=Training(**{**FAST, "epochs": 1}))
