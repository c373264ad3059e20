"""ONNX graphs of the encoders: from an event's vectors to the context vector, for the newest event only.

The graphs are written node by node instead of traced. A tracer keeps the work that the network does for training, a
state behind *every* event; serving needs one state, and the last block shrinks to a fraction of its cost when it is
written for one query (see :func:`sasrec_graph`). ``write_bundle`` compares every graph with its network first.

Inputs: ``vectors`` float ``[batch, length, dim]``, the item vectors of the history, oldest first, padded on the right
with anything; ``last`` int64 ``[batch]``, the place of the newest event. Output: ``context`` float ``[batch, dim]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..registry import need
from .nodes import IR, Nodes
from .quantise import Packed, Precision, pack, pack_nibbles

__all__ = ["gru_graph", "hstu_graph", "sasrec_graph"]

Weights = Mapping[str, npt.NDArray[Any]]
_OPSET, _OPSET_INT4 = 20, 21  # the first with Gelu, with numbers of 4 bits
_INT4 = 22  # TensorProto.INT4


class _Graph(Nodes):
    """The nodes of an encoder."""

    def __init__(self, precision: Precision) -> None:
        super().__init__()
        self._precision: Precision = precision
        self._opset = _OPSET_INT4 if precision == "int4" else _OPSET

    def real(self, values: npt.NDArray[Any]) -> str:
        """A float32 constant, stored in the precision of the bundle; the runtime unpacks it once, at load."""
        packed = pack(np.asarray(values, dtype=np.float32), self._precision if np.ndim(values) > 1 else "float32")
        name = self._nibbles(packed) if packed.bits == 4 else self.exact(packed.values, packed.values.dtype)
        if packed.values.dtype != np.float32:
            name = self.add("Cast", name, to=1)
        return (
            name if packed.scales is None else self.add("Mul", name, self.exact(packed.scales[..., None], np.float32))
        )

    def _nibbles(self, packed: Packed) -> str:
        name, values = f"c{len(self.stored)}", packed.values
        raw = pack_nibbles(values.reshape(1, -1)) ^ np.uint8(0x88)  # from plus 8 to two's complement
        tensor = self.helper.make_tensor(name, _INT4, values.shape, raw.tobytes(), raw=True)
        self.stored.append(tensor)
        return name

    def linear(self, x: str, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> str:
        """``x @ weight.T + bias``, as in torch."""
        return self.add("Add", self.times(x, weight), self.real(bias))

    def layer(self, x: str, weights: Weights, name: str) -> str:
        """A linear map of the network, which may have become two thin ones."""
        if f"{name}.first" in weights:
            return self.linear(
                self.times(x, weights[f"{name}.first"]), weights[f"{name}.second"], weights[f"{name}.bias"]
            )
        return self.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def times(self, x: str, weight: npt.NDArray[Any]) -> str:
        """``x @ weight.T``; turned after unpacking, so that each output keeps its own scale."""
        if self._precision == "float32":
            return self.add("MatMul", x, self.real(weight.T))
        return self.add("MatMul", x, self.add("Transpose", self.real(weight), perm=[1, 0]))

    def flags(self, values: npt.ArrayLike, factor: float) -> str:
        """A float32 constant of 0 and ``factor``, stored in a byte each."""
        return self.add("Mul", self.add("Cast", self.exact(values, np.int8), to=1), self.exact(factor, np.float32))

    def enter(self, weights: Weights, dim: int) -> str:
        """Scaled vectors of the history in the width of the network: ``[batch, length, dim]``."""
        vectors = self.times("vectors", weights["enter"].T) if "enter" in weights else "vectors"
        return self.add("Mul", vectors, self.exact(dim**0.5, np.float32))

    def leave(self, x: str, weights: Weights) -> bytes:
        """The finished model that ends with a norm, and with a map to the width of the item vectors if there is one."""
        x, width = self.norm(x, weights, "norm"), len(weights["norm.weight"])
        if "leave" not in weights:
            return self.model(x, width)
        return self.model(self.times(x, weights["leave"].T), weights["leave"].shape[1])

    def norm(self, x: str, weights: Weights, name: str) -> str:
        """Layer normalisation over the last axis."""
        scale, shift = self.real(weights[f"{name}.weight"]), self.real(weights[f"{name}.bias"])
        return self.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-5)

    def silu(self, x: str) -> str:
        """``x · σ(x)``."""
        return self.add("Mul", x, self.add("Sigmoid", x))

    def rows(self, x: str, length: str, *sizes: int) -> str:
        """``[batch * length, …]`` → ``[batch, length, *sizes]``."""
        ends = self.add("Concat", self.exact([-1]), length, self.exact(sizes), axis=0)
        return self.add("Reshape", x, ends)

    def newest(self, x: str) -> str:
        """``[batch, length, dim]`` → ``[batch, dim]``: the row at ``last``."""
        return self.add("GatherND", x, self.shape("last", -1, 1), batch_dims=1)

    def model(self, output: str, dim: int) -> bytes:
        """The finished model, checked and serialised; item vectors and context have the same width."""
        onnx, value = need("onnx", "onnx"), self.helper.make_tensor_value_info
        self.nodes.append(self.helper.make_node("Identity", [output], ["context"]))
        graph = self.helper.make_graph(
            self.nodes,
            "encoder",
            [value("vectors", 1, ["batch", "length", dim]), value("last", 7, ["batch"])],
            [value("context", 1, ["batch", dim])],
            self.stored,
        )
        opsets = [self.helper.make_opsetid("", self._opset)]
        model = self.helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="recdistill")
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def sasrec_graph(weights: Weights, *, width: int, blocks: int, precision: Precision = "float32") -> bytes:
    """The encoder of SASRec.

    All blocks but the last run at every place; the last one is asked for a single state (see :func:`_attend_newest`).

    Args:
        weights: State dict of the network; each block has the heads and the feed-forward layer that its matrices show.
        width: Width of an attention head.
        blocks: Attention blocks.
        precision: How the matrices are stored.
    """
    max_length, dim = weights["place"].shape
    graph = _Graph(precision)
    length = graph.add("Shape", "vectors", start=1, end=2)
    place = graph.add("Slice", graph.real(weights["place"]), graph.exact([0]), length, graph.exact([0]))
    future = graph.flags(np.triu(np.ones((max_length, max_length)), 1), -1e9)
    both = graph.add("Concat", length, length, axis=0)
    mask = graph.add("Slice", future, graph.exact([0, 0]), both, graph.exact([0, 1]))
    x = graph.add("Add", graph.enter(weights, dim), place)
    x = graph.shape(x, -1, dim)  # events of all rows below each other: a product and its bias become one operation
    for block in range(blocks):
        own = _of_block(weights, block)
        if block < blocks - 1:
            x = graph.add("Add", x, _attend_all(graph, x, length, mask, own, width))
        else:
            x = _attend_newest(graph, x, length, mask, own, width)
        wide = graph.add("Gelu", graph.layer(graph.norm(x, own, "norm_feed"), own, "up"))
        x = graph.add("Add", x, graph.layer(wide, own, "down"))
    if not blocks:
        x = graph.newest(graph.rows(x, length, dim))
    return graph.leave(x, weights)


def _of_block(weights: Weights, block: int) -> Weights:
    prefix = f"blocks.{block}."
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def _matrix(own: Weights, name: str) -> npt.NDArray[Any]:
    """A linear map as one matrix, also where it has become two."""
    if f"{name}.first" in own:
        product: npt.NDArray[Any] = own[f"{name}.second"] @ own[f"{name}.first"]
        return product
    return own[f"{name}.weight"]


def _attend_all(graph: _Graph, x: str, length: str, mask: str, own: Weights, width: int) -> str:
    """Causal attention at every place, in the form in which the network computes it: ``[events, dim]``."""
    inner = len(own["qkv.bias"]) // 3
    scaled = dict(own)
    for name in ("qkv.second" if "qkv.second" in own else "qkv.weight", "qkv.bias"):
        scaled[name] = own[name].copy()
        scaled[name][:inner] *= width**-0.5
    maps = graph.layer(graph.norm(x, own, "norm_attention"), scaled, "qkv")
    joint = graph.rows(maps, length, 3, inner // width, width)
    part = [graph.add("Gather", joint, graph.exact(i), axis=2) for i in range(3)]
    query, value = (graph.add("Transpose", part[i], perm=[0, 2, 1, 3]) for i in (0, 2))
    logits = graph.add("MatMul", query, graph.add("Transpose", part[1], perm=[0, 2, 3, 1]))
    mixed = graph.add("MatMul", graph.add("Softmax", graph.add("Add", logits, mask)), value)
    joined = graph.shape(graph.add("Transpose", mixed, perm=[0, 2, 1, 3]), -1, inner)
    return graph.layer(joined, own, "out")


def _attend_newest(graph: _Graph, x: str, length: str, mask: str, own: Weights, width: int) -> str:
    """Attention and residual of the newest event alone: ``[batch, dim]``.

    With one query, the maps of keys and values move to the other side of the sums over the events ``x_j``: for each
    head ``q · W_k x_j = (W_kᵀ W_q x + W_kᵀ b_q) · x_j`` and ``W_o W_v Σ a_j x_j``, two pairs of matrices that are
    multiplied here, once. The bias of the keys adds the same number to every logit and drops out; that of the values
    joins the bias of the output because the weights ``a`` sum to 1. This costs ``2 · heads · dim`` multiplications an
    event instead of ``2 · dim²``.
    """
    out = _matrix(own, "out")
    dim, heads = len(out), out.shape[1] // width
    wq, wk, wv = (part.reshape(heads, width, dim) for part in np.split(_matrix(own, "qkv").astype(np.float64), 3))
    bq, _, bv = np.split(own["qkv.bias"].astype(np.float64), 3)
    wo = out.reshape(dim, heads, width)
    scale = wq.shape[1] ** -0.5
    ask = np.einsum("hwi,hwj->hij", wk, wq).reshape(-1, dim) * scale  # [heads * dim, dim]
    ask_bias = np.einsum("hwi,hw->hi", wk, bq.reshape(heads, -1)).ravel() * scale
    answer = np.einsum("ohw,hwi->ohi", wo, wv).reshape(dim, -1)  # [dim, heads * dim]
    rows = graph.rows(x, length, dim)
    seen, newest = graph.norm(rows, own, "norm_attention"), graph.newest(rows)
    query = graph.shape(graph.linear(graph.norm(newest, own, "norm_attention"), ask, ask_bias), -1, heads, dim)
    logits = graph.add("MatMul", seen, graph.add("Transpose", query, perm=[0, 2, 1]))  # [batch, length, heads]
    hidden = graph.add("Unsqueeze", graph.add("Gather", mask, "last"), graph.exact([2]))
    shares = graph.add("Softmax", graph.add("Add", logits, hidden), axis=1)
    shares = graph.add("Transpose", shares, perm=[0, 2, 1])
    mixed = graph.shape(graph.add("MatMul", shares, seen), -1, heads * dim)
    return graph.add("Add", newest, graph.linear(mixed, answer, own["out.bias"] + out @ bv))


def hstu_graph(weights: Weights, *, width: int, blocks: int, precision: Precision = "float32") -> bytes:
    """The encoder of HSTU: every block at every place, then the newest event's state.

    Args:
        weights: State dict of the network; each block has the heads that its matrices show.
        width: Width of an attention head.
        blocks: Gated attention blocks.
        precision: How the matrices are stored.
    """
    max_length, dim = weights["place"].shape
    graph = _Graph(precision)
    length = graph.add("Shape", "vectors", start=1, end=2)
    both = graph.add("Concat", length, length, axis=0)
    place = graph.add("Slice", graph.real(weights["place"]), graph.exact([0]), length, graph.exact([0]))
    past = graph.flags(np.tril(np.ones((max_length, max_length))), 1.0)
    past = graph.add("Slice", past, graph.exact([0, 0]), both, graph.exact([0, 1]))
    x = graph.add("Add", graph.enter(weights, dim), place)
    for block in range(blocks):
        own = _of_block(weights, block)
        distance = np.maximum(np.arange(max_length)[:, None] - np.arange(max_length), 0)
        near = graph.exact(own["near"][:, distance], np.float32)
        near = graph.add("Slice", near, graph.exact([0, 0]), both, graph.exact([1, 2]))
        x = graph.add("Add", x, _gated(graph, x, near, past, own, width))
    return graph.leave(graph.newest(x), weights)


def _gated(graph: _Graph, x: str, near: str, past: str, own: Weights, width: int) -> str:
    """Gated attention at every place: ``[batch, length, dim]``."""
    inner = len(own["uvqk.bias"]) // 4
    maps = graph.silu(graph.layer(graph.norm(x, own, "norm_input"), own, "uvqk"))
    gate, *parts = (
        graph.add("Slice", maps, *(graph.exact([n]) for n in (i * inner, (i + 1) * inner, 2))) for i in range(4)
    )
    split = [graph.shape(part, 0, 0, inner // width, width) for part in parts]
    value, query = (graph.add("Transpose", part, perm=[0, 2, 1, 3]) for part in split[:2])
    logits = graph.add("MatMul", query, graph.add("Transpose", split[2], perm=[0, 2, 3, 1]))
    attention = graph.add("Mul", graph.silu(graph.add("Add", logits, near)), past)
    mixed = graph.add("Transpose", graph.add("MatMul", attention, value), perm=[0, 2, 1, 3])
    normal = graph.norm(graph.shape(mixed, 0, 0, inner), own, "norm_mixed")
    return graph.layer(graph.add("Mul", normal, gate), own, "out")


def gru_graph(weights: Weights, *, layers: int, precision: Precision = "float32") -> bytes:
    """The encoder of GRU4Rec: gated recurrent layers, then layer normalisation.

    Args:
        weights: State dict of the network.
        layers: Recurrent layers.
        precision: How the matrices are stored.
    """
    dim = len(weights["norm.weight"])
    graph = _Graph(precision)
    x = graph.add("Transpose", graph.enter(weights, dim), perm=[1, 0, 2])
    for layer in range(layers):
        own = {
            part: _gates(weights[f"gru.{part}_l{layer}"]) for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        both = graph.real(np.concatenate([own["bias_ih"], own["bias_hh"]])[None])
        maps = graph.real(own["weight_ih"][None]), graph.real(own["weight_hh"][None])
        states = graph.add("GRU", x, *maps, both, hidden_size=dim, linear_before_reset=1)
        x = graph.add("Squeeze", states, graph.exact([1]))
    newest = graph.newest(graph.add("Transpose", x, perm=[1, 0, 2]))
    return graph.leave(newest, weights)


def _gates(stacked: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """From torch's order of the gates (reset, update, new) to that of ONNX (update, reset, new)."""
    reset, update, new = np.split(stacked, 3)
    return np.concatenate([update, reset, new])
