"""The loop learns, stops, resumes and refuses."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from recdistill.data import Sequences
from recdistill.data.dataset import Contexts, Split
from recdistill.errors import ConfigError, KnowledgeError, TrainingError
from recdistill.evaluation import metric_values, rank
from recdistill.knowledge import Knowledge, RankingsWriter, rankings_of
from recdistill.models import EASE, MF, GRU4Rec, Popularity, SASRec
from recdistill.models.base import RankingModel
from recdistill.models.neural import NeuralModel
from recdistill.objectives import BPR, CrossEntropy, EmbeddingHint, HardLabels, ListMLE, Ranking, SoftLabels, StartFrom
from recdistill.objectives.base import ObjectiveConfig
from recdistill.teachers import RecommenderTeacher
from recdistill.training import Fitted, MeanTeacher, Training, fit
from recdistill.training import loop as loop_module
from tests.killed import killed_after

from .made_up import FAST, MIX, STUDENT, chain, knowledge, split


@pytest.fixture(scope="module")
def data() -> Split:
    return split()


@pytest.fixture(scope="module")
def taught(data: Split, tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    return knowledge(data, tmp_path_factory.mktemp("taught"))


def train(data: Split, *objectives: ObjectiveConfig, epochs: int = 2, **more: Any) -> Fitted:
    settings = {key: more.pop(key) for key in list(more) if key in Training.model_fields}
    model = more.pop("model", STUDENT)
    training = Training(**({"epochs": epochs} | FAST | settings))
    return fit(model, data, objectives or (CrossEntropy(),), training=training, **more)


def ndcg(model: RankingModel, contexts: Contexts) -> float:
    return float(np.nanmean(metric_values(rank(model, contexts, 10), contexts.targets, "ndcg@10")))


def same(a: Fitted, b: Fitted) -> bool:
    """Bit-identical weights, and histories that differ in nothing but the time."""
    histories = [[{k: v for k, v in r.items() if k != "seconds"} for r in fitted.history] for fitted in (a, b)]
    tensors, others = a.model.tensors(), b.model.tensors()
    equal = all(np.array_equal(tensors[name], others[name]) for name in tensors)
    return equal and histories[0] == histories[1] and a.best_epoch == b.best_epoch


def test_learns_what_popularity_cannot(data: Split) -> None:
    fitted = train(data, epochs=15)
    losses = [record["loss"]["cross-entropy"] for record in fitted.history]
    assert losses[-1] < losses[0] < math.log(data.n_items) + 1.5
    assert ndcg(fitted.model, data.test) > 1.3 * ndcg(Popularity().build(data), data.test)
    best = fitted.history[fitted.best_epoch - 1]["valid"]["ndcg@10"]
    assert best == max(record["valid"]["ndcg@10"] for record in fitted.history)
    assert best == pytest.approx(ndcg(fitted.model, data.valid))  # these are the weights of that epoch
    assert fitted.seconds == pytest.approx(sum(record["seconds"] for record in fitted.history))


@pytest.mark.parametrize("model", [GRU4Rec(dim=8, max_length=10), MF(dim=8)])
@pytest.mark.parametrize("objective", [CrossEntropy(), BPR(negatives=4)])
def test_other_models_learn(data: Split, model: Any, objective: ObjectiveConfig) -> None:
    fitted = train(data, objective, model=model, epochs=8)
    losses = [record["loss"][objective.name] for record in fitted.history]
    assert losses[-1] < losses[0]


def test_a_model_of_closed_form_says_what_it_cannot_learn_from(data: Split, caplog: pytest.LogCaptureFixture) -> None:
    fit(Popularity(), data, [CrossEntropy()], label="plain")
    assert not caplog.messages
    fit(Popularity(), data, [CrossEntropy(), SoftLabels()], label="student")
    assert caplog.messages == ["student: popularity is not trained by steps, so it learns nothing from soft-labels"]


def test_terms_that_cannot_do_what_they_say(
    data: Split, taught: Knowledge, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match="objectives: all weights are 0 at all times"):
        train(data, CrossEntropy(weight=0), SoftLabels(weight=0), knowledge=taught)
    with pytest.raises(KnowledgeError, match=r"^soft-labels: no rankings by a teacher called 'orakel'"):
        train(data, CrossEntropy(), SoftLabels(teacher="orakel"), knowledge=taught)
    train(data, CrossEntropy(), HardLabels(k=20), knowledge=taught, epochs=1)
    assert "hard-labels: k is 20, and oracle stored the first 5 items only" in caplog.messages
    caplog.clear()
    train(data, CrossEntropy(), HardLabels(k=4), ListMLE(), knowledge=taught, epochs=1)
    assert not any("stored the first" in line for line in caplog.messages)


def test_a_live_teacher_that_nobody_reads_is_named(data: Split, caplog: pytest.LogCaptureFixture) -> None:
    live = [MeanTeacher(id="self"), MeanTeacher(id="idle")]
    train(data, CrossEntropy(), SoftLabels(teacher="self"), live=live, epochs=1, label="x")
    assert "x: no term reads the live teacher idle" in caplog.messages


def test_models_of_closed_form_are_just_built(data: Split) -> None:
    fitted = fit(EASE(), data)
    assert (fitted.history, fitted.best_epoch) == ([], 0)
    assert fitted.seconds > 0


def test_a_distilled_student_moves_towards_its_teacher(data: Split, taught: Knowledge) -> None:
    last = np.array([data.test.history[row][-1] for row in range(len(data.test))])
    wanted = np.argsort(-chain(data.n_items)[last], axis=1, kind="stable")[:, :5]

    def overlap(fitted: Fitted) -> float:
        ranked = rank(fitted.model, data.test, 5, exclude_history=False)
        return float(np.mean([len(set(a) & set(b)) / 5 for a, b in zip(ranked, wanted, strict=True)]))

    alone = overlap(train(data, epochs=6))
    soft = overlap(train(data, CrossEntropy(weight=0.2), SoftLabels(), knowledge=taught, epochs=6))
    hard = overlap(train(data, CrossEntropy(weight=0.2), HardLabels(), knowledge=taught, epochs=6))
    assert soft > alone + 0.2
    assert hard > alone + 0.1


def test_warm_up_takes_two_epochs_at_most(data: Split) -> None:
    quick = {"lr": 1e-2, "batch": 10_000, "epochs": 3, "device": "cpu", "seed": 3}  # one step in an epoch
    a, b = (fit(MF(dim=4), data, training=Training(warmup=warmup, **quick)) for warmup in (2, 5_000))
    assert same(a, b)


def test_a_student_of_users_learns_from_the_ends_of_histories(data: Split, tmp_path: Path) -> None:
    teacher = RecommenderTeacher(EASE().build(data), "ease")
    known = Knowledge((teacher.label(data, tmp_path / "all", k=10),))
    user = np.arange(data.n_users)
    wanted = known.rankings()[0].read(data.train.n_events + user).items[:, :5]

    def overlap(fitted: Fitted) -> float:
        contexts = Contexts(user.astype(np.int32), data.train, data.train)
        ranked = rank(fitted.model, contexts, 5, exclude_history=False)
        return float(np.mean([len(set(a) & set(b)) / 5 for a, b in zip(ranked, wanted, strict=True)]))

    settings: dict[str, Any] = FAST | {"epochs": 30, "batch": 16}
    soft = fit(MF(dim=8), data, [SoftLabels(temperature=1)], knowledge=known, training=Training(**settings))
    assert overlap(soft) > overlap(fit(MF(dim=8), data, training=Training(**settings))) + 0.1
    for trusting in (SoftLabels(trust="listed"), Ranking(trust="better")):
        with pytest.raises(ConfigError, match=r"trust '\w+' asks .* and mf knows users only"):
            fit(MF(dim=8), data, [trusting], knowledge=known)
    events = Knowledge((teacher.label(data, tmp_path / "events", k=10, contexts="events"),))
    with pytest.raises(KnowledgeError, match="'ease' ranked at single events, and mf knows users only"):
        fit(MF(dim=8), data, [SoftLabels()], knowledge=events)


@pytest.mark.parametrize("changes", [{}, {"negatives": 12}, {"precision": "bf16"}])
def test_resumes_exactly(data: Split, taught: Knowledge, tmp_path: Path, changes: dict[str, Any]) -> None:
    whole = train(data, *MIX, knowledge=taught, epochs=5, directory=tmp_path / "whole", **changes)
    train(data, *MIX, knowledge=taught, epochs=2, directory=tmp_path / "parts", **changes)
    parts = train(data, *MIX, knowledge=taught, epochs=5, directory=tmp_path / "parts", **changes)
    assert same(whole, parts)
    again = train(data, *MIX, knowledge=taught, epochs=5, directory=tmp_path / "parts", **changes)
    assert same(whole, again)
    lines = [json.loads(line) for line in (tmp_path / "parts" / "epochs.jsonl").read_text().splitlines()]
    assert lines == parts.history


def test_resumes_exactly_after_kill_9(data: Split, tmp_path: Path) -> None:
    epochs = killed_after(3, tmp_path / "run", "-m", "tests.training.made_up", str(tmp_path)) + 2
    taught = Knowledge.open(tmp_path / "taught")
    resumed = train(data, *MIX, knowledge=taught, epochs=epochs, checkpoint_seconds=0, directory=tmp_path / "run")
    assert len(resumed.history) == epochs
    assert same(resumed, train(data, *MIX, knowledge=taught, epochs=epochs))
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["checkpoint.safetensors", "epochs.jsonl"]


def test_a_trained_model_is_trained_further_and_never_made_worse(data: Split, tmp_path: Path) -> None:
    half = train(data, epochs=2).model
    assert isinstance(half, NeuralModel)
    before = ndcg(half, data.valid)
    harmful = train(data, epochs=2, lr=10.0, start=copy.deepcopy(half))
    assert harmful.best_epoch == 0
    assert ndcg(harmful.model, data.valid) == before
    whole = train(data, epochs=4, start=copy.deepcopy(half))
    assert whole.best_epoch > 0
    assert ndcg(whole.model, data.valid) > before
    train(data, epochs=2, start=copy.deepcopy(half), directory=tmp_path)
    assert same(train(data, epochs=4, start=copy.deepcopy(half), directory=tmp_path), whole)
    with pytest.raises(TrainingError, match="belongs to another training"):
        train(data, epochs=4, start=STUDENT.build(data, seed=9), directory=tmp_path)


def test_what_is_half_written_is_removed(data: Split, tmp_path: Path) -> None:
    left = tmp_path / ".checkpoint.safetensors.abc.part"
    left.write_bytes(b"half")
    train(data, epochs=1, directory=tmp_path)
    assert not left.exists()


def test_another_training_in_the_directory_is_refused(data: Split, tmp_path: Path) -> None:
    train(data, epochs=1, directory=tmp_path)
    with pytest.raises(TrainingError, match=r"another training.*remove it"):
        train(data, epochs=2, lr=1e-4, directory=tmp_path)
    with pytest.raises(TrainingError, match="another training"):
        train(data, CrossEntropy(weight=0.5), epochs=2, directory=tmp_path)
    train(data, epochs=2, max_minutes=5, checkpoint_seconds=1, directory=tmp_path)  # these shape nothing


def test_epochs_shape_a_training_whose_rate_falls_towards_the_last(data: Split, tmp_path: Path) -> None:
    train(data, epochs=1, lr_decay="cosine", directory=tmp_path)
    train(data, epochs=1, lr_decay="cosine", directory=tmp_path)
    with pytest.raises(TrainingError, match="another training"):
        train(data, epochs=2, lr_decay="cosine", directory=tmp_path)


def test_a_checkpoint_of_another_version_is_refused(data: Split, tmp_path: Path) -> None:
    train(data, epochs=1, directory=tmp_path)
    file = tmp_path / "checkpoint.safetensors"
    with safe_open(file, framework="pt") as old:
        tensors, facts = {name: old.get_tensor(name) for name in old.keys()}, old.metadata()  # noqa: SIM118
    save_file(tensors, file, {name: fact for name, fact in facts.items() if name != "format"})
    with pytest.raises(TrainingError, match=r"from another version of recdistill; finish .* or remove it"):
        train(data, epochs=2, directory=tmp_path)


def test_a_broken_checkpoint_is_refused(data: Split, tmp_path: Path) -> None:
    train(data, epochs=1, directory=tmp_path)
    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(TrainingError, match=r"checkpoint\.safetensors: the checkpoint cannot be read"):
        train(data, epochs=2, directory=tmp_path)


def test_what_is_trained_along_is_in_the_checkpoint(data: Split, taught: Knowledge, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    hint = EmbeddingHint(items=16, dim=8)
    fitted = train(data, hint, knowledge=taught, epochs=3, directory=tmp_path)
    losses = [record["loss"]["embedding-hint"] for record in fitted.history]
    assert losses[-1] < losses[0]
    saved = load_file(tmp_path / "checkpoint.safetensors")
    first = hint.build()
    first.prepare(STUDENT.build(data), data, taught, FAST["seed"])
    ((name, initial),) = first.state_dict().items()
    assert not torch.equal(saved[f"objectives/embedding-hint.{name}"], initial)


class TestStops:
    def test_when_validation_no_longer_improves(self, data: Split, scores: list[float]) -> None:
        scores[:] = [0.1, 0.3, 0.2, 0.3, 0.25, 0.9]
        fitted = train(data, epochs=50, patience=3)
        assert (len(fitted.history), fitted.best_epoch) == (5, 2)

    def test_counting_evaluations(self, data: Split, scores: list[float]) -> None:
        scores[:] = [0.3, 0.2, 0.1, 0.0]
        fitted = train(data, epochs=50, patience=2, evaluate_every=3)
        assert (len(fitted.history), fitted.best_epoch) == (9, 3)
        assert [record["epoch"] for record in fitted.history if "valid" in record] == [3, 6, 9]

    def test_the_last_epoch_is_evaluated(self, data: Split, scores: list[float]) -> None:
        scores[:] = [0.1, 0.2]
        fitted = train(data, epochs=5, evaluate_every=4)
        assert [record["epoch"] for record in fitted.history if "valid" in record] == [4, 5]

    def test_after_some_time(self, data: Split) -> None:
        assert len(train(data, epochs=50, max_minutes=1e-6).history) == 1

    def test_the_epoch_in_which_the_time_is_over_is_evaluated(self, data: Split) -> None:
        fitted = train(data, epochs=50, max_minutes=1e-6, evaluate_every=5)
        assert (len(fitted.history), fitted.best_epoch) == (1, 1)  # not the weights that it began with
        assert "valid" in fitted.history[0]

    def test_when_nothing_surpasses_what_it_started_from(self, data: Split, scores: list[float]) -> None:
        scores[:] = [0.5, 0.4, 0.5, 0.3, 0.9]  # the first one is that of the start
        fitted = train(data, epochs=50, patience=3, start=STUDENT.build(data))
        assert (len(fitted.history), fitted.best_epoch) == (3, 0)
        scores[:] = [0.5, 0.4, 0.6]
        fitted = train(data, epochs=4, patience=3, evaluate_every=2, start=STUDENT.build(data))
        assert (len(fitted.history), fitted.best_epoch) == (4, 4)

    @pytest.fixture
    def scores(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """What validation will say."""
        coming: list[float] = []
        monkeypatch.setattr(loop_module._Loop, "_score", lambda *_: coming.pop(0))
        return coming


def test_without_validation_the_last_weights_count(data: Split) -> None:
    empty = Sequences.from_lists([[] for _ in range(len(data.valid))])
    fitted = train(replace(data, valid=Contexts(data.valid.users, data.valid.history, empty)), epochs=3, patience=1)
    assert (len(fitted.history), fitted.best_epoch) == (3, 3)


def test_nothing_to_learn_from(data: Split) -> None:
    short = data.train.keep(np.isin(np.arange(data.train.n_events), data.train.offsets))
    with pytest.raises(TrainingError, match="no training event has an earlier one"):
        train(replace(data, train=short))


def test_a_loss_that_is_not_a_number(data: Split, taught: Knowledge, monkeypatch: pytest.MonkeyPatch) -> None:
    from recdistill.objectives.soft_labels import SoftLabelsLoss

    original = SoftLabelsLoss.loss
    calls = []

    def broken(self: Any, scores: Any, targets: Any) -> Any:
        calls.append(0)
        return original(self, scores, targets) * (torch.nan if len(calls) == 3 else 1)

    monkeypatch.setattr(SoftLabelsLoss, "loss", broken)
    with pytest.raises(TrainingError, match=r"epoch 1, step 3: the loss of 'soft-labels' is nan; lower lr or clip"):
        train(data, CrossEntropy(), SoftLabels(), knowledge=taught)


def test_a_gradient_that_is_not_a_number(data: Split) -> None:
    class Broken(CrossEntropy):  # type: ignore[misc]
        def build(self) -> Any:
            objective = super().build()
            original = objective.loss
            objective.loss = lambda *given: _NaNGradient.apply(original(*given))  # type: ignore[no-untyped-call]
            return objective

    with pytest.raises(TrainingError, match="step 1: the gradient is nan"):
        train(data, Broken())


class _NaNGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> torch.Tensor:
        return upstream * torch.nan


def test_schedules_reach_the_loss(data: Split, taught: Knowledge) -> None:
    warm = {"start": 0.8, "warmup": 2}
    decay = {"start": 1.0, "end": 0.0, "shape": "linear", "epochs": 2}
    fitted = train(data, CrossEntropy(weight=decay), SoftLabels(weight=warm), knowledge=taught, epochs=4)
    assert [record["weight"]["soft-labels"] for record in fitted.history] == [0.0, 0.4, 0.8, 0.8]
    assert [record["weight"]["cross-entropy"] for record in fitted.history] == [1.0, 0.5, 0.0, 0.0]
    names = [set(record["loss"]) for record in fitted.history]
    assert names == [{"cross-entropy"}, {"cross-entropy", "soft-labels"}, {"soft-labels"}, {"soft-labels"}]
    alone = train(data, CrossEntropy(), epochs=1)
    assert fitted.history[0]["loss"] == alone.history[0]["loss"]  # a weight of 0 changes nothing


def test_a_temperature_that_cools_reaches_the_loss(data: Split, taught: Knowledge) -> None:
    cooling = {"start": 4.0, "end": 1.0, "shape": "linear", "epochs": 1}
    cooled = train(data, SoftLabels(temperature=cooling), knowledge=taught, epochs=2)
    hot = train(data, SoftLabels(temperature=4.0), knowledge=taught, epochs=2)
    first, second = ([record["loss"]["soft-labels"] for record in fitted.history] for fitted in (cooled, hot))
    assert first[0] == second[0]
    assert first[1] != pytest.approx(second[1], rel=0.01)


def test_how_much_a_teacher_was_trusted_is_written_down(data: Split, taught: Knowledge) -> None:
    plain = train(data, CrossEntropy(), SoftLabels(), knowledge=taught, epochs=1).history[0]
    page = plain["trust"]["soft-labels"]["oracle"]
    assert set(page) == {"all", "short", "long", "head", "tail", "ends"}
    positions = np.flatnonzero(data.train.events_before(np.arange(data.train.n_events)) > 0)
    lists = taught.rankings()[0].read(positions).items
    assert page["all"]["positions"] == len(positions) == page["short"]["positions"] + page["long"]["positions"]
    assert page["all"]["answered"] == page["all"]["weight"] == 1.0
    share = float((lists == data.train.items[positions][:, None]).any(1).mean())
    assert page["all"]["listed"] == pytest.approx(share)
    listed = train(data, SoftLabels(trust="listed"), knowledge=taught, epochs=1).history[0]
    assert listed["trust"]["soft-labels"]["oracle"]["all"]["weight"] == pytest.approx(share)


def test_a_teacher_that_is_no_better_on_validation_is_refused(data: Split, tmp_path: Path) -> None:
    """One that knows nothing is never listened to again; the oracle is, as long as it leads."""
    n, ends = data.train.n_events, data.train.n_events + np.arange(data.n_users)
    good = chain(data.n_items)[data.train.items[data.train.offsets[1:] - 1]]
    for name, scores in (("oracle", good), ("noise", np.random.default_rng(0).standard_normal(good.shape))):
        writer = RankingsWriter(
            tmp_path / name, teacher=name, teacher_fingerprint="-", split_fingerprint=data.fingerprint, meaning="-",
            rows=data.train.n_positions, k=10, n_items=data.n_items, contexts="all",
        )  # fmt: skip
        writer.add(ends, rankings_of(scores.astype(np.float32), 10))
        writer.add(np.arange(1, n), rankings_of(np.tile(scores, (9, 1))[: n - 1].astype(np.float32), 10))
        writer.seal()
    both = Knowledge.open(tmp_path)
    terms = [SoftLabels(teacher=name, weight=0.5, refuse="validation") for name in ("oracle", "noise")]
    fitted = train(data, CrossEntropy(), *terms, knowledge=both, epochs=6)
    oracle, noise = ([record["weight"][name] for record in fitted.history] for name in ("soft-labels", "soft-labels#2"))
    assert oracle[0] == noise[0] == 0.5  # nobody was evaluated yet
    assert noise[2:] == [0.0] * 4
    assert oracle[1] == 0.5
    assert same(fitted, _in_two_parts(data, tmp_path / "run", CrossEntropy(), *terms, knowledge=both))
    at = data.position_of(data.valid)
    lists = both.rankings("oracle")[0].read(at).items
    theirs = float(np.nanmean(metric_values(lists, data.valid.targets, "ndcg@10")))
    for before, record in zip(fitted.history, fitted.history[1:], strict=False):
        lead = 1 - before["valid"]["ndcg@10"] / theirs
        assert record["weight"]["soft-labels"] == pytest.approx(0.5 * min(max(lead / 0.1, 0.0), 1.0))


def test_a_teacher_that_knows_the_labels_no_better_is_refused(data: Split, taught: Knowledge, tmp_path: Path) -> None:
    term = SoftLabels(weight=0.5, refuse="labels", refuse_margin=0.5)
    fitted = train(data, CrossEntropy(), term, knowledge=taught, epochs=6, lr=2e-2)
    for before, record in zip(fitted.history, fitted.history[1:], strict=False):
        if "trust" in before:
            page = before["trust"]["soft-labels"]["oracle"]["all"]
            lead = page["teacher_logp"] - page["student_logp"]
            assert page["student_logp"] == pytest.approx(-before["loss"]["cross-entropy"], rel=1e-4)
        assert record["weight"]["soft-labels"] == pytest.approx(0.5 * min(max(lead / 0.5, 0.0), 1.0))
    assert len({record["weight"]["soft-labels"] for record in fitted.history}) > 1
    again = _in_two_parts(data, tmp_path, CrossEntropy(), term, knowledge=taught, lr=2e-2)
    assert same(fitted, again)


def _in_two_parts(data: Split, directory: Path, *terms: ObjectiveConfig, **more: Any) -> Fitted:
    train(data, *terms, epochs=3, directory=directory, **more)
    return train(data, *terms, epochs=6, directory=directory, **more)


def test_a_teacher_without_ends_cannot_be_compared_on_validation(data: Split, taught: Knowledge) -> None:
    with pytest.raises(KnowledgeError, match="'oracle' ranked nowhere where validation asks"):
        train(data, SoftLabels(refuse="validation"), knowledge=taught, epochs=2)
    with pytest.raises(ConfigError, match=r"refuse 'labels' asks .* and mf knows users only"):
        train(data, SoftLabels(refuse="labels"), knowledge=taught, model=MF(dim=4))


def test_an_epoch_without_any_weight_learns_nothing(data: Split) -> None:
    fitted = train(data, CrossEntropy(weight={"start": 1.0, "warmup": 1}), epochs=1)
    assert fitted.history[0]["loss"] == {}
    assert all(np.array_equal(a, b) for a, b in zip(
        fitted.model.tensors().values(), STUDENT.build(data, seed=FAST["seed"]).tensors().values(), strict=True
    ))  # fmt: skip


def test_two_terms_of_a_kind_and_two_temperatures(data: Split, taught: Knowledge) -> None:
    fitted = train(data, CrossEntropy(), SoftLabels(temperature=1.0), SoftLabels(temperature=3.0), knowledge=taught)
    assert list(fitted.history[0]["loss"]) == ["cross-entropy", "soft-labels", "soft-labels#2"]


def test_starts_from_a_teacher(data: Split, taught: Knowledge) -> None:
    start = StartFrom()
    fitted = train(data, start, CrossEntropy(), knowledge=taught, epochs=1)
    assert list(fitted.history[0]["loss"]) == ["cross-entropy"]
    with pytest.raises(ConfigError, match="no objective to train by"):
        train(data, start, knowledge=taught)


def test_a_start_beside_a_warmed_up_loss(data: Split, taught: Knowledge) -> None:
    """The first epoch has no loss to learn by: what only prepares has none, whatever its weight is."""
    fitted = train(data, StartFrom(), CrossEntropy(weight={"start": 1.0, "warmup": 1}), knowledge=taught, epochs=2)
    assert [set(record["loss"]) for record in fitted.history] == [set(), {"cross-entropy"}]


def test_knowledge_about_other_data_is_refused(data: Split, taught: Knowledge) -> None:
    fewer = replace(data, train=data.train.keep(np.arange(data.train.n_events) != 5))
    with pytest.raises(KnowledgeError, match="rankings by 'oracle' are about other data"):
        train(fewer, SoftLabels(), knowledge=taught)


def test_tensorboard(data: Split, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(data, epochs=1, tensorboard=True, directory=tmp_path)
    fitted = train(data, epochs=3, tensorboard=True, directory=tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss/cross-entropy", "valid/ndcg@10"}
    values = {event.step: event.value for event in events.Scalars("valid/ndcg@10")}
    assert values == pytest.approx({record["epoch"]: record["valid"]["ndcg@10"] for record in fitted.history})


def test_bf16_is_near_fp32(data: Split, taught: Knowledge) -> None:
    half, full = (train(data, *MIX, knowledge=taught, precision=precision) for precision in ("bf16", "fp32"))
    assert half.history[-1]["loss"] == pytest.approx(full.history[-1]["loss"], rel=0.02)
    assert all(value.dtype == np.float32 for value in half.model.tensors().values())


def test_the_callers_random_numbers_are_left_alone(data: Split) -> None:
    torch.manual_seed(0)
    before = torch.rand(3)
    torch.manual_seed(0)
    train(data, epochs=1)
    assert torch.equal(before, torch.rand(3))


def test_seeds(data: Split) -> None:
    assert same(train(data), train(data))
    assert not same(train(data), train(data, seed=4))


def test_devices(data: Split) -> None:
    assert train(data, epochs=1, device="auto").history
    missing = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(ConfigError, match=rf"training.device: device '{missing}' is not available"):
        train(data, device=missing)


def test_a_build_that_gives_something_else(data: Split) -> None:
    class Odd(SASRec):  # type: ignore[misc]
        def build(self, *given: Any, **more: Any) -> Any:
            return Popularity().build(data)

    with pytest.raises(Exception, match="not a NeuralModel"):
        train(data, model=Odd())
