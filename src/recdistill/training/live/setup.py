"""Live teachers of a training: made, checked, and given what they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from ...data.dataset import Split
from ...errors import ConfigError, nearest
from ...knowledge import Knowledge
from ...models.base import RankingModel
from ..config import Training
from ..learner import Learner
from .base import STUDENT, STUDENT_K, LiveConfig, LiveRankings, LiveTeacher, Setting

__all__ = ["build_live", "prepare_live"]


def build_live(
    configs: Sequence[LiveConfig], split: Split, knowledge: Knowledge, models: Mapping[str, RankingModel]
) -> tuple[dict[str, LiveTeacher], Knowledge]:
    """Live teachers by name, and the knowledge with what they promise.

    Raises:
        ConfigError: Two teachers have one name, or one that is asked is not there.
    """
    built: dict[str, LiveTeacher] = {}
    taken = {STUDENT, *(store.manifest.teacher for store in knowledge.stores)}
    for config in configs:
        if config.id in taken:
            hint = "that is what peers call the student" if config.id == STUDENT else "give it another id"
            raise ConfigError(f"two teachers are called {config.id!r}", key=("live", config.id), hint=hint)
        for name in config.asks:
            if name not in models:
                hint = nearest(name, models) or "pass it with models={NAME: model}"
                raise ConfigError(f"{config.id} asks {name!r}, whose model is not there", key=("live",), hint=hint)
        taken.add(config.id)
        built[config.id] = config.build()
    promised = [teacher.promise(split, knowledge, models) for teacher in built.values()]
    return built, knowledge + Knowledge(tuple(promised))


def prepare_live(
    live: Mapping[str, LiveTeacher], student: Learner, split: Split, knowledge: Knowledge, training: Training,
    device: torch.device, models: Mapping[str, RankingModel], directory: Path | None,
) -> None:  # fmt: skip
    """Prepare all of them; only they may read the student."""
    own = LiveRankings(STUDENT, "-", split, STUDENT_K)
    for number, (name, teacher) in enumerate(live.items(), start=1):
        place = None if directory is None else directory / "live" / name
        known = knowledge + Knowledge((own,))
        teacher.prepare(Setting(student, split, known, training, device, models, place, number))
        teacher.to(device)
