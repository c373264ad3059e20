"""A teacher that is asked about what the student would recommend now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recdistill.data.dataset import Split
from recdistill.errors import ConfigError, TrainingError
from recdistill.knowledge import RankingsStore
from recdistill.models import EASE, MF, RankingModel
from recdistill.objectives import CrossEntropy, SoftLabels
from recdistill.teachers.ensemble import calibrated
from recdistill.training import OnPolicy
from tests.killed import killed_after

from .made_up import STUDENT, on_policy_training, split
from .test_live import equal, train
from .test_loop import same

TERMS = (CrossEntropy(weight=0.5), SoftLabels(teacher="asked", temperature=1.0))
LIVE = (OnPolicy(id="asked", of="big", every=2, after=1, k=6),)


@pytest.fixture(scope="module")
def data() -> Split:
    return split()


@pytest.fixture(scope="module")
def big(data: Split) -> dict[str, RankingModel]:
    return {"big": train(data, CrossEntropy(), model=STUDENT.replace(dim=24), epochs=6).model}


def test_rounds_are_about_the_students_own_items(data: Split, big: dict[str, RankingModel], tmp_path: Path) -> None:
    fitted = train(data, *TERMS, live=LIVE, models=big, epochs=5, directory=tmp_path)
    assert [record["beside"]["asked"].get("round") for record in fitted.history] == [None, 1, 1, 2, 2]
    assert [record["loss"]["soft-labels"] > 0 for record in fitted.history] == [False, True, True, True, True]
    first, second = (RankingsStore.open(tmp_path / "live" / "asked" / f"round-{n:04d}") for n in (1, 2))
    assert first.manifest.teacher == "asked, round 1"
    after_one = train(data, *TERMS, live=LIVE, models=big, epochs=1, patience=10).model
    context = data.valid.history[7]
    position = data.train.n_events + 7  # the end of a row: its context is the whole history
    assert data.valid.users[7] == 7
    scores = after_one.score(data.valid.take([7]))[0].copy()
    scores[context] = -np.inf
    own = np.argsort(-scores)[:6]
    asked = first.read([position])
    assert set(asked.items[0].tolist()) == set(own.tolist())
    teacher = big["big"].score(data.valid.take([7]))[0].astype(np.float64)
    teacher[context] = -np.inf
    wanted = teacher - np.logaddexp.reduce(teacher)
    np.testing.assert_allclose(asked.logp[0], wanted[asked.items[0]], atol=0.02)
    unlisted = np.delete(wanted, asked.items[0])
    np.testing.assert_allclose(asked.tail[0, 0], np.logaddexp.reduce(unlisted), atol=0.01)
    assert (first.read(np.arange(50)).items != second.read(np.arange(50)).items).any()  # the student has changed


def test_what_is_drawn_differs_from_the_top(data: Split, big: dict[str, RankingModel], tmp_path: Path) -> None:
    for pick in ("top", "draw"):
        live = [LIVE[0].replace(pick=pick)]
        train(data, *TERMS, live=live, models=big, epochs=2, directory=tmp_path / pick)
    top, drawn = (
        RankingsStore.open(tmp_path / pick / "live" / "asked" / "round-0001").read(np.arange(1, 200)).items
        for pick in ("top", "draw")
    )
    shared = np.mean([len(set(a) & set(b)) for a, b in zip(top, drawn, strict=True)])
    assert 1 < shared < 5


@pytest.mark.parametrize("pick", ["top", "draw"])
def test_resumes_exactly(data: Split, big: dict[str, RankingModel], tmp_path: Path, pick: str) -> None:
    live: dict[str, Any] = {"live": [LIVE[0].replace(pick=pick)], "models": big}
    whole = train(data, *TERMS, **live, epochs=6)
    for epochs in (2, 3, 6):  # in the middle of a round, and at its end
        parts = train(data, *TERMS, **live, epochs=epochs, directory=tmp_path)
    assert same(whole, parts)


def test_a_round_is_not_asked_again(data: Split, big: dict[str, RankingModel], tmp_path: Path) -> None:
    train(data, *TERMS, live=LIVE, models=big, epochs=3, directory=tmp_path)
    (tmp_path / "checkpoint.safetensors").unlink()  # the training is lost, the rounds are not
    shards = sorted((tmp_path / "live").rglob("shard-*"))
    times = [shard.stat().st_mtime_ns for shard in shards]
    train(data, *TERMS, live=LIVE, models=big, epochs=3, directory=tmp_path)
    assert times == [shard.stat().st_mtime_ns for shard in shards] != []


def test_a_round_about_another_student_is_asked_again(
    data: Split, big: dict[str, RankingModel], tmp_path: Path
) -> None:
    whole = train(data, *TERMS, live=LIVE, models=big, epochs=3)
    train(data, *TERMS, live=LIVE, models=big, epochs=3, directory=tmp_path, lr=1e-4)
    (tmp_path / "checkpoint.safetensors").unlink()
    assert same(whole, train(data, *TERMS, live=LIVE, models=big, epochs=3, directory=tmp_path))


def test_a_lost_round_is_told(data: Split, big: dict[str, RankingModel], tmp_path: Path) -> None:
    train(data, *TERMS, live=LIVE, models=big, epochs=2, directory=tmp_path)
    (tmp_path / "live" / "asked" / "round-0001" / "manifest.json").unlink()
    with pytest.raises(TrainingError, match=r"round-0001: what the teacher said in round 1 is gone; remove"):
        train(data, *TERMS, live=LIVE, models=big, epochs=3, directory=tmp_path)


def test_resumes_exactly_after_kill_9(tmp_path: Path) -> None:
    code = "import sys; from tests.training.made_up import on_policy_training as t; t(sys.argv[1], 10_000)"
    epochs = killed_after(4, tmp_path / "run", "-c", code, str(tmp_path / "run")) + 3
    assert same(on_policy_training(tmp_path / "run", epochs), on_policy_training(None, epochs))


def test_a_closed_form_teaches_students_of_users(data: Split, tmp_path: Path) -> None:
    models = {"big": calibrated("big", EASE().build(data), data.valid)}
    train(data, *TERMS, live=LIVE, models=models, model=MF(dim=8), epochs=2, directory=tmp_path)
    store = RankingsStore.open(tmp_path / "live" / "asked" / "round-0001")
    assert store.contexts == "ends"
    assert store.read(data.train.n_events + np.arange(5)).confidence.tolist() == [1] * 5


def test_a_teacher_that_is_not_there(data: Split, big: dict[str, RankingModel]) -> None:
    with pytest.raises(ConfigError, match="asked asks 'big', whose model is not there; pass it with models="):
        train(data, *TERMS, live=LIVE)
    with pytest.raises(ConfigError, match="asked asks 'bog', whose model is not there; did you mean 'big'"):
        train(data, *TERMS, live=[LIVE[0].replace(of="bog")], models=big)


def test_another_teacher_is_another_training(data: Split, big: dict[str, RankingModel], tmp_path: Path) -> None:
    train(data, *TERMS, live=LIVE, models=big, epochs=1, directory=tmp_path)
    other = {"big": STUDENT.build(data, seed=1)}
    assert not equal(other["big"].tensors(), big["big"].tensors())
    with pytest.raises(TrainingError, match="another training"):
        train(data, *TERMS, live=LIVE, models=other, epochs=2, directory=tmp_path)
