"""ONNX nodes under construction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..registry import need

__all__ = ["IR", "Nodes"]

IR = 10
"""Version of the file format, which runtimes from 2024 on read."""


class Nodes:
    """Nodes and constants under construction; a name stands for the tensor that a node gives.

    Args:
        prefix: Of the names, which must differ from those of a graph around this one.

    Raises:
        MissingExtraError: onnx is not installed.

    Attributes:
        nodes: So far.
        stored: Constants so far.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self.helper, self._numpy = need("onnx.helper", "onnx"), need("onnx.numpy_helper", "onnx")
        self.nodes: list[Any] = []
        self.stored: list[Any] = []

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Append a node; returns the name of its last output."""
        return self.all(op, *inputs, outputs=outputs, **attributes)[-1]

    def all(self, op: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """The same; returns the names of all outputs."""
        names = [f"{self._prefix}t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(self.helper.make_node(op, list(inputs), names, **attributes))
        return names

    def exact(self, values: npt.ArrayLike, kind: Any = np.int64) -> str:
        """A constant kept as it is."""
        name = f"{self._prefix}c{len(self.stored)}"
        self.stored.append(self._numpy.from_array(np.array(values, dtype=kind), name))
        return name

    def texts(self, values: Sequence[str]) -> str:
        """A constant of strings."""
        name, kind = f"{self._prefix}c{len(self.stored)}", self.helper.np_dtype_to_tensor_dtype(np.dtype(np.object_))
        self.stored.append(self.helper.make_tensor(name, kind, [len(values)], [value.encode() for value in values]))
        return name

    def shape(self, x: str, *sizes: int) -> str:
        """Reshape; 0 keeps a size, -1 is worked out."""
        return self.add("Reshape", x, self.exact(sizes))
