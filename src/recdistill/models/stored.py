"""Models in the knowledge store: what a teacher leaves of itself, so that it can be made again."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from ..errors import KnowledgeError
from ..knowledge import WeightsStore
from .base import RankingModel, VectorModel, remade
from .neural import NeuralModel

__all__ = ["stored_model", "tensors_of"]

_PREFIX = "model."


def tensors_of(model: VectorModel) -> dict[str, npt.NDArray[Any]]:
    """What goes into the store: the item vectors as ``items``; of a network, all parameters as ``model.NAME`` too."""
    own = model.tensors() if isinstance(model, NeuralModel) else {}
    return {"items": model.item_vectors(), **{_PREFIX + name: value for name, value in own.items()}}


def stored_model(store: WeightsStore) -> RankingModel:
    """The network whose weights these are.

    Raises:
        KnowledgeError: They do not say of which model, or are not all of it.
    """
    own = {name.removeprefix(_PREFIX): t for name, t in store.tensors().items() if name.startswith(_PREFIX)}
    described = store.manifest.extra.get("model")
    if described is None or not own:
        what = f"the weights by {store.manifest.teacher!r} are not all of a network"
        raise KnowledgeError(what, where=store.path, hint="teach again, by a model that is trained")
    return remade(described, own)
