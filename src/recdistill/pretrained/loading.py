"""Loading Hugging Face models quietly, on a device and in a number type that suit the machine."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch

from ..errors import ConfigError, TeacherError
from ..registry import need
from .weights import Weights

__all__ = ["choose_device", "choose_dtype", "load_network", "load_pretrained", "load_tokenizer", "loading"]


def load_pretrained(auto: str, config: Any, weights: Weights, device: torch.device, **tokenizing: Any) -> Any:
    """Tokenizer and model, as transformers makes them from local weights or the hub.

    Args:
        auto: Class of transformers that chooses the architecture, such as ``AutoModelForCausalLM``.
        config: Has ``model`` for messages, ``revision``, ``local_only`` and ``dtype``.
        weights: Where they are.
        device: Where the model will run; decides the number type.
        tokenizing: Parameters of the tokenizer.

    Raises:
        TeacherError: They cannot be loaded.
    """
    return load_tokenizer(config, weights, **tokenizing), load_network(auto, config, weights, device)


def load_tokenizer(config: Any, weights: Weights, **tokenizing: Any) -> Any:
    """The tokenizer alone; see :func:`load_pretrained`."""
    transformers = need("transformers", "text")
    with loading(config.model):
        return transformers.AutoTokenizer.from_pretrained(weights.source, **_options(config, weights), **tokenizing)


def load_network(auto: str, config: Any, weights: Weights, device: torch.device) -> Any:
    """The model alone; see :func:`load_pretrained`."""
    transformers = need("transformers", "text")
    options = _options(config, weights)
    if weights.gguf and hasattr(transformers, "GgufConfig"):
        # computing on the packed weights is slower than on unpacked bfloat16
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    dtype = choose_dtype(config.dtype, device)
    with loading(config.model):
        return getattr(transformers, auto).from_pretrained(weights.source, dtype=dtype, **options)


def _options(config: Any, weights: Weights) -> dict[str, Any]:
    options: dict[str, Any] = {"revision": config.revision, "local_files_only": config.local_only}
    if weights.gguf:
        need("gguf", "text")
        options["gguf_file"] = weights.gguf
    return options


def choose_device(wanted: str) -> torch.device:
    """The device named, or the best there is for ``auto``."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"no device {wanted!r} here ({reason})", key=("device",), hint="use 'auto' or 'cpu'"
        ) from None
    return device


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """The number type named; for ``auto`` bfloat16 where the hardware multiplies it, else float32."""
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    able = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return torch.bfloat16 if any(getattr(torch.cpu, name, bool)() for name in able) else torch.float32


@contextmanager
def loading(model: str) -> Iterator[None]:
    """Silence the libraries' own bars and advice on stderr, and turn their many exceptions into one line.

    Raises:
        TeacherError: The model could not be loaded.
    """
    logging: Any = need("transformers.utils.logging", "text")
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with redirect_stderr(io.StringIO()):
            yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise TeacherError(
            f"cannot load this model ({type(error).__name__}: {reason})",
            where=model,
            hint="check name, folder and network",
        ) from error
    finally:
        logging.set_verbosity(level)
