"""A bundle in the role of a model, so that what is served is evaluated, not what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from ..data.dataset import Contexts
from ..models.base import Floats, ModelConfig, RankingModel
from ..serving.bundle import Bundle
from ..serving.manifest import read_array

__all__ = ["ServedModel"]


class ServedModel(RankingModel):
    """Scores of a bundle as they come out of its own runtime.

    Args:
        bundle: The open bundle, or its path.
    """

    config = ModelConfig()

    def __init__(self, bundle: Bundle | str | Path) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self.n_items, self.n_users = self.bundle.n_items, 0

    def score(self, contexts: Contexts) -> Floats:
        return self.bundle.score(contexts)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of the bundle as they are stored (the weights inside ``encoder.onnx`` are not among them)."""
        place = self.bundle.place
        files = [name for name in place.sizes if name.endswith(".npy")]
        return {name.removesuffix(".npy"): read_array(place, name) for name in files}

    @property
    def n_parameters(self) -> int:
        return self.bundle.manifest.parameters
