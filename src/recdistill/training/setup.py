"""What the loop is made of: device, model, objectives, optimiser, loader."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..config import Config
from ..data.dataset import Split
from ..errors import ConfigError, KnowledgeError, RecdistillError
from ..evaluation.metrics import metric_values
from ..knowledge import Knowledge, RankingsStore
from ..models.base import ModelConfig
from ..models.neural import NeuralConfig, NeuralModel
from ..objectives.base import FeatureObjective, Objective, ObjectiveConfig, ScoreObjective
from .batches import Loader
from .config import Training

__all__ = [
    "build_loader",
    "build_model",
    "build_objectives",
    "build_optimiser",
    "check_arguments",
    "draw_probabilities",
    "named_terms",
    "pick_device",
    "run_hash",
    "teacher_score",
    "wanted_temperatures",
    "weights_hash",
]

_NOT_SHAPING = {"epochs", "max_minutes", "checkpoint_seconds", "tensorboard"}
"""Parameters that may change between the parts of one training."""


def check_arguments(config: object, objectives: object, training: object) -> None:
    """Refuse what a recipe can say in a word and Python says with a class.

    Raises:
        ConfigError: An argument is of another type.
    """
    if not isinstance(config, ModelConfig):
        hint = "use a class of recdistill.models with its parameters, as in SASRec(dim=32)"
        raise ConfigError(f"{_shown(config)} is no model", key=("model",), hint=hint)
    several = isinstance(objectives, Sequence) and not isinstance(objectives, str)
    for objective in objectives if isinstance(objectives, Sequence) and several else [objectives]:
        if not several or not isinstance(objective, ObjectiveConfig):
            hint = "give a list of recdistill.objectives, as in [CrossEntropy(), SoftLabels()]"
            what = f"{_shown(objective)} is no {'objective' if several else 'list of objectives'}"
            raise ConfigError(what, key=("objectives",), hint=hint)
    if not isinstance(training, Training):
        hint = "as in recdistill.Training(epochs=20)"
        raise ConfigError(f"{_shown(training)} is no Training", key=("training",), hint=hint)


def _shown(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"{value!r:.80}"


def pick_device(wanted: str) -> torch.device:
    """The device of that name, or the best there is.

    Raises:
        ConfigError: It is not available.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[wanted]:
        key = ("training", "device")
        raise ConfigError(f"device {wanted!r} is not available here", key=key, hint="use 'auto' or 'cpu'")
    return torch.device(wanted)


def build_model(config: NeuralConfig, split: Split, knowledge: Knowledge, seed: int) -> NeuralModel:
    """The model with initial weights."""
    model = config.build(split, knowledge, seed)
    if not isinstance(model, NeuralModel):
        raise RecdistillError(f"{config.name}.build returned a {type(model).__name__}, not a NeuralModel")
    return model


def named_terms(configs: Sequence[ObjectiveConfig]) -> dict[str, ObjectiveConfig]:
    """Terms by name; a second one of a kind is numbered."""
    named: dict[str, ObjectiveConfig] = {}
    for config in configs:
        count = sum(name.partition("#")[0] == config.name for name in named)
        named[f"{config.name}#{count + 1}" if count else config.name] = config
    return named


def build_objectives(
    configs: Sequence[ObjectiveConfig], model: NeuralModel, split: Split, knowledge: Knowledge, seed: int
) -> dict[str, Objective]:
    """Terms by name, prepared; see :func:`named_terms`.

    Raises:
        ConfigError: There is no term to learn by.
        KnowledgeError: Something a term needs was not taught.
    """
    named = {name: config.build() for name, config in named_terms(configs).items()}
    losses = [objective for objective in named.values() if isinstance(objective, ScoreObjective | FeatureObjective)]
    if not losses:
        raise ConfigError("no objective to train by", key=("objectives",), hint="add cross-entropy")
    if all(objective.weight.is_zero for objective in losses):
        raise ConfigError("all weights are 0 at all times", key=("objectives",), hint="give one of them a weight")
    for name, objective in named.items():
        objective.term = name
        try:
            objective.prepare(model, split, knowledge, seed)
        except KnowledgeError as error:  # which does not know what asked
            raise KnowledgeError(f"{name}: {error.what}", where=error.where, hint=error.hint) from None
    return named


def build_optimiser(modules: Iterable[nn.Module], training: Training) -> torch.optim.Optimizer:
    """AdamW; biases, norms and other vectors are not decayed."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=training.lr, fused=True)


def build_loader(
    config: NeuralConfig, split: Split, knowledge: Knowledge, objectives: Collection[Objective], training: Training,
    device: torch.device, at_step: Collection[str] = (),
) -> Loader:  # fmt: skip
    """The loader, with the stores that objectives read but those of teachers that rank at every step.

    Raises:
        KnowledgeError: Rankings are at single events, and the model knows users only.
    """
    temperatures = wanted_temperatures(objectives)
    stores = {teacher: knowledge.rankings(teacher)[0] for teacher in temperatures if teacher not in at_step}
    for teacher, store in stores.items():
        if store.contexts == "events" and not config.sequential:
            what = f"{teacher!r} ranked at single events, and {config.name} knows users only"
            raise KnowledgeError(what, where=store.path, hint="let it rank at the ends of histories: contexts='all'")
    return Loader(
        split.train, split.n_items, length=config.max_length, sequential=config.sequential, positions=training.batch,
        stores=stores, temperatures=temperatures, device=device,
        ends=any(o.at_ends for o in objectives) or len(stores) < len(temperatures),
    )  # fmt: skip


def wanted_temperatures(objectives: Iterable[Objective]) -> dict[str, tuple[float, ...]]:
    """Teacher name to the temperatures at which objectives want the tails of its rankings."""
    wanted: dict[str, set[float]] = {}
    for objective in objectives:
        for teacher in objective.teachers:
            wanted.setdefault(teacher, {1.0}).update(objective.temperatures)
    return {teacher: tuple(sorted(temperatures)) for teacher, temperatures in wanted.items()}


def teacher_score(store: RankingsStore, split: Split, metric: str) -> float:
    """What stored rankings reach on validation, where they are for its contexts; others count as an empty list.

    Raises:
        KnowledgeError: They are for none of the validation contexts.
    """
    at = split.position_of(split.valid)
    there = (at >= 0) & (at < store.manifest.rows)
    rankings = store.read(np.where(there, at, 0))
    items = np.where((there & (rankings.confidence > 0))[:, None], rankings.items, -1)
    if (items < 0).all():
        what = f"{store.manifest.teacher!r} ranked nowhere where validation asks, so it cannot be compared there"
        raise KnowledgeError(what, where=store.path, hint="let it rank at the ends of histories: contexts='all'")
    short = max(int(metric.partition("@")[2]) - items.shape[1], 0)
    items = np.pad(items, ((0, 0), (0, short)), constant_values=-1)
    return float(np.nanmean(metric_values(items, split.valid.targets, metric)))


def draw_probabilities(split: Split, power: float) -> Tensor:
    """Popularity to a power, as probabilities: float ``[n_items]``; cold items count as if seen once."""
    counts = torch.from_numpy(split.popularity + 1.0) ** power
    return (counts / counts.sum()).float()


def run_hash(
    config: NeuralConfig, training: Training, objectives: Mapping[str, Objective], split: Split, knowledge: Knowledge,
    start: str | None = None, tasks: Mapping[str, Config] | None = None,
) -> str:  # fmt: skip
    """Hash of everything that shapes a training, ``start`` for the weights it begins with: 16 hex digits.

    The number of epochs only says when to stop, unless the learning rate falls towards the last of them.
    """
    excluded = _NOT_SHAPING - ({"epochs"} if training.lr_decay == "cosine" else set())
    shaping = training.model_dump(mode="json", exclude=excluded)
    digests = [objective.config.digest() for objective in objectives.values()]
    described = [config.digest(), shaping, digests, split.fingerprint, knowledge.digest()]
    described += [] if start is None else [start]
    described += [{name: task.digest() for name, task in tasks.items()}] if tasks else []
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


def weights_hash(model: nn.Module) -> str:
    """Hash of all weights of a network: 16 hex digits."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
