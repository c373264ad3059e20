"""ONNX graphs of the encoders: from an event's vectors to the context vector, for the newest event only.

The graphs are written node by node instead of traced. A tracer keeps the work that the network does for training, a
state behind *every* event; serving needs one state, and the last block shrinks to a fraction of its cost when it is
written for one query (see :func:`sasrec_graph`). ``write_bundle`` compares every graph with its network before it is kept.

Inputs: ``vectors`` float ``[batch, length, dim]``, the item vectors of the history, oldest first, padded on the right with
anything; ``last`` int64 ``[batch]``, the place of the newest event. Output: ``context`` float ``[batch, dim]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..registry import need
from .quantise import Precision, pack

__all__ = ["gru_graph", "sasrec_graph"]

Weights = Mapping[str, npt.NDArray[Any]]
_OPSET = 20  # the first with Gelu
_IR = 10


class _Graph:
    """Nodes and constants under construction; a name stands for the tensor that a node gives."""

    def __init__(self, precision: Precision) -> None:
        self._helper, self._numpy = need("onnx.helper", "onnx"), need("onnx.numpy_helper", "onnx")
        self._precision = precision
        self._nodes: list[Any] = []
        self._stored: list[Any] = []

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Append a node; returns the name of its last output."""
        names = [f"t{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(self._helper.make_node(op, list(inputs), names, **attributes))
        return names[-1]

    def exact(self, values: npt.ArrayLike, kind: Any = np.int64) -> str:
        """A constant kept as it is."""
        name = f"c{len(self._stored)}"
        self._stored.append(self._numpy.from_array(np.array(values, dtype=kind), name))
        return name

    def real(self, values: npt.NDArray[Any]) -> str:
        """A float32 constant, stored in the precision of the bundle; the runtime unpacks it once, at load."""
        packed = pack(np.asarray(values, dtype=np.float32), self._precision if np.ndim(values) > 1 else "float32")
        name = self.exact(packed.values, packed.values.dtype)
        if packed.values.dtype != np.float32:
            name = self.add("Cast", name, to=1)
        return name if packed.scales is None else self.add("Mul", name, self.exact(packed.scales[..., None], np.float32))

    def linear(self, x: str, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> str:
        """``x @ weight.T + bias``, as in torch."""
        return self.add("Add", self.add("MatMul", x, self.transposed(weight)), self.real(bias))

    def transposed(self, weight: npt.NDArray[Any]) -> str:
        """``weight.T`` of a matrix; turned after unpacking, so that each output keeps its own scale."""
        return self.add("Transpose", self.real(weight), perm=[1, 0])

    def norm(self, x: str, weights: Weights, name: str) -> str:
        """Layer normalisation over the last axis."""
        scale, shift = self.real(weights[f"{name}.weight"]), self.real(weights[f"{name}.bias"])
        return self.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-5)

    def shape(self, x: str, *sizes: int) -> str:
        """Reshape; 0 keeps a size, -1 is worked out."""
        return self.add("Reshape", x, self.exact(sizes))

    def model(self, output: str, dim: int) -> bytes:
        """The finished model, checked and serialised."""
        onnx, value = need("onnx", "onnx"), self._helper.make_tensor_value_info
        self._nodes.append(self._helper.make_node("Identity", [output], ["context"]))
        graph = self._helper.make_graph(
            self._nodes,
            "encoder",
            [value("vectors", 1, ["batch", "length", dim]), value("last", 7, ["batch"])],
            [value("context", 1, ["batch", dim])],
            self._stored,
        )
        opsets = [self._helper.make_opsetid("", _OPSET)]
        model = self._helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="recdistill")
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def sasrec_graph(weights: Weights, *, heads: int, blocks: int, precision: Precision = "float32") -> bytes:
    """The encoder of SASRec.

    All blocks but the last run at every place. The last one is asked for a single state, so its key and value maps move
    to the other side of the sum: with query ``q`` and inputs ``x_j``, ``q · W_k x_j = (W_kᵀ q) · x_j`` and
    ``Σ a_j W_v x_j = W_v Σ a_j x_j``. The bias of the keys adds the same number to every logit and drops out. That costs
    ``2 · heads · dim`` multiplications an event instead of ``2 · dim²``.

    Args:
        weights: State dict of the network.
        heads: Attention heads.
        blocks: Attention blocks.
        precision: How the matrices are stored.
    """
    max_length, dim = weights["place"].shape
    graph = _Graph(precision)
    length = graph.add("Shape", "vectors", start=1, end=2)
    place = graph.add("Slice", graph.real(weights["place"]), graph.exact([0]), length, graph.exact([0]))
    x = graph.add("Add", graph.add("Mul", "vectors", graph.exact(dim**0.5, np.float32)), place)
    for block in range(blocks):
        own = {k.removeprefix(f"blocks.{block}."): v for k, v in weights.items() if k.startswith(f"blocks.{block}.")}
        if block == blocks - 1:
            x = graph.add("Add", _newest(graph, x), _attend_newest(graph, x, length, own, heads, max_length))
        else:
            x = graph.add("Add", x, _attend_all(graph, x, length, own, heads, max_length))
        wide = graph.add("Gelu", graph.linear(graph.norm(x, own, "norm_feed"), own["up.weight"], own["up.bias"]))
        x = graph.add("Add", x, graph.linear(wide, own["down.weight"], own["down.bias"]))
    x = x if blocks else _newest(graph, x)
    return graph.model(graph.add("Squeeze", graph.norm(x, weights, "norm"), graph.exact([1])), dim)


def _newest(graph: _Graph, x: str) -> str:
    """``[batch, length, dim]`` → ``[batch, 1, dim]``: the row at ``last``."""
    at = graph.shape("last", -1, 1)
    return graph.add("Unsqueeze", graph.add("GatherND", x, at, batch_dims=1), graph.exact([1]))


def _attend_all(graph: _Graph, x: str, length: str, own: Weights, heads: int, max_length: int) -> str:
    """Causal attention at every place, in the form in which the network computes it."""
    dim = own["out.weight"].shape[0]
    width = dim // heads
    seen = graph.norm(x, own, "norm_attention")
    weight, bias = own["qkv.weight"].copy(), own["qkv.bias"].copy()
    weight[:dim] *= width**-0.5
    bias[:dim] *= width**-0.5
    joint = graph.shape(graph.linear(seen, weight, bias), 0, 0, 3, heads, width)
    part = [graph.add("Gather", joint, graph.exact(i), axis=2) for i in range(3)]
    query, value = (graph.add("Transpose", part[i], perm=[0, 2, 1, 3]) for i in (0, 2))
    logits = graph.add("MatMul", query, graph.add("Transpose", part[1], perm=[0, 2, 3, 1]))
    future = np.triu(np.full((max_length, max_length), -1e9), 1)
    ends = graph.add("Concat", length, length, axis=0)
    mask = graph.add("Slice", graph.exact(future, np.float32), graph.exact([0, 0]), ends, graph.exact([0, 1]))
    mixed = graph.add("MatMul", graph.add("Softmax", graph.add("Add", logits, mask)), value)
    joined = graph.shape(graph.add("Transpose", mixed, perm=[0, 2, 1, 3]), 0, 0, dim)
    return graph.linear(joined, own["out.weight"], own["out.bias"])


def _attend_newest(graph: _Graph, x: str, length: str, own: Weights, heads: int, max_length: int) -> str:
    """Attention of the newest event alone, keys and values absorbed: ``[batch, 1, dim]``."""
    dim = own["out.weight"].shape[0]
    width = dim // heads
    seen = graph.norm(x, own, "norm_attention")
    (wq, wk, wv), (bq, _, bv) = np.split(own["qkv.weight"], 3), np.split(own["qkv.bias"], 3)
    query = graph.linear(_newest(graph, seen), wq * width**-0.5, bq * width**-0.5)
    query = graph.add("Transpose", graph.shape(query, 0, 1, heads, width), perm=[0, 2, 1, 3])
    asked = graph.add("MatMul", query, graph.shape(graph.real(wk), heads, width, dim))  # [batch, heads, 1, dim]
    asked = graph.shape(asked, 0, heads, dim)
    logits = graph.add("MatMul", asked, graph.add("Transpose", seen, perm=[0, 2, 1]))  # [batch, heads, length]
    places = graph.add("Slice", graph.exact(np.arange(max_length)), graph.exact([0]), length, graph.exact([0]))
    padding = graph.add("Unsqueeze", graph.add("Greater", places, graph.shape("last", -1, 1)), graph.exact([1]))
    logits = graph.add("Where", padding, graph.exact(-1e9, np.float32), logits)
    mixed = graph.add("MatMul", graph.add("Softmax", logits), seen)  # [batch, heads, dim]
    values = graph.add("Transpose", graph.shape(graph.real(wv), heads, width, dim), perm=[0, 2, 1])
    joined = graph.add("MatMul", graph.add("Unsqueeze", mixed, graph.exact([2])), values)  # [batch, heads, 1, width]
    joined = graph.add("Add", graph.shape(joined, 0, 1, dim), graph.real(bv))
    return graph.linear(joined, own["out.weight"], own["out.bias"])


def gru_graph(weights: Weights, *, precision: Precision = "float32") -> bytes:
    return b""
