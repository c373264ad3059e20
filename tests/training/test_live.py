"""Teachers that change while the student learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recdistill.data.dataset import Split
from recdistill.errors import ConfigError
from recdistill.knowledge import rankings_of
from recdistill.models import EASE, FISM, MF, SASRec
from recdistill.models.neural import Batch
from recdistill.objectives import CrossEntropy, HardLabels, Ranking, SoftLabels
from recdistill.training import Fitted, MeanTeacher, Peer, Training, fit
from recdistill.training.learner import Forward
from recdistill.training.live.mean_teacher import MeanTeacherCopy
from recdistill.training.live.ranked import ranked
from tests.killed import killed_after

from .made_up import FAST, STUDENT, live_training, split
from .test_loop import ndcg, same

PEERS = [Peer(id="big", model=STUDENT.replace(dim=24))]
WITH_PEER = (CrossEntropy(), SoftLabels(teacher="big", temperature=1.0))


@pytest.fixture(scope="module")
def data() -> Split:
    return split()


def train(data: Split, *objectives: Any, epochs: int = 3, **more: Any) -> Fitted:
    settings = {key: more.pop(key) for key in list(more) if key in Training.model_fields}
    training = Training(**({"epochs": epochs} | FAST | settings))
    return fit(more.pop("model", STUDENT), data, objectives, training=training, **more)


def equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in a) and a.keys() == b.keys()


class TestRanked:
    """The same form as stored rankings, compared with those made by NumPy."""

    @pytest.mark.parametrize("bias", [False, True])
    def test_of_histories(self, bias: bool) -> None:
        torch.manual_seed(0)
        table, said_bias = torch.randn(7, 3), torch.randn(7) if bias else None
        inputs = torch.tensor([[1, 2, 7], [4, 4, 0]])  # 7 is padding
        at = torch.tensor([0, 1, 3, 5])
        labels = torch.zeros(4, 1, dtype=torch.int64)
        batch = Batch(torch.arange(2), inputs, at, torch.arange(4), labels, torch.ones(4, 1))
        hidden = torch.randn(4, 3)
        found = ranked(Forward(table, said_bias, hidden), batch, (1.0, 2.0), k=4, sequential=True)
        scores = (hidden @ table.T + (0 if said_bias is None else said_bias)).numpy()
        for row, seen in enumerate([[1], [1, 2], [4], [4, 0]]):
            scores[row, seen] = -np.inf
        wanted = rankings_of(scores, 4)
        np.testing.assert_array_equal(found.items, wanted.items)
        np.testing.assert_allclose(found.logp, wanted.logp, rtol=1e-5)
        np.testing.assert_allclose(found.tails[1.0], wanted.tail[:, 0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.tails[2.0], wanted.tail[:, 1], rtol=1e-4, atol=1e-5)
        assert found.confidence.tolist() == [1, 1, 1, 1]

    def test_of_users_and_of_those_who_have_seen_everything(self) -> None:
        labels = torch.tensor([[0, 1, 2], [2, -1, -1]])
        batch = Batch(
            torch.arange(2), torch.full((2, 1), 3), torch.arange(2), torch.arange(2), labels, torch.ones(2, 3)
        )
        said = Forward(torch.eye(3), None, torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]))
        found = ranked(said, batch, (1.0,), k=5, sequential=False)
        assert found.confidence.tolist() == [0, 1]
        assert found.items[1].tolist() == [1, 0, 0]
        assert found.logp[1].isneginf().tolist() == [False, False, True]
        assert not found.logp.isnan().any()
        all_of_them = ranked(said, batch, (1.0,), k=5, sequential=False, exclude_seen=False)
        assert all_of_them.items.tolist() == [[2, 1, 0]] * 2


class TestMeanTeacher:
    CONFIG = MeanTeacher(id="self", momentum=0.9, k=10)
    TERMS = (CrossEntropy(), SoftLabels(teacher="self", temperature=1.0, weight=0.5))

    def test_is_the_moving_average_of_the_student(self) -> None:
        teacher = MeanTeacherCopy(self.CONFIG)
        student: Any = torch.nn.Linear(1, 1, bias=False)
        mean: Any = torch.nn.Linear(1, 1, bias=False)
        teacher.student, teacher.mean = [student], mean
        teacher.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        values, expected = [3.0, 5.0, 4.0], None
        for step, value in enumerate(values, start=1):
            student.weight.data.fill_(value)
            before = float(mean.weight.item())
            keep = min(0.9, 1 - 1 / (step + 1))
            expected = keep * before + (1 - keep) * value
            teacher.after_step()
            assert mean.weight.item() == pytest.approx(expected)

    def test_it_teaches_and_comes_out_beside_the_student(self, data: Split) -> None:
        fitted = train(data, *self.TERMS, live=[self.CONFIG], epochs=8)
        losses = [record["loss"]["soft-labels"] for record in fitted.history]
        assert all(loss > 0 for loss in losses)
        mean = fitted.beside["self"]
        assert not equal(mean.tensors(), fitted.model.tensors())
        best = max(record["beside"]["self"]["valid"]["ndcg@10"] for record in fitted.history)
        assert ndcg(mean, data.valid) == pytest.approx(best)
        assert ndcg(mean, data.test) > 0.5 * ndcg(fitted.model, data.test)

    def test_without_momentum_it_is_the_student_of_the_last_step(self, data: Split) -> None:
        config = MeanTeacher(id="self", momentum=0.0)
        fitted = train(data, *self.TERMS, live=[config], epochs=1)
        assert equal(fitted.beside["self"].tensors(), fitted.model.tensors())

    def test_a_mean_teacher_of_users(self, data: Split) -> None:
        fitted = train(data, *self.TERMS, live=[self.CONFIG], model=MF(dim=8), epochs=2)
        assert fitted.history[-1]["loss"]["soft-labels"] > 0

    def test_any_ranking_objective_may_read_it(self, data: Split) -> None:
        terms = (CrossEntropy(), HardLabels(teacher="self"), Ranking(teacher="self", pick="underestimated"))
        assert set(train(data, *terms, live=[self.CONFIG], epochs=1).history[0]["loss"]) == {t.name for t in terms}


class TestPeer:
    def test_all_models_come_out_and_teach_each_other(self, data: Split) -> None:
        fitted = train(data, *WITH_PEER, live=PEERS, epochs=6)
        alone, big = train(data, CrossEntropy(), epochs=6), fitted.beside["big"]
        assert big.config == PEERS[0].model
        assert set(fitted.history[-1]["beside"]["big"]["loss"]) == {"cross-entropy", "soft-labels"}
        apart = train(data, CrossEntropy(), model=STUDENT.replace(dim=24), epochs=6, seed=FAST["seed"] + 1)

        def agreement(a: Any, b: Any) -> float:
            tops = [np.argsort(-model.score(data.test), axis=1)[:, :5] for model in (a, b)]
            return float(np.mean([len(set(x) & set(y)) for x, y in zip(*tops, strict=True)]))

        assert agreement(fitted.model, big) > agreement(alone.model, apart.model) + 0.3
        best = max(record["beside"]["big"]["valid"]["ndcg@10"] for record in fitted.history)
        assert ndcg(big, data.valid) == pytest.approx(best)

    def test_a_peer_that_only_listens_changes_nothing_for_the_student(self, data: Split) -> None:
        model = MF(dim=8)
        peer = Peer(id="big", model=model.replace(dim=24), objectives=[SoftLabels(teacher="student")])
        beside = train(data, CrossEntropy(), live=[peer], model=model, batch=16, epochs=6)
        alone = train(data, CrossEntropy(), model=model, batch=16, epochs=6)
        assert equal(beside.model.tensors(), alone.model.tensors())
        listened = [record["beside"]["big"]["loss"]["soft-labels"] for record in beside.history]
        assert listened[-1] < listened[0]

    def test_three_models_read_each_other(self, data: Split) -> None:
        first = Peer(id="a", model=STUDENT, objectives=[CrossEntropy(), SoftLabels(teacher="b")], lr=1e-3)
        second = Peer(id="b", model=FISM(dim=8, max_length=10), objectives=[CrossEntropy(), HardLabels(teacher="a")])
        fitted = train(data, CrossEntropy(), SoftLabels(teacher="a"), live=[first, second], epochs=2)
        assert list(fitted.beside) == ["a", "b"]
        assert set(fitted.history[0]["beside"]["b"]["loss"]) == {"cross-entropy", "hard-labels"}

    def test_equal_models_do_not_begin_as_one(self, data: Split) -> None:
        fitted = train(data, *WITH_PEER, live=[Peer(id="big", model=STUDENT, lr=1e-9)], epochs=1, lr=1e-9)
        assert not equal(fitted.model.tensors(), fitted.beside["big"].tensors())

    @pytest.mark.parametrize(
        ("live", "message"),
        [
            (Peer(id="big", model=EASE()), "ease is not trained by steps; let it teach from a store"),
            (Peer(id="big", model=MF(dim=4)), "sequential=False beside a student of sequential=True"),
            (Peer(id="big", model=SASRec(max_length=20)), "max_length=20 beside a student of max_length=10"),
            (Peer(id="student", model=STUDENT), "two teachers are called 'student'; that is what peers call"),
        ],
    )
    def test_misuse_is_one_line(self, data: Split, live: Peer, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            train(data, *WITH_PEER, live=[live])

    def test_models_of_closed_form_have_no_live_teachers(self, data: Split) -> None:
        with pytest.raises(ConfigError, match="ease is not trained by steps; remove live teachers"):
            fit(EASE(), data, live=PEERS)


LIVE_MIX = {
    "mean": ((*TestMeanTeacher.TERMS,), [TestMeanTeacher.CONFIG]),
    "peer": (WITH_PEER, PEERS),
}


@pytest.mark.parametrize("kind", LIVE_MIX)
def test_resumes_exactly(data: Split, tmp_path: Path, kind: str) -> None:
    terms, live = LIVE_MIX[kind]
    whole = train(data, *terms, live=live, epochs=5, directory=tmp_path / "whole")
    train(data, *terms, live=live, epochs=2, directory=tmp_path / "parts")
    parts = train(data, *terms, live=live, epochs=5, directory=tmp_path / "parts")
    assert same(whole, parts)
    for name, model in whole.beside.items():
        assert equal(model.tensors(), parts.beside[name].tensors())


def test_resumes_exactly_after_kill_9(data: Split, tmp_path: Path) -> None:
    code = "import sys; from tests.training.made_up import live_training; live_training(sys.argv[1], 10_000)"
    epochs = killed_after(3, tmp_path / "run", "-c", code, str(tmp_path / "run")) + 2
    resumed, whole = live_training(tmp_path / "run", epochs), live_training(None, epochs)
    assert same(resumed, whole)
    assert resumed.beside.keys() == whole.beside.keys() != set()
    for name, model in resumed.beside.items():
        assert equal(model.tensors(), whole.beside[name].tensors())
