"""What terms that look inside a student are tested with: a step, made-up vectors, a teacher with vectors."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import torch

from recdistill.data.dataset import Split
from recdistill.knowledge import Knowledge
from recdistill.models.base import VectorModel
from recdistill.models.neural import NeuralConfig, NeuralModel
from recdistill.models.watch import watched
from recdistill.objectives.base import FeatureObjective, Features
from recdistill.objectives.vectors import Pairs, VectorsConfig, VectorsObjective
from recdistill.teachers.own_vectors import leave_vectors
from recdistill.teachers.recommender import RecommenderTeacher
from recdistill.training.config import Training
from recdistill.training.setup import build_loader


def features(
    model: NeuralModel,
    split: Split,
    objective: FeatureObjective | None = None,
    knowledge: Knowledge | None = None,
    contexts: int = 100_000,
) -> Features:
    """The first step of an epoch, as the training loop would show it; ends of rows are among the contexts."""
    assert isinstance(model.config, NeuralConfig)
    terms, training = [] if objective is None else [objective], Training(batch=contexts)
    loader = build_loader(model.config, split, knowledge or Knowledge(), terms, training, torch.device("cpu"))
    loader.ends = True
    with closing(loader.epoch(0, 1)) as steps:
        step = next(steps)
    table = model.table()
    with watched(() if objective is None else objective.watches(model)) as outputs:
        hidden = model.hidden(step.batch, table)
    return Features(model, table, step.batch, hidden, step.rankings, outputs)


def taught(path: Path, config: NeuralConfig, split: Split, name: str = "big", k: int = 0) -> Knowledge:
    """What a network with initial weights leaves: vectors and weights, and rankings if ``k``."""
    model = config.build(split, seed=5)
    assert isinstance(model, VectorModel)
    leave_vectors(model, split, path / name, name)
    if k:
        RecommenderTeacher(model, name).label(split, path / name / "rankings", k=k)
    return Knowledge.open(path / name)


def made_up(users: int = 7, items: int = 5, dim: int = 3, width: int = 6, seed: int = 0) -> dict[str, Pairs]:
    """Vectors of some users and items as student and teacher see them, in double precision."""
    draw = torch.Generator().manual_seed(seed)
    return {
        side: Pairs(*(torch.randn(n, d, generator=draw, dtype=torch.float64) for d in (dim, width)))
        for side, n in (("user", users), ("item", items))
    }


def prepared(config: VectorsConfig, sides: dict[str, Pairs], split: Split) -> VectorsObjective:
    """A term with its parameters, in double precision, for made-up vectors."""
    from recdistill.models import MF

    objective = config.build()
    assert isinstance(objective, VectorsObjective)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = MF(dim=sides["user"].student.shape[1]).build(split)
        objective.add_parameters(model, {side: pairs.teacher.shape[1] for side, pairs in sides.items()})
    return objective.double()


def slopes_are_right(objective: VectorsObjective, sides: dict[str, Pairs]) -> bool:
    """Whether the gradient with respect to the student's vectors is that of finite differences."""

    def loss(users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        pairs = {"user": users, "item": items}
        return objective.compared({side: Pairs(pairs[side], sides[side].teacher) for side in sides})

    inputs = tuple(sides[side].student.clone().requires_grad_() for side in ("user", "item"))
    return torch.autograd.gradcheck(loss, inputs)
