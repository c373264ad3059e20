"""Terms that are chosen on validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recdistill.data.dataset import Contexts, Split
from recdistill.data.sequences import Sequences
from recdistill.errors import ConfigError, KnowledgeError
from recdistill.knowledge import Knowledge
from recdistill.models import MF, SASRec
from recdistill.models.item_knn import ItemKNN
from recdistill.objectives import CrossEntropy
from recdistill.objectives.auto import TASK, Auto
from recdistill.teachers import RecommenderTeacher
from recdistill.testing import tiny_split
from recdistill.training import Training, fit
from recdistill.training.auto import choose, objectives_of

STUDENT = SASRec(dim=8, blocks=1, dropout=0.0, max_length=10)
FEW = Training(epochs=3, batch=64, patience=3)


@pytest.fixture(scope="module")
def split() -> Split:
    return tiny_split()


@pytest.fixture(scope="module")
def knowledge(split: Split, tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    path = tmp_path_factory.mktemp("knn")
    return Knowledge((RecommenderTeacher(ItemKNN().build(split), name="knn").label(split, path / "rankings", k=5),))


def test_the_best_on_validation_is_chosen_and_goes_on(split: Split, knowledge: Knowledge, tmp_path: Path) -> None:
    fitted = fit(STUDENT, split, [Auto(minutes=5)], knowledge=knowledge, training=FEW, directory=tmp_path)
    choice = fitted.choice
    assert choice is not None
    assert choice.trials[0].name == choice.name
    finalists = [trial for trial in choice.trials if trial.rounds == 3]
    assert choice.trials[0].score == max(trial.score for trial in finalists)
    assert {trial.name for trial in choice.trials} == set(Auto().candidates(knowledge))
    # three epochs fit into the budget, so the chosen training was over: nothing is trained again
    assert fitted.seconds == pytest.approx(choice.trials[0].seconds, abs=0.01)
    valid = [record["valid"]["ndcg@10"] for record in fitted.history]
    assert max(valid) == choice.trials[0].score


def test_the_task_alone_stays_until_the_end_and_half_of_the_others_goes(split: Split, knowledge: Knowledge) -> None:
    choice = choose(Auto(minutes=0.001), STUDENT, split, knowledge=knowledge, training=FEW)
    rounds = {trial.name: trial.rounds for trial in choice.trials}
    assert rounds[TASK] == 3
    assert sorted(rounds.values())[:2] == [1, 1]
    assert choice.directory is None


def test_an_interrupted_choice_asks_no_candidate_again(split: Split, knowledge: Knowledge, tmp_path: Path) -> None:
    first = choose(Auto(minutes=5), STUDENT, split, knowledge=knowledge, training=FEW, directory=tmp_path)
    again = choose(Auto(minutes=5), STUDENT, split, knowledge=knowledge, training=FEW, directory=tmp_path)
    assert first.record() == again.record()


def test_a_choice_can_be_read_back(split: Split, knowledge: Knowledge) -> None:
    choice = choose(Auto(minutes=0.001), MF(dim=4), split, knowledge=knowledge, training=FEW)
    assert objectives_of(choice.record()) == list(choice.objectives)
    assert choice.record()["metric"] == "ndcg@10"


def test_a_teacher_that_knows_nothing_is_refused(split: Split, tmp_path: Path) -> None:
    model = ItemKNN().build(split)
    rng = np.random.default_rng(0)
    model.score = lambda contexts: rng.normal(size=(len(contexts), split.n_items)).astype(np.float32) * 9  # type: ignore[method-assign]
    noise = Knowledge((RecommenderTeacher(model, name="noise").label(split, tmp_path / "rankings", k=5),))
    training = Training(epochs=12, batch=32, patience=12, lr=1e-2)
    choice = choose(Auto(minutes=5), STUDENT, split, knowledge=noise, training=training)
    assert any(isinstance(term, CrossEntropy) for term in choice.objectives)


def test_what_cannot_be_chosen_is_said(split: Split, knowledge: Knowledge) -> None:
    with pytest.raises(KnowledgeError, match="no teacher left rankings"):
        fit(STUDENT, split, [Auto()], training=FEW)
    with pytest.raises(KnowledgeError, match="did you mean 'knn'"):
        fit(STUDENT, split, [Auto(teacher="knm")], knowledge=knowledge, training=FEW)
    with pytest.raises(ConfigError, match="stands alone"):
        fit(STUDENT, split, [CrossEntropy(), Auto()], knowledge=knowledge, training=FEW)
    nothing = Sequences(np.zeros(len(split.valid) + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
    blind = Split(
        split.dataset, split.train, Contexts(split.valid.users, split.valid.history, nothing), split.test, split.method
    )
    with pytest.raises(ConfigError, match="the split has none"):
        fit(STUDENT, blind, [Auto()], knowledge=knowledge, training=FEW)
