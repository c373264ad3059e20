"""Several tasks, one student."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recdistill as rd
from recdistill.data import Task
from recdistill.data.dataset import Split
from recdistill.errors import ConfigError, KnowledgeError
from recdistill.knowledge import RankingsWriter, rankings_of
from recdistill.models import EASE, MF, Headed, Popularity
from recdistill.models.base import RankingModel
from recdistill.objectives import CrossEntropy, SoftLabels
from recdistill.training import MeanTeacher, SideTask, Training, fit
from recdistill.training.batches import Loader
from recdistill.training.setup import teacher_score
from recdistill.training.tasks import TaskTerms
from tests.data.test_tasks import BUY, behaviours

from .made_up import FAST, STUDENT, chain
from .test_live import equal, train
from .test_loop import ndcg, same

SIDE = {"buy": SideTask(labels=BUY, objectives=[CrossEntropy()])}


@pytest.fixture(scope="module")
def data() -> Split:
    return behaviours(n_users=150)


@pytest.mark.parametrize("model", [STUDENT, MF(dim=8)])
def test_labels_at_every_position_are_those_of_the_task(data: Split, model: Any) -> None:
    student = model.build(data)
    terms = TaskTerms("buy", SIDE["buy"], student, Task(min_rating=4).of(data), rd.knowledge.Knowledge(()), 0)
    loader = Loader(data.train, data.n_items, length=10, sequential=model.sequential, positions=64, stores={},
                    temperatures={}, device=torch.device("cpu"), ends=True)  # fmt: skip
    met = 0
    for step in loader.epoch(0, 1):
        found = terms.targets(step.batch, {})
        wanted = torch.where(step.batch.labels % 3 == 0, step.batch.labels, -1)  # purchases are multiples of 3
        assert torch.equal(found.labels, wanted)
        assert torch.equal(found.weights, (wanted >= 0).float())
        met += int((wanted >= 0).sum())
    firsts = data.train.items[data.train.offsets[:-1][data.train.lengths > 0]] if model.sequential else np.zeros(0)
    assert met == (data.train.items % 3 == 0).sum() - (firsts % 3 == 0).sum() * model.sequential


def test_a_task_has_its_own_head_and_all_share_the_encoder(data: Split) -> None:
    fitted = train(data, CrossEntropy(), tasks=SIDE, epochs=12)
    buyer = fitted.beside["buy"]
    assert isinstance(buyer.config, Headed)
    contexts = BUY.of(data).test
    alone = train(data, CrossEntropy(), epochs=12).model
    assert ndcg(buyer, contexts) > ndcg(alone, contexts) + 0.03  # it knows that purchases are asked for
    assert ndcg(fitted.model, data.test) > 0.8 * ndcg(alone, data.test)
    best = max(record["beside"]["buy"]["valid"]["ndcg@10"] for record in fitted.history)
    assert ndcg(buyer, BUY.of(data).valid) == pytest.approx(best)
    assert set(fitted.history[0]["loss"]) == {"cross-entropy", "buy/cross-entropy"}


def test_a_task_without_head_pulls_at_the_same_scores(data: Split) -> None:
    side = {"buy": SIDE["buy"].replace(head="shared", weight=3.0)}
    fitted = train(data, CrossEntropy(), tasks=side, epochs=8)
    assert fitted.beside == {}
    contexts = BUY.of(data).test
    assert ndcg(fitted.model, contexts) > ndcg(train(data, CrossEntropy(), epochs=8).model, contexts)
    assert fitted.history[0]["weight"]["buy/cross-entropy"] == 3.0


def test_each_task_has_its_own_teacher(data: Split, tmp_path: Path) -> None:
    views, buys = Task(types=("view",)), BUY
    models: dict[str, RankingModel] = {}
    known = rd.knowledge.Knowledge(())
    for name, task in (("viewer", views), ("buyer", buys)):
        view = task.of(data)
        known += rd.teach(EASE(l2=5), view, name=name, k=10, directory=tmp_path / name)
        models[name] = EASE(l2=5).build(view.labelled)
    side = {"buy": SideTask(labels=buys, objectives=[SoftLabels(teacher="buyer", temperature=1.0)])}
    fitted = train(
        views.of(data), SoftLabels(teacher="viewer", temperature=1.0), tasks=side, knowledge=known, epochs=25
    )

    def agreement(student: RankingModel, teacher: RankingModel) -> float:
        tops = [np.argsort(-model.score(data.test), axis=1)[:, :5] for model in (student, teacher)]
        return float(np.mean([len(set(a) & set(b)) / 5 for a, b in zip(*tops, strict=True)]))

    student, buyer = fitted.model, fitted.beside["buy"]
    assert agreement(student, models["viewer"]) > agreement(student, models["buyer"]) + 0.2
    assert agreement(buyer, models["buyer"]) > agreement(buyer, models["viewer"]) + 0.2
    with pytest.raises(KnowledgeError, match="the rankings by 'buyer' are about other data"):
        train(data, SoftLabels(teacher="buyer"), knowledge=known)


def buyer(split: Split, path: Path) -> rd.knowledge.Knowledge:
    """Somebody who knows which purchase is next, at every position."""
    train, n = split.train, split.n_items
    last = train.items[np.maximum(np.concatenate([np.arange(train.n_events), train.offsets[1:]]) - 1, 0)]
    scores = np.where(np.arange(n) % 3 == 0, 0.2 * chain(n)[last], np.float32(-30))
    writer = RankingsWriter(
        path / "buyer", teacher="buyer", teacher_fingerprint="-", split_fingerprint=split.fingerprint, rows=len(last),
        k=10, n_items=n, meaning="-", contexts="all",
    )  # fmt: skip
    writer.add(np.arange(len(last)), rankings_of(scores, 10))
    writer.seal()
    return rd.knowledge.Knowledge.open(path / "buyer")


@pytest.mark.parametrize("refuse", ["validation", "labels"])
def test_a_teacher_is_compared_with_the_head_of_its_task(data: Split, tmp_path: Path, refuse: Any) -> None:
    buys = BUY.of(data)
    known = buyer(buys, tmp_path)
    term = SoftLabels(teacher="buyer", refuse=refuse, refuse_margin=1.0)
    side = {"buy": SideTask(labels=BUY, objectives=[CrossEntropy(), term], weight=0.5)}
    history = train(data, CrossEntropy(), tasks=side, knowledge=known, epochs=4).history
    weights = [record["weight"]["buy/soft-labels"] for record in history]
    assert weights[0] == 0.5
    if refuse == "validation":
        theirs = teacher_score(known.rankings("buyer")[0], buys, "ndcg@10")
        leads = [1 - record["beside"]["buy"]["valid"]["ndcg@10"] / theirs for record in history]
    else:
        pages = [record["trust"]["buy/soft-labels"]["buyer"]["all"] for record in history]
        leads = [page["teacher_logp"] - page["student_logp"] for page in pages]
    assert weights[1:] == pytest.approx([0.5 * min(max(lead, 0.0), 1.0) for lead in leads[:-1]])
    assert 0 < weights[1] < 0.5


def test_auto_chooses_for_the_own_task_beside_the_others(data: Split, tmp_path: Path) -> None:
    known = rd.teach(EASE(l2=5), data, name="all", k=10, directory=tmp_path / "all") + buyer(BUY.of(data), tmp_path)
    side = {"buy": SideTask(labels=BUY, objectives=[SoftLabels(teacher="buyer")])}
    fitted = train(
        data, rd.objectives.Auto(minutes=0.01), tasks=side, knowledge=known, epochs=2, directory=tmp_path / "fit"
    )
    assert fitted.choice is not None
    assert {name for term in fitted.choice.objectives for name in term.named_teachers} <= {"all"}
    assert "buy/soft-labels" in fitted.history[0]["loss"]
    assert list(fitted.beside) == ["buy"]


def test_closed_forms_count_what_counts(data: Split) -> None:
    popular = fit(Popularity(), BUY.of(data)).model
    assert (
        np.argsort(-popular.score(data.test.take([0]))[0])[:3].tolist()
        == (3 * np.argsort(-np.bincount(data.train.items, minlength=data.n_items)[::3], kind="stable")[:3]).tolist()
    )


@pytest.mark.parametrize("model", [STUDENT, MF(dim=8)])
def test_resumes_exactly(data: Split, tmp_path: Path, model: Any) -> None:
    side = {"buy": SIDE["buy"].replace(weight={"start": 1.0, "end": 0.2, "shape": "linear", "epochs": 4})}
    settings: dict[str, Any] = {"tasks": side, "model": model, "live": [MeanTeacher(id="self")]}
    terms = (CrossEntropy(), SoftLabels(teacher="self"))
    whole = train(data, *terms, **settings, epochs=5)
    train(data, *terms, **settings, epochs=2, directory=tmp_path)
    parts = train(data, *terms, **settings, epochs=5, directory=tmp_path)
    assert same(whole, parts)
    assert list(whole.beside) == ["self", "buy"]
    for name, beside in whole.beside.items():
        assert equal(beside.tensors(), parts.beside[name].tensors())


def test_misuse_is_one_line(data: Split) -> None:
    with pytest.raises(ConfigError, match="ease is not trained by steps; remove live teachers and tasks"):
        fit(EASE(), data, tasks=SIDE)
    with pytest.raises(ConfigError, match="a live teacher is called 'buy' too; rename the task"):
        train(data, CrossEntropy(), tasks=SIDE, live=[MeanTeacher(id="buy")])
    with pytest.raises(ConfigError, match="no objective to train by"):
        train(data, CrossEntropy(), tasks={"buy": SideTask(labels=BUY, objectives=[rd.objectives.StartFrom()])})
    assert Training(**FAST).seed == FAST["seed"]
