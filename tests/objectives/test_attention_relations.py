"""Attention relations against their formula, and which teachers can be related to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from recdistill.errors import ConfigError, KnowledgeError
from recdistill.knowledge import Knowledge
from recdistill.models import HSTU, MF, SASRec
from recdistill.models.neural import NeuralConfig, NeuralModel
from recdistill.models.sequence import AttentionConfig
from recdistill.models.stored import stored_model
from recdistill.objectives import AttentionRelations
from recdistill.objectives.attention_relations import divergence
from tests.synthetic import tiny_split

from .inside import features, taught

SPLIT = tiny_split(n_users=30, n_items=20)


def build(config: NeuralConfig, seed: int = 1) -> NeuralModel:
    model = config.build(SPLIT, seed=seed)
    assert isinstance(model, NeuralModel)
    return model.eval()


def relation(at: int, a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of event ``at`` to those up to it."""
    scores = np.array([a[at] @ b[other] for other in range(at + 1)]) / np.sqrt(a.shape[1])
    found: npt.NDArray[np.float64] = np.exp(scores) / np.exp(scores).sum()
    return found


def test_divergence() -> None:
    torch.manual_seed(0)
    a, b = (torch.randn(2, 5, 6, dtype=torch.float64) for _ in range(2))
    c, d = (torch.randn(2, 5, 4, dtype=torch.float64) for _ in range(2))
    got = divergence(a, b, c, d, heads=2)
    for row in range(2):
        for at in range(5):
            wanted = []
            for head in range(2):
                p = relation(at, *(x[row, :, head * 3 : head * 3 + 3].numpy() for x in (a, b)))
                q = relation(at, *(x[row, :, head * 2 : head * 2 + 2].numpy() for x in (c, d)))
                wanted.append(np.sum(p * np.log(p / q)))
            assert got[row, at].item() == pytest.approx(np.mean(wanted))
    inputs = (c.requires_grad_(), d.requires_grad_())
    assert torch.autograd.gradcheck(lambda c, d: divergence(a, b, c, d, heads=2), inputs)


def own_parts(model: NeuralModel, inputs: Tensor) -> list[npt.NDArray[np.float64]]:
    """Queries, keys and values of the first block of a SASRec, step by step."""
    block = model.get_submodule("blocks.0")
    table = model.table()
    with torch.no_grad():
        x = (
            table[inputs.clamp_max(model.n_items - 1)] * model.dim**0.5
            + model.get_parameter("place")[: inputs.shape[1]]
        )
        projected = block.get_submodule("qkv")(block.get_submodule("norm_attention")(x))
    return [part.double().numpy() for part in projected.split(model.dim, dim=-1)]


def test_formula_of_a_step(tmp_path: Path) -> None:
    known, student = taught(tmp_path, SASRec(dim=12, heads=3, blocks=1), SPLIT), build(SASRec(dim=4, heads=1, blocks=2))
    objective = AttentionRelations(relations=("query-key", "value-value"), heads=2, block=0).build()
    objective.prepare(student, SPLIT, known, 0)
    inside = features(student, SPLIT, objective)
    teacher = stored_model(known.weights()[0])
    assert isinstance(teacher, NeuralModel)
    inputs, values = inside.batch.inputs, []
    theirs, mine = own_parts(teacher.eval(), inputs), own_parts(student, inputs)
    for row in range(len(inputs)):
        for at in range(int((inputs[row] < SPLIT.n_items).sum())):
            for first, second in ((0, 1), (2, 2)):
                for head in range(2):
                    p = relation(at, *(theirs[x][row][:, head * 6 : head * 6 + 6] for x in (first, second)))
                    q = relation(at, *(mine[x][row][:, head * 2 : head * 2 + 2] for x in (first, second)))
                    values.append(np.sum(p * np.log(p / q)))
    assert objective.loss(inside).item() == pytest.approx(np.mean(values), rel=1e-4)


@pytest.mark.parametrize("config", [SASRec(dim=8), HSTU(dim=8)])
def test_nothing_is_lost_on_itself_and_the_teacher_is_no_part_of_the_term(
    config: AttentionConfig, tmp_path: Path
) -> None:
    known, student = taught(tmp_path, config, SPLIT), build(config, seed=5)
    objective = AttentionRelations().build()
    objective.prepare(student, SPLIT, known, 0)
    assert objective.loss(features(student, SPLIT, objective)).item() == pytest.approx(0, abs=1e-6)
    assert not list(objective.parameters())
    assert not objective.state_dict()
    other = build(config)
    loss = objective.loss(features(other, SPLIT, objective))
    loss.backward()
    assert loss.item() > 1e-4
    projection = objective.watches(other)[0]
    assert all(p.grad is not None and p.grad.any() for p in projection.parameters())


def test_what_cannot_be_related(tmp_path: Path) -> None:
    good, other = taught(tmp_path, SASRec(dim=12), SPLIT), taught(tmp_path, MF(dim=4), SPLIT, "mf")
    small, term = SASRec(dim=4), AttentionRelations
    for student, known, config, error, message in (
        (MF(dim=4), good, term(), KnowledgeError, "the student is a MFModel and has no attention blocks"),
        (small, other, term(), KnowledgeError, "'mf' is a MFModel"),
        (small, Knowledge(), term(), KnowledgeError, "no teacher left weights"),
        (small, good, term(heads=3), ConfigError, "3 relation heads do not divide dim=4 of the student"),
        (SASRec(dim=10), good, term(heads=5), ConfigError, "5 relation heads do not divide dim=12 of 'big'"),
        (small, good, term(block=2), ConfigError, "no block 2: there are 2"),
        (small, good, term(teacher_block=-3), ConfigError, "no block -3: there are 2"),
        (SASRec(dim=4, max_length=51), good, term(), ConfigError, "reads 50 events at most, the student 51"),
    ):
        with pytest.raises(error, match=message):
            config.build().prepare(build(student), SPLIT, known, 0)
