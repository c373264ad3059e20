"""A step of a student, for terms that look inside."""

from __future__ import annotations

from contextlib import closing

import torch

from recdistill.data.dataset import Split
from recdistill.knowledge import Knowledge
from recdistill.models.neural import NeuralConfig, NeuralModel
from recdistill.models.watch import watched
from recdistill.objectives.base import FeatureObjective, Features
from recdistill.training.config import Training
from recdistill.training.setup import build_loader


def features(
    model: NeuralModel, split: Split, objective: FeatureObjective | None = None, contexts: int = 100_000
) -> Features:
    """The first step of an epoch, as the training loop would show it; ends of rows are among the contexts."""
    assert isinstance(model.config, NeuralConfig)
    loader = build_loader(model.config, split, Knowledge(), [], Training(batch=contexts), torch.device("cpu"))
    loader.ends = True
    with closing(loader.epoch(0, 1)) as steps:
        step = next(steps)
    table = model.table()
    with watched(() if objective is None else objective.watches(model)) as outputs:
        hidden = model.hidden(step.batch, table)
    return Features(model, table, step.batch, hidden, outputs)
