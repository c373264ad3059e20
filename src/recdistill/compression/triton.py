"""A bundle as a model repository of NVIDIA's Triton Inference Server."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import ConfigError
from ..files import atomic_directory, write_text
from ..serving.bundle import Bundle
from .export import export_onnx

__all__ = ["export_triton"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_BATCH = 64
_CONFIG = """\
name: "{name}"
backend: "onnxruntime"
max_batch_size: {batch}
input [{{ name: "history", data_type: TYPE_STRING, dims: [ -1 ] }}]
output [
  {{ name: "items", data_type: TYPE_STRING, dims: [ {n} ] }},
  {{ name: "scores", data_type: TYPE_FP32, dims: [ {n} ] }}
]
dynamic_batching {{ }}
instance_group [{{ kind: KIND_CPU }}]
parameters {{ key: "intra_op_thread_count", value {{ string_value: "1" }} }}
"""
"""The format is described at
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html."""


def export_triton(
    bundle: Bundle, repository: str | Path, name: str, *, n: int = 10, exclude_history: bool = True
) -> Path:
    """Write ``repository/NAME/config.pbtxt`` and ``repository/NAME/1/model.onnx``.

    Triton joins requests of histories of the same length into a batch; pad them with empty ids.

    Args:
        bundle: What is exported.
        repository: Directory that Triton is started with; made if it does not exist.
        name: What the model is called; one of the same name is replaced.
        n: Items of a list.
        exclude_history: Leave out what is in the history.

    Returns:
        ``repository/NAME``.

    Raises:
        BundleError: More numbers than fit into one file.
        ConfigError: ``name`` is not of letters, digits, ``_``, ``-`` and ``.``, or ``n`` is not in 1…number of items.
        MissingExtraError: onnx is not installed.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r:.80} is no name", key=("name",), hint="use letters, digits, '_', '-' and '.'")
    folder = Path(repository) / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_directory(folder) as part:
        (part / "1").mkdir()
        export_onnx(bundle, part / "1" / "model.onnx", n=n, exclude_history=exclude_history)
        write_text(part / "config.pbtxt", _CONFIG.format(name=name, batch=_BATCH, n=n))
    return folder
