"""A bundle as one ONNX graph: histories in, the best items out, for servers that know nothing of bundles.

Inputs: ``history`` ``[batch, length]``, ids as strings (or indices as int64), oldest first. What is no item (padding,
an unknown id) is passed over wherever it stands; who has no history gets the popular items. Outputs: ``items`` and
``scores`` float32 ``[batch, n]``, best first; where fewer than ``n`` are left, an empty id (or -1) with the score -∞.

Everything is done as :mod:`recdistill.serving.scorers` does it, in operators of ONNX alone. The tables have one row
more than there are items: whoever is nobody points at it, it adds nothing and is never recommended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BundleError, ConfigError
from ..files import atomic_path
from ..registry import need
from ..serving.bundle import Bundle
from ..serving.manifest import Kind, load_array
from ..serving.tables import load_matrix, load_table
from .nodes import IR, Nodes

__all__ = ["export_onnx"]

_OPSET, _ML_OPSET = 20, 4
_LARGEST = 2**31 - 2**20
"""Bytes of one file of protocol buffers, less some room."""
_BOOL, _FLOAT, _INT = 9, 1, 7  # TensorProto
_STRING = 8
_MORE_STEPS = 8
"""Of conjugate gradients beyond those that would do if numbers were not rounded."""


def export_onnx(
    bundle: Bundle, path: str | Path, *, n: int = 10, ids: bool = True, exclude_history: bool = True
) -> Path:
    """Write a bundle as one ONNX file.

    Args:
        bundle: What is exported; items added since it was opened are not in the file.
        path: File to write.
        n: Items of a list.
        ids: Histories and answers are ids; otherwise indices into the catalogue.
        exclude_history: Leave out what is in the history.

    Returns:
        ``path``.

    Raises:
        BundleError: More numbers than fit into one file.
        ConfigError: ``n`` is not in 1…number of items.
        MissingExtraError: onnx is not installed.
    """
    n_items, path = bundle.manifest.n_items, Path(path)
    if not 1 <= n <= n_items:
        raise ConfigError(f"{n} items cannot be listed out of {n_items:,}", key=("n",))
    if 4 * n_items * (bundle.manifest.dim + 64) > _LARGEST:
        raise BundleError(f"{n_items:,} items do not fit into one ONNX file of 2 GB", where=bundle.path)
    model = _Export(bundle).model(n, ids=ids, exclude_history=exclude_history)
    with atomic_path(path) as part:
        part.write_bytes(model.SerializeToString())
    return path


@dataclass(frozen=True, slots=True)
class _Newest:
    """The newest events of each history, oldest first: names of tensors.

    Attributes:
        items: int64 ``[batch, width]``, the extra row behind the end.
        last: int64 ``[batch, 1]``, place of the newest, 0 where there is none.
        age: int64 ``[batch, width]``, how many came later; 0 behind the end too.
        held: bool ``[batch, width]``, whether there is an event.
    """

    items: str
    last: str
    age: str
    held: str


class _Export(Nodes):
    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self._bundle, self._place, self._manifest = bundle, bundle.place, bundle.manifest
        self._n, self._opset = bundle.manifest.n_items, _OPSET

    def model(self, n: int, *, ids: bool, exclude_history: bool) -> Any:
        """The finished model, checked."""
        onnx, value = need("onnx", "onnx"), self.helper.make_tensor_value_info
        scores, history = self._scores(self._indices(ids))
        if exclude_history:
            nothing = self.add("Expand", self.exact(-np.inf, np.float32), self.add("Shape", history))
            scores = self.add("ScatterElements", scores, history, nothing, axis=1)
        best, at = self.all("TopK", scores, self.exact([n]), outputs=2, axis=1)
        # an item that must not come has no score
        at = self.add("Where", self.add("IsInf", best), self.exact(self._n if ids else -1), at)
        if ids:
            names = [*self._bundle.items.ids][: self._n]
            at = self.add("Gather", self.texts([*names, ""]), at)
        self.nodes += [
            self.helper.make_node("Identity", [at], ["items"]),
            self.helper.make_node("Identity", [best], ["scores"]),
        ]
        kind = _STRING if ids else _INT
        graph = self.helper.make_graph(
            self.nodes, "recommend", [value("history", kind, ["batch", "length"])],
            [value("items", kind, ["batch", n]), value("scores", _FLOAT, ["batch", n])], self.stored,
        )  # fmt: skip
        opsets = [self.helper.make_opsetid("", self._opset), self.helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
        model = self.helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="recdistill")
        self.helper.set_model_props(model, {"bundle": self._bundle.fingerprint, "model": self._manifest.model})
        onnx.checker.check_model(model)
        return model

    def _indices(self, ids: bool) -> str:
        """The history as int64 ``[batch, length]``; what is no item is ``n_items``."""
        given = "history"
        if ids:
            names = [*self._bundle.items.ids][: self._n]
            given = self.add(
                "LabelEncoder", given, domain="ai.onnx.ml", keys_strings=names, values_int64s=[*range(self._n)],
                default_int64=self._n,
            )  # fmt: skip
        known = self.add("And", self.add("GreaterOrEqual", given, self.exact(0)), self.less(given, self.exact(self._n)))
        return self.add("Where", known, given, self.exact(self._n))

    def _scores(self, history: str) -> tuple[str, str]:
        """float32 ``[batch, n_items + 1]``, the last one -∞; and the history."""
        count = self.add("ReduceSum", self._whole(self.less(history, self.exact(self._n))), self.exact([1]))
        scores = self.add("Add", _KINDS[self._manifest.kind](self, self._newest(history, count)), self._bias())
        popular = self.exact(np.append(self._bundle.popularity[: self._n], -np.inf)[None], np.float32)
        return self.add("Where", self.add("Greater", count, self.exact(0)), scores, popular), history

    def _newest(self, history: str, count: str) -> _Newest:
        """Move all events to the front, and keep the newest that the model reads."""
        length = self.add("Shape", history, start=1, end=2)
        place = self._range(length)
        late = self.add("Add", place, length)
        first = self.add("Where", self.less(history, self.exact(self._n)), place, late)
        _, order = self.all("TopK", first, length, outputs=2, axis=1, largest=0)
        front = self.add("GatherElements", history, order, axis=1)
        start = self.add("Max", self.add("Sub", count, self.exact(self._manifest.max_length)), self.exact(0))
        width = self._range(self.add("Min", length, self.exact([self._manifest.max_length])))
        items = self.add("GatherElements", front, self.add("Add", start, width), axis=1)
        last = self.add("Max", self.add("Sub", self.add("Sub", count, start), self.exact(1)), self.exact(0))
        age = self.add("Max", self.add("Sub", last, width), self.exact(0))
        return _Newest(items, last, age, self.less(items, self.exact(self._n)))

    def fold_in(self, newest: _Newest) -> str:
        """``(G + VᵀV)⁻¹ Vᵀ1`` by conjugate gradients, preconditioned by ``G⁻¹``.

        ``G⁻¹(G + VᵀV)`` is the identity plus a matrix of the rank of V, so there are as many steps as events, and one.
        """
        gram = load_array(self._place, "gram.npy", (self._manifest.dim,) * 2, np.float32).astype(np.float64)
        table = self._table()
        seen = self.add("Gather", table, newest.items)
        wanted = self.add("ReduceSum", seen, self.exact([1]), keepdims=0)
        inner = _Step(self, self.exact(gram, np.float32), self.exact(np.linalg.inv(gram), np.float32), seen)
        turned = self.add("MatMul", wanted, inner.inverse)
        start = self.add("Mul", wanted, self.exact(0, np.float32))
        width = self.add("Shape", newest.items, start=1, end=2)
        steps = self.add("Add", self.add("Min", width, self.exact([self._manifest.dim])), self.exact([_MORE_STEPS]))
        body, always = inner.body(), self.exact(True, np.bool_)
        # outputs: solution, residual, direction, size of the residual
        states = self.all(
            "Loop", steps, always, start, wanted, turned, inner.dot(self, wanted, turned), outputs=4, body=body
        )
        return self._products(states[0], table)

    def fading(self, newest: _Newest) -> str:
        """A weighted sum of the vectors of the events."""
        length = self._manifest.max_length
        ages = load_array(self._place, "ages.npy", (length, length), np.float32)
        row = self.add("Gather", self.exact(ages, np.float32), self.add("Squeeze", newest.last, self.exact([1])))
        weights = self.add("GatherElements", row, newest.age, axis=1)
        seen = self.add("Gather", self._table("seen_"), newest.items)
        mixed = self.add("MatMul", self.add("Unsqueeze", weights, self.exact([1])), seen)
        return self._products(self.add("Squeeze", mixed, self.exact([1])), self._table())

    def sequence(self, newest: _Newest) -> str:
        """The encoder of the bundle, taken in."""
        onnx, compose = need("onnx", "onnx"), need("onnx.compose", "onnx")
        encoder = compose.add_prefix(onnx.load_model_from_string(bytes(self._place.whole("encoder.onnx"))), "encoder_")
        self._opset = max(part.version for part in encoder.opset_import if part.domain in ("", "ai.onnx"))
        table = self._table()
        inputs = {
            "encoder_vectors": self.add("Gather", table, newest.items),
            "encoder_last": self.add("Squeeze", newest.last, self.exact([1])),
        }
        self.nodes += [self.helper.make_node("Identity", [given], [name]) for name, given in inputs.items()]
        self.nodes += encoder.graph.node
        self.stored += encoder.graph.initializer
        return self._products("encoder_context", table)

    def item_to_item(self, newest: _Newest) -> str:
        """The rows of the items of the history, each once, weighted by the age of the newest event, added up."""
        neighbours = load_array(self._place, "neighbours.npy", (self._n, -1), np.uint16, np.int32).astype(np.int64)
        entries = load_matrix(self._place, self._manifest, "weights", "scales", neighbours.shape[1])
        ages = load_array(self._place, "ages.npy", (-1,), np.float32)
        pairs = [self.add("Unsqueeze", newest.items, self.exact([axis])) for axis in (2, 1)]
        later = self.add("Trilu", self._whole(self.add("Equal", *pairs)), self.exact(1), upper=1)
        again = self.add("ReduceMax", later, self.exact([2]), keepdims=0)
        counted = self.add("And", newest.held, self.less(again, self.exact(1)))
        age = self.add("Gather", self.exact(ages, np.float32), self.add("Min", newest.age, self.exact(len(ages) - 1)))
        weights = self.add("Where", counted, age, self.exact(0, np.float32))
        rows = self.add("Gather", self.exact(_one_more(entries), np.float32), newest.items)
        values = self.add("Mul", rows, self.add("Unsqueeze", weights, self.exact([2])))
        width = np.full((1, neighbours.shape[1]), self._n)
        at = self.add("Gather", self.exact(np.concatenate([neighbours, width])), newest.items)
        flat = [self.shape(self.add("Flatten", x, axis=1), 0, -1) for x in (at, values)]
        return self.add("ScatterElements", self._zeros(newest), *flat, axis=1, reduction="add")

    def popularity(self, newest: _Newest) -> str:
        """The same for everyone: all is in the bias."""
        return self._zeros(newest)

    def less(self, x: str, than: str) -> str:
        """Whether x is less."""
        return self.add("Less", x, than)

    def _zeros(self, newest: _Newest) -> str:
        """float32 ``[batch, n_items + 1]``."""
        batch = self.add("Shape", newest.items, start=0, end=1)
        size = self.add("Concat", batch, self.exact([self._n + 1]), axis=0)
        return self.add("Expand", self.exact(0, np.float32), size)

    def _products(self, context: str, table: str) -> str:
        return self.add("MatMul", context, self.add("Transpose", table, perm=[1, 0]))

    def _table(self, prefix: str = "") -> str:
        """Vectors of all items and of nobody: float32 ``[n_items + 1, dim]``; stored in int8 where they are."""
        manifest = self._manifest
        if manifest.precision == "int8" and manifest.has(f"{prefix}vectors.npy"):
            codes = load_array(self._place, f"{prefix}vectors.npy", (self._n, manifest.dim), np.int8)
            scales = load_array(self._place, f"{prefix}scales.npy", (self._n,), np.float32)
            stored = self.add("Cast", self.exact(_one_more(codes), np.int8), to=_FLOAT)
            return self.add("Mul", stored, self.exact(np.append(scales, 0)[:, None], np.float32))
        rows = load_table(self._place, manifest, prefix).rows(np.arange(self._n))
        return self.exact(_one_more(rows), np.float32)

    def _bias(self) -> str:
        """float32 ``[n_items + 1]``."""
        there = self._manifest.has("bias.npy")
        bias = load_array(self._place, "bias.npy", (self._n,), np.float32) if there else np.zeros(self._n)
        return self.exact(np.append(bias, -np.inf), np.float32)

    def _range(self, length: str) -> str:
        """0, 1, … : int64 ``[length]`` from int64 ``[1]``."""
        end = self.add("Squeeze", length, self.exact([0]))
        return self.add("Range", self.exact(0), end, self.exact(1))

    def _whole(self, x: str) -> str:
        return self.add("Cast", x, to=_INT)


class _Step(Nodes):
    """One step of conjugate gradients for all rows of a batch."""

    def __init__(self, outer: Nodes, gram: str, inverse: str, seen: str) -> None:
        super().__init__("step_")
        self.gram, self.inverse, self._seen = gram, inverse, seen
        self._across = outer.add("Transpose", seen, perm=[0, 2, 1])
        self._one, self._least = outer.exact([1]), outer.exact(1e-30, np.float32)

    def dot(self, nodes: Nodes, a: str, b: str) -> str:
        """Row by row: float32 ``[batch, 1]``."""
        return nodes.add("ReduceSum", nodes.add("Mul", a, b), self._one)

    def body(self) -> Any:
        """The graph of a Loop; it reads constants of the graph around it."""
        value, names = self.helper.make_tensor_value_info, ["solved", "residual", "towards", "size"]
        wide = self.add("Unsqueeze", "towards", self._one)
        seen = self.add("MatMul", self.add("MatMul", wide, self._across), self._seen)
        image = self.add("Add", self.add("MatMul", "towards", self.gram), self.add("Squeeze", seen, self._one))
        step = self.add("Div", "size", self.add("Max", self.dot(self, "towards", image), self._least))
        solved = self.add("Add", "solved", self.add("Mul", step, "towards"))
        residual = self.add("Sub", "residual", self.add("Mul", step, image))
        turned = self.add("MatMul", residual, self.inverse)
        size = self.dot(self, residual, turned)
        share = self.add("Div", size, self.add("Max", "size", self._least))
        towards = self.add("Add", turned, self.add("Mul", share, "towards"))
        inputs = [value("step", _INT, []), value("going", _BOOL, []), *(value(name, _FLOAT, None) for name in names)]
        outputs = [value(self.add("Identity", "going"), _BOOL, [])]
        outputs += [value(name, _FLOAT, None) for name in (solved, residual, towards, size)]
        return self.helper.make_graph(self.nodes, "step", inputs, outputs)


def _one_more(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """With a row of zeros at the end."""
    return np.concatenate([rows, np.zeros((1, *rows.shape[1:]), rows.dtype)])


_KINDS: dict[Kind, Callable[[_Export, _Newest], str]] = {
    "sequence": _Export.sequence,
    "fading": _Export.fading,
    "fold-in": _Export.fold_in,
    "item-to-item": _Export.item_to_item,
    "popularity": _Export.popularity,
}
