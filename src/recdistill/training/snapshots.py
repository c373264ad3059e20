"""Snapshots of a training: the model at epochs spread over the way to its best one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from ..errors import TrainingError
from ..models.neural import NeuralModel

__all__ = ["Snapshots"]

_SPARE = 4
"""So many times the wanted number is kept while nobody knows which epoch will be the best."""


class Snapshots:
    """Keeps some epochs of a training on disk, evenly spread and never more than a few times as many as wanted.

    Which epochs are kept follows from how many there are, so that an interrupted training keeps the same ones.

    Args:
        directory: Where they go: ``epoch-00001`` and so on, models to load.
        wanted: How many are wanted in the end, at least 1.
    """

    def __init__(self, directory: Path, wanted: int) -> None:
        self.directory, self.wanted = directory, wanted

    def offer(self, epoch: int, model: NeuralModel) -> None:
        """Keep the model of an epoch if it is one to keep, and drop those that are not any more."""
        stride = 1
        while epoch // stride > _SPARE * self.wanted:
            stride *= 2
        if epoch % stride == 0:
            model.save(self._path(epoch))
        for kept in self._kept():
            if kept % stride:
                shutil.rmtree(self._path(kept))

    def before(self, best: int) -> list[Path]:
        """Those that are wanted, earliest first: spread over the epochs before the best one.

        Raises:
            TrainingError: The first epoch was the best.
        """
        kept = [epoch for epoch in self._kept() if epoch < best]
        if not kept:
            what, hint = f"there are no snapshots before the best epoch, {best}", "lower lr, or ask for no snapshots"
            raise TrainingError(what, where=self.directory, hint=hint)
        spread = np.linspace(0, len(kept) - 1, min(self.wanted, len(kept))).round().astype(int)
        return [self._path(kept[place]) for place in spread]

    def _kept(self) -> list[int]:
        return sorted(int(path.name.partition("-")[2]) for path in self.directory.glob("epoch-*"))

    def _path(self, epoch: int) -> Path:
        return self.directory / f"epoch-{epoch:05d}"
