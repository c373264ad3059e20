"""The form in which a model is served: arrays, and for sequential models an ONNX encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.dataset import Contexts
from ..errors import BundleError, nearest
from ..models.base import Floats, RankingModel, VectorModel
from ..models.fism import FISMModel
from ..serving.manifest import Kind
from .graph import gru_graph, hstu_graph, sasrec_graph
from .linear import fold_in, item_to_item
from .ort import quantised
from .product import product_code
from .quantise import Packed, Precision, pack
from .storage import EncoderForm, Storage

__all__ = ["Form", "form_of"]

_AGES = 100
_ANY_LENGTH = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What a scorer of ``serving/scorers.py`` reads.

    Attributes:
        kind: Which scorer.
        dim: Width of item vectors, or 0.
        max_length: Longest history that is read.
        arrays: Become ``NAME.npy``.
        encoder: Becomes ``encoder.onnx``.
    """

    kind: Kind
    dim: int
    max_length: int
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    encoder: bytes | None = None


def form_of(model: RankingModel, users: Contexts, popularity: npt.NDArray[np.int64], storage: Storage) -> Form:
    """Choose and make the form of a model.

    Args:
        model: Fitted.
        users: Some users of the log with their histories.
        popularity: int64 ``[n_items]``.
        storage: How numbers are stored.

    Raises:
        ConfigError: Vectors that do not divide into the parts of a product quantiser.
        BundleError: A trained sequential model whose encoder cannot be written.
    """
    config = model.config
    if config.name == "popularity":
        return Form("popularity", 0, _ANY_LENGTH, {"bias": model.score(users.take([0]))[0].astype(np.float32)})
    if not config.trained:
        return _item_to_item_form(model, popularity, storage)
    if isinstance(model, VectorModel) and not getattr(config, "sequential", True):
        return Form("fold-in", *_vectors(model, _ANY_LENGTH, storage, {"gram": fold_in(model, users)}))
    if isinstance(model, FISMModel):
        seen = _table(model.seen_table().detach().cpu().numpy(), storage, "seen_")
        return Form("fading", *_vectors(model, model.config.max_length, storage, seen | {"ages": _fading(model)}))
    if isinstance(model, VectorModel) and config.name in _ENCODERS:
        length = config.max_length  # type: ignore[attr-defined]
        encoder = _encoder(model, storage.encoder_form, users)
        return Form("sequence", *_vectors(model, length, storage), encoder=encoder)
    raise BundleError(f"no encoder is known for the model {config.name!r}", hint=nearest(config.name, _ENCODERS))


def _vectors(
    model: VectorModel, length: int, storage: Storage, more: dict[str, npt.NDArray[Any]] | None = None
) -> tuple[int, int, dict[str, npt.NDArray[Any]]]:
    vectors, bias = model.item_vectors(), model.item_bias()
    arrays = _table(vectors, storage) | (more or {})
    if bias is not None:
        arrays["bias"] = bias.astype(np.float32)
    return vectors.shape[1], length, arrays


def _table(vectors: npt.NDArray[np.float32], storage: Storage, prefix: str = "") -> dict[str, npt.NDArray[Any]]:
    """The files of a table of vectors, see ``serving/tables.py``."""
    if storage.vectors != "pq":
        return _named(f"{prefix}vectors", pack(vectors, storage.vectors), f"{prefix}scales")
    code = product_code(vectors, storage.parts_of(vectors.shape[1]))
    return {f"{prefix}codes": code.codes, f"{prefix}codebooks": code.codebooks}


def _item_to_item_form(model: RankingModel, popularity: npt.NDArray[np.int64], storage: Storage) -> Form:
    found = item_to_item(model, popularity, neighbours=storage.neighbours, ages=_AGES)
    small = np.uint16 if model.n_items <= np.iinfo(np.uint16).max else np.int32
    arrays = _named("weights", pack(found.weights, storage.entries))
    arrays |= {"neighbours": found.neighbours.astype(small), "ages": found.ages, "bias": found.bias}
    return Form("item-to-item", 0, _ANY_LENGTH, arrays)


def _fading(model: FISMModel) -> Floats:
    """Weights of the events of a history by its length - 1 and their age: float32 ``[max_length, max_length]``."""
    weights = (model.scale * model.ages(model.config.max_length)).detach().cpu().numpy()
    length = len(weights)
    place = np.arange(length)[:, None] - np.arange(length)  # row: the newest event, column: age
    return np.where(place >= 0, np.take_along_axis(weights, np.maximum(place, 0), 1), 0.0).astype(np.float32)


def _named(name: str, packed: Packed, scales: str = "scales") -> dict[str, npt.NDArray[Any]]:
    return {name: packed.stored()} | ({} if packed.scales is None else {scales: packed.scales})


def _encoder(model: VectorModel, form: EncoderForm, users: Contexts) -> bytes:
    write = _ENCODERS[model.config.name]
    if form != "dynamic" and form != "static":
        return write(model, form)
    return quantised(write(model, "float32"), _calibration(model, users) if form == "static" else ())


def _calibration(model: VectorModel, users: Contexts) -> list[dict[str, npt.NDArray[Any]]]:
    """What the encoder reads of some users, one after another."""
    vectors, length = model.item_vectors(), model.config.max_length  # type: ignore[attr-defined]
    histories = [users.history[row][-length:] for row in range(len(users))]
    return [{"vectors": vectors[items][None], "last": np.array([len(items) - 1])} for items in histories if len(items)]


def _sasrec(model: VectorModel, precision: Precision) -> bytes:
    config: Any = model.config
    return sasrec_graph(model.tensors(), width=config.width, blocks=config.blocks, precision=precision)


def _gru4rec(model: VectorModel, precision: Precision) -> bytes:
    config: Any = model.config
    return gru_graph(model.tensors(), layers=config.layers, precision=precision)


def _hstu(model: VectorModel, precision: Precision) -> bytes:
    config: Any = model.config
    return hstu_graph(model.tensors(), width=config.width, blocks=config.blocks, precision=precision)


_ENCODERS = {"sasrec": _sasrec, "gru4rec": _gru4rec, "hstu": _hstu}
