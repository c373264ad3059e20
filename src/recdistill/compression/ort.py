"""An encoder that computes in 8 bits: ONNX Runtime's own quantisation, dynamic and static."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..registry import need

__all__ = ["quantised"]


def quantised(graph: bytes, calibration: Sequence[Mapping[str, Any]] = ()) -> bytes:
    """Products of the graph in 8 bits, weights with a scale for each column.

    Args:
        graph: An encoder in float32.
        calibration: Inputs that it is run on to find the range of every value in it (static); none: the ranges are
            found again for every input (dynamic).

    Raises:
        MissingExtraError: The extra ``onnx`` is not installed.
    """
    need("onnx", "onnx")
    tools = need("onnxruntime.quantization", "onnx")
    with tempfile.TemporaryDirectory(prefix="recdistill-encoder-") as folder, _silence():
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        before.write_bytes(graph)
        common: dict[str, Any] = {
            "per_channel": True,
            "weight_type": tools.QuantType.QInt8,
            "op_types_to_quantize": ["MatMul"],
        }
        if calibration:
            common["extra_options"] = {"MatMulConstBOnly": True}
            tools.quantize_static(before, after, _Reader(calibration), activation_type=tools.QuantType.QUInt8, **common)
        else:
            tools.quantize_dynamic(before, after, **common)
        return after.read_bytes()


@contextmanager
def _silence() -> Iterator[None]:
    """ONNX Runtime writes advice on every graph to the root logger, and sets that up if nobody has."""
    handler, before = logging.NullHandler(), logging.root.manager.disable
    logging.root.addHandler(handler)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
        logging.root.removeHandler(handler)


class _Reader:
    """Inputs one after another, as ONNX Runtime asks for them."""

    def __init__(self, inputs: Sequence[Mapping[str, Any]]) -> None:
        self._inputs: Iterator[Mapping[str, Any]] = iter(inputs)

    def get_next(self) -> Mapping[str, Any] | None:
        """The next input, or None behind the last."""
        return next(self._inputs, None)
