"""One pass over int8 vectors: scores that are off by no more than is known, from which the best are found exactly.

ONNX Runtime multiplies int8 with the vector instructions for it (``MatMulNBits``: a scale for each block of a row, the
query rounded to 8 bits on the way), which reads a quarter of the memory of float32. What rounding the query can change
is bounded, so the few items that may be among the best are known for sure, and are scored again exactly.

The graph is one node. It is written here, in the few lines of protocol buffers that it takes, because the package that
writes graphs is not installed where bundles are served.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..registry import need
from .large_pages import on_large_pages

__all__ = ["Scan"]

Floats = npt.NDArray[np.float32]
_BLOCKS = (16, 32, 64, 128, 256)
"""Numbers that share a scale, as the kernel knows them."""
_ZERO = 128
"""What 0 is stored as."""
_SLACK = 1.01
"""Room for the rounding of float32 beside that of the query, whose exact bound is multiplied with it."""


class Scan:
    """int8 vectors, ready to be multiplied.

    Args:
        codes: int8 ``[n, dim]``.
        scales: float32 ``[n]``: vector ``r`` is near ``codes[r] * scales[r]``.
        longest: Length of the longest vector.
        apart: How far a vector is from its codes at most, in Euclidean length.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """

    def __init__(self, codes: npt.NDArray[np.int8], scales: Floats, longest: float, apart: float = 0.0) -> None:
        n, dim = codes.shape
        self._dim, self._block = dim, next((size for size in _BLOCKS if size >= dim), _BLOCKS[-1])
        self._width = -(-dim // self._block) * self._block
        blocks = self._width // self._block
        stored = np.full((n, self._width), _ZERO, dtype=np.uint8)
        stored[:, :dim] = codes.view(np.uint8) ^ _ZERO  # the same as codes + 128
        per_block = np.ascontiguousarray(np.broadcast_to(scales[:, None], (n, blocks)))
        inputs = {"B": stored.reshape(n, blocks, self._block), "scales": per_block.reshape(-1)}
        with on_large_pages():
            self._session = _session(_graph(n, self._width, self._block, inputs), inputs)
        self._longest, self._apart = longest, apart

    def near(self, query: Floats) -> Floats:
        """Products with a query, each off by at most :meth:`error`: a new array float32 ``[n]``."""
        scores: Floats = self._session.run(None, {"A": self._padded(query)})[0][0]
        return scores

    def error(self, query: Floats) -> float:
        """How far a product can be off."""
        length = float(np.linalg.norm(query))
        return self.rounding(query) * (self._longest + self._apart) + _SLACK * length * self._apart

    def rounding(self, query: Floats) -> float:
        """How far the product with a vector of length 1, that is what its codes say, can be off.

        The kernel rounds the numbers of each block of the query to a multiple of their largest over 127; by Cauchy and
        Schwarz the change of a product is at most the length of that rounding times the length of the vector.
        """
        largest = np.abs(self._padded(query).reshape(-1, self._block)).max(axis=1) / 127
        half_steps = 0.5 * float(np.sqrt(self._block * np.square(largest).sum()))
        return _SLACK * half_steps + 1e-5 * float(np.linalg.norm(query))

    def _padded(self, query: Floats) -> Floats:
        padded = np.zeros((1, self._width), dtype=np.float32)
        padded[0, : self._dim] = query
        return padded


def _session(graph: bytes, weights: dict[str, npt.NDArray[Any]]) -> Any:
    runtime = need("onnxruntime", "serve")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    values = [runtime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    options.add_external_initializers(list(weights), values)
    return runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _graph(n: int, width: int, block: int, weights: dict[str, npt.NDArray[Any]]) -> bytes:
    """``scores = A · Bᵀ`` with B in 8 bits; the numbers of B are handed over apart.

    Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
    """
    numbers = {"K": width, "N": n, "bits": 8, "block_size": block, "accuracy_level": 4}
    attributes = [_part(5, _text(1, name) + _number(3, value) + _number(20, 2)) for name, value in numbers.items()]
    names = [_text(1, name) for name in ("A", *weights)]
    node = b"".join([*names, _text(2, "scores"), _text(4, "MatMulNBits"), *attributes, _text(7, "com.microsoft")])
    stored = [
        _part(5, b"".join([
            *(_number(1, size) for size in array.shape), _number(2, _TYPES[array.dtype.type]), _text(8, name),
            _part(13, _text(1, "location") + _text(2, "memory")), _number(14, 1),
        ]))
        for name, array in weights.items()
    ]  # fmt: skip
    ends = [_part(11, _value("A", [1, width])), _part(12, _value("scores", [1, n]))]
    graph = b"".join([_part(1, node), _text(2, "scan"), *stored, *ends])
    versions = [_part(8, _number(2, 20)), _part(8, _text(1, "com.microsoft") + _number(2, 1))]
    return b"".join([_number(1, 10), *versions, _part(7, graph)])


_TYPES = {np.float32: 1, np.uint8: 2}


def _value(name: str, shape: Iterable[int]) -> bytes:
    sizes = b"".join(_part(1, _number(1, size)) for size in shape)
    return _text(1, name) + _part(2, _part(1, _number(1, 1) + _part(2, sizes)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _part(field, value.encode())


def _part(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
