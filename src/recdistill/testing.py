"""Contract tests for models and objectives of your own, and a small made-up dataset to run them on.

A model passes the contract by inheriting it (pytest collects the tests), and so does an objective::

    from recdistill.testing import ModelContract, ObjectiveContract

    class TestMyModel(ModelContract):
        config = MyModel(dim=8)

    class TestMyTerm(ObjectiveContract):
        config = MyTerm()
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .data.dataset import Catalogue, Contexts, Dataset, Split
from .data.sequences import Sequences

if TYPE_CHECKING:
    from .knowledge import Knowledge
    from .models.base import ModelConfig, RankingModel
    from .objectives.base import ObjectiveConfig
    from .training import Fitted

__all__ = ["ModelContract", "NeuralContract", "ObjectiveContract", "contexts_of", "tiny_split"]


def tiny_split(n_users: int = 60, n_items: int = 40, seed: int = 0, cold: int = 2) -> Split:
    """A split made of Markov-like sequences, so that a model that reads the history beats popularity.

    Item ``i`` is followed by ``i + 1`` in 7 of 10 cases and by an item drawn from a skewed popularity otherwise; a user
    has 4 to 12 events. The newest one is the test target, the one before it the validation target. Items have texts and
    one of 5 categories; neighbours in the chain share theirs. The last ``cold`` items are never in the training events,
    only among the test targets.

    Args:
        n_users: Number of users, at least 1.
        n_items: Catalogue size, more than ``cold``.
        seed: Equal seeds give equal splits.
        cold: Items without training events.
    """
    rng = np.random.default_rng(seed)
    warm = n_items - cold
    rows = [_walk(rng, int(rng.integers(4, 13)), warm) for _ in range(n_users)]
    for user in range(cold):
        rows[user % n_users][-1] = warm + user
    topics = [f"topic {i * 5 // n_items}" for i in range(n_items)]
    catalogue = Catalogue(
        ids=[f"i{i}" for i in range(n_items)],
        texts=[f"item number {i} about {topic}" for i, topic in enumerate(topics)],
        titles=[f"Item {i}" for i in range(n_items)],
        categories=[(topic,) for topic in topics],
    )
    log = _timed(rows)
    users = np.arange(n_users, dtype=np.int32)
    from_end = np.repeat(log.offsets[1:], log.lengths) - np.arange(log.n_events)
    train, valid = log.keep(from_end > 2), Contexts(users, log.keep(from_end > 2), log.keep(from_end == 2))
    test = Contexts(users, log.keep(from_end > 1), log.keep(from_end == 1))
    dataset = Dataset([f"u{u}" for u in range(n_users)], catalogue, log, name="tiny")
    return Split(dataset, train, valid, test, "leave-last-out")


def contexts_of(histories: list[list[int]], users: list[int] | None = None) -> Contexts:
    """Contexts without targets from lists of item indices; anonymous unless ``users`` are given."""
    index = np.full(len(histories), -1) if users is None else np.array(users)
    return Contexts(
        index.astype(np.int32), Sequences.from_lists(histories), Sequences.from_lists([[] for _ in histories])
    )


def _walk(rng: np.random.Generator, length: int, n_items: int) -> list[int]:
    row = [int(rng.integers(n_items))]
    while len(row) < length:
        follows = rng.random() < 0.7
        row.append((row[-1] + 1) % n_items if follows else int(n_items * rng.random() ** 2))
    return row


def _timed(rows: list[list[int]]) -> Sequences:
    plain = Sequences.from_lists(rows)
    day = 86_400_000
    start = np.repeat(np.arange(len(rows)) % 7, plain.lengths)
    times = (start + np.arange(plain.n_events) - np.repeat(plain.offsets[:-1], plain.lengths)) * day
    return Sequences(plain.offsets, plain.items, times=times.astype(np.int64))


class ModelContract:
    """What every ranking model promises; inherit it and set ``config``.

    Override :meth:`knowledge` for a model that carries item embeddings.
    """

    config: ClassVar[ModelConfig]
    split: ClassVar[Split] = tiny_split()

    def knowledge(self) -> Knowledge | None:
        """What the model is built with."""
        return None

    def model(self, seed: int = 0) -> RankingModel:
        """The model under test, fitted or with initial weights."""
        return self.config.build(self.split, self.knowledge(), seed)

    def test_scores_every_item_of_every_context(self) -> None:
        scores = self.model().score(self.split.test)
        assert scores.shape == (len(self.split.test), self.split.n_items)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()

    def test_equal_seeds_give_equal_scores(self) -> None:
        np.testing.assert_array_equal(self.model(3).score(self.split.test), self.model(3).score(self.split.test))

    def test_a_context_is_scored_alike_alone_and_in_company(self) -> None:
        model, test = self.model(), self.split.test
        together = model.score(test)
        for row in (0, len(test) - 1):
            np.testing.assert_allclose(model.score(test.take([row]))[0], together[row], rtol=1e-4, atol=1e-5)

    def test_targets_are_not_looked_at(self) -> None:
        model, test = self.model(), self.split.test
        hidden = Contexts(test.users, test.history, Sequences.from_lists([[] for _ in range(len(test))]))
        np.testing.assert_array_equal(model.score(hidden), model.score(test))

    def test_contexts_are_left_as_they_were(self) -> None:
        test = self.split.test
        before = test.history.items.copy(), test.users.copy()
        self.model().score(test)
        np.testing.assert_array_equal(before[0], test.history.items)
        np.testing.assert_array_equal(before[1], test.users)

    def test_empty_long_and_repeated_histories_of_nobody_known_are_scored(self) -> None:
        last = self.split.n_items - 1
        scores = self.model().score(contexts_of([[], [0], [0, 1, 0, 1], [last] * 3, [*range(last)] * 20]))
        assert scores.shape == (5, self.split.n_items)
        assert np.isfinite(scores).all()

    def test_no_contexts_give_no_scores(self) -> None:
        assert self.model().score(contexts_of([])).shape == (0, self.split.n_items)

    def test_what_is_saved_is_read_back_exactly(self) -> None:
        from .models import load_model

        model = self.model()
        with tempfile.TemporaryDirectory() as directory:
            model.save(Path(directory) / "model")
            again = load_model(Path(directory) / "model")
        assert again.config == model.config
        assert (again.n_items, again.n_users, again.n_parameters) == (model.n_items, model.n_users, model.n_parameters)
        np.testing.assert_array_equal(again.score(self.split.test), model.score(self.split.test))

    def test_parameters_are_counted(self) -> None:
        model = self.model()
        assert 0 < model.n_parameters <= sum(value.size for value in model.tensors().values())

    def test_scores_are_products_of_vectors_if_it_has_any(self) -> None:
        from .models.base import VectorModel

        model, test = self.model(), self.split.test
        if isinstance(model, VectorModel):
            vectors, items, bias = model.encode(test), model.item_vectors(), model.item_bias()
            assert vectors.dtype == items.dtype == np.float32
            expected = vectors.astype(np.float64) @ items.T + (0 if bias is None else bias)
            np.testing.assert_allclose(model.score(test), expected, rtol=1e-4, atol=1e-5)


class NeuralContract(ModelContract):
    """What a trained model promises on top; ``config`` is a ``NeuralConfig``."""

    def test_states_tables_and_biases_have_their_shapes(self) -> None:
        model, inputs, users = self._inputs()
        table = model.table()
        assert table.shape == (self.split.n_items, model.dim)
        assert model.states(users, inputs, table).shape == (*inputs.shape, model.dim)
        bias = model.bias()
        assert bias is None or bias.shape == (self.split.n_items,)

    def test_hidden_states_are_those_at_the_labelled_places(self) -> None:
        import torch

        from .models.neural import Batch

        model, inputs, users = self._inputs()
        labels, table = torch.tensor([[1], [2]]), model.table()
        places = torch.tensor([0, inputs.shape[1]])
        batch = Batch(users, inputs, places, torch.arange(2), labels, torch.ones(2, 1))
        states = model.states(users, inputs, table)[:2, 0]
        np.testing.assert_allclose(model.hidden(batch.to(torch.device("cpu")), table).detach(), states.detach())

    def test_no_state_sees_the_events_after_it(self) -> None:
        model, inputs, users = self._inputs()
        changed = inputs.clone()
        changed[:, 2:] = (changed[:, 2:] + 1) % self.split.n_items
        table = model.table()
        before, after = model.states(users, inputs, table)[:, :2], model.states(users, changed, table)[:, :2]
        np.testing.assert_allclose(before.detach(), after.detach(), rtol=1e-5, atol=1e-6)

    def test_padding_changes_no_state(self) -> None:
        import torch

        model, inputs, users = self._inputs()
        table, width = model.table(), inputs.shape[1] - 1
        padded = torch.cat([inputs[:, :width], torch.full((len(inputs), 1), self.split.n_items)], dim=1)
        short, long = model.states(users, inputs[:, :width], table), model.states(users, padded, table)[:, :width]
        np.testing.assert_allclose(short.detach(), long.detach(), rtol=1e-5, atol=1e-6)

    def test_every_parameter_gets_a_gradient(self) -> None:
        model, inputs, users = self._inputs()
        table, bias = model.table(), model.bias()
        logits = model.states(users, inputs, table) @ table.T
        loss = (logits if bias is None else logits + bias).logsumexp(dim=-1).sum()
        loss.backward()
        assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []

    def test_scoring_keeps_the_training_mode(self) -> None:
        model, _, _ = self._inputs()
        for mode in (True, False):
            model.train(mode)
            model.score(self.split.test)
            assert model.training is mode

    def test_the_last_state_is_the_context_vector(self) -> None:
        model, inputs, users = self._inputs()
        histories = [row.tolist() for row in inputs]
        states = model.states(users, inputs, model.table())[:, -1].detach()
        np.testing.assert_allclose(model.encode(contexts_of(histories, users.tolist())), states, rtol=1e-4, atol=1e-5)

    def _inputs(self) -> tuple[Any, Any, Any]:
        """The model in evaluation mode, items ``[5, width]`` and users ``[5]``."""
        import torch

        model: Any = self.model()
        width = min(4, getattr(self.config, "max_length", 4)) if self.config.sequential else 4  # type: ignore[attr-defined]
        inputs = torch.arange(5 * width).view(5, width) % (self.split.n_items - 2)
        return model.eval(), inputs, torch.arange(5)


class ObjectiveContract:
    """What every distillation objective promises; inherit it and set ``config``, and ``student`` if need be.

    The teacher left rankings at all positions, item embeddings, weights and vectors of users.
    """

    config: ClassVar[ObjectiveConfig]
    student: ClassVar[ModelConfig | None] = None
    split: ClassVar[Split] = tiny_split()

    def knowledge(self, path: Path, answers: bool = True) -> Knowledge:
        """What the teacher leaves below a directory; without ``answers`` its rankings are empty everywhere."""
        from .knowledge import EmbeddingsWriter, Knowledge, Rankings, RankingsWriter, rankings_of
        from .models import SASRec
        from .teachers.own_vectors import leave_vectors

        split, k = self.split, 8
        model = SASRec(dim=16, blocks=2, heads=2, max_length=10).build(split, seed=1)
        leave_vectors(model, split, path, "teacher")
        rows, rng = split.train.n_positions, np.random.default_rng(0)
        common: dict[str, Any] = {"teacher": "teacher", "teacher_fingerprint": "made up", "meaning": "made up"}
        writer = RankingsWriter(
            path / "rankings", split_fingerprint=split.fingerprint, rows=rows, k=k, n_items=split.n_items,
            contexts="all", **common,
        )  # fmt: skip
        scores = rng.standard_normal((rows, split.n_items), dtype=np.float32)
        writer.add(np.arange(rows), rankings_of(scores, k) if answers else Rankings.none(rows, k))
        writer.seal()
        embeddings = EmbeddingsWriter(
            path / "embeddings",
            dataset_fingerprint=split.dataset.items.fingerprint,
            rows=split.n_items,
            dim=16,
            **common,
        )
        embeddings.add(np.arange(split.n_items), rng.standard_normal((split.n_items, 16), dtype=np.float32))
        embeddings.seal()
        return Knowledge.open(path)

    def fitted(self, *, answers: bool = True, **settings: Any) -> Fitted:
        """A student trained with cross-entropy and the term for two epochs."""
        from .models import SASRec
        from .objectives import CrossEntropy
        from .training import Training, fit

        student = self.student or SASRec(dim=8, blocks=1, heads=2, max_length=10)
        training = Training(epochs=2, batch=64, device="cpu", **settings)
        with tempfile.TemporaryDirectory() as folder:
            knowledge = self.knowledge(Path(folder), answers)
            return fit(student, self.split, [CrossEntropy(), self.config], knowledge=knowledge, training=training)

    def test_it_says_what_it_reads(self) -> None:
        assert self.config.is_taught
        assert set(self.config.reads) & {"rankings", "weights", "item embeddings", "user embeddings"}

    def test_equal_seeds_give_equal_students(self) -> None:
        one, other = self.fitted(), self.fitted()
        assert _losses(one) == _losses(other)
        for name, tensor in one.model.tensors().items():
            np.testing.assert_array_equal(tensor, other.model.tensors()[name])

    def test_it_is_finite_and_makes_a_difference(self) -> None:
        from .models import SASRec
        from .objectives import CrossEntropy
        from .training import Training, fit

        found = self.fitted()
        assert np.isfinite([value for losses in _losses(found) for value in losses.values()]).all()
        student = self.student or SASRec(dim=8, blocks=1, heads=2, max_length=10)
        training = Training(epochs=2, batch=64, device="cpu")
        alone = fit(student, self.split, [CrossEntropy()], training=training).model.tensors()
        assert any(not np.array_equal(tensor, alone[name]) for name, tensor in found.model.tensors().items())

    def test_it_is_finite_with_sampled_negatives(self) -> None:
        found = _losses(self.fitted(negatives=8))
        assert np.isfinite([value for losses in found for value in losses.values()]).all()

    def test_nothing_is_learned_where_nobody_answered(self) -> None:
        if self.config.reads == ("rankings",):
            for losses in _losses(self.fitted(answers=False)):
                assert not any(value for name, value in losses.items() if name != "cross-entropy")


def _losses(fitted: Fitted) -> list[dict[str, float]]:
    """Of each epoch."""
    return [record["loss"] for record in fitted.history]
