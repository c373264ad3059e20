"""Loading Hugging Face models quietly, and pooling their states."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import ConfigError, TeacherError
from ..registry import need
from .encoder import Encoder, LoadedEncoder
from .weights import Weights

__all__ = ["HuggingFaceEncoder", "Pooling", "choose_device", "choose_dtype", "load_pretrained", "loading", "pool"]

Pooling = Literal["mean", "cls", "last"]
_LONGEST = 512
"""Tokens read where neither user nor model sets a bound."""


class HuggingFaceEncoder(LoadedEncoder):
    """Any model that ``AutoModel`` loads, its states pooled over the real tokens.

    Args:
        config: Its parameters.
        pooling: ``mean`` over all tokens, the first (``cls``) or the ``last`` one.
        layer: Index among the hidden states, 0 = embeddings, -1 = last (behind the final norm); or a fraction of the
            depth.
    """

    def __init__(self, config: Encoder, pooling: Pooling, layer: int | float = -1) -> None:
        device = choose_device(config.device)
        tokenizer, model = load_pretrained("AutoModel", config, config.weights(), device)
        super().__init__(config, tokenizer, _max_length(config, tokenizer, model), device)
        self.model, self.pooling = model.eval().to(device), pooling
        self.dim: int = model.config.get_text_config().hidden_size
        self.layer = _layer(layer, model.config.get_text_config().num_hidden_layers)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        output = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=self.layer is not None)
        states = output.last_hidden_state if self.layer is None else output.hidden_states[self.layer]
        return pool(states, mask, self.pooling)


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
    transformers = need("transformers", "text")
    options: dict[str, Any] = {"revision": config.revision, "local_files_only": config.local_only}
    quantised = {}
    if weights.gguf:
        need("gguf", "text")
        options["gguf_file"] = weights.gguf
        if hasattr(transformers, "GgufConfig"):  # computing on the packed weights is slower than on unpacked bfloat16
            quantised["quantization_config"] = transformers.GgufConfig(dequantize=True)
    with loading(config.model):
        tokenizer = transformers.AutoTokenizer.from_pretrained(weights.source, **options, **tokenizing)
        model = getattr(transformers, auto).from_pretrained(
            weights.source, dtype=choose_dtype(config.dtype, device), **options, **quantised
        )
    return tokenizer, model


def pool(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """One vector for each row: float ``[n, length, dim]`` and mask ``[n, length]`` to float32 ``[n, dim]``."""
    if pooling == "cls":
        return states[:, 0].float()
    if pooling == "last":
        return states[torch.arange(len(states), device=states.device), (mask.sum(1) - 1).clamp_min(0)].float()
    real = mask[:, :, None].float()
    return (states.float() * real).sum(1) / real.sum(1).clamp_min(1)


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


def _max_length(config: Encoder, tokenizer: Any, model: Any) -> int:
    places = getattr(model.config.get_text_config(), "max_position_embeddings", None) or _LONGEST
    bound = min(int(tokenizer.model_max_length), int(places))
    return min(config.max_length or _LONGEST, bound)


def _layer(layer: int | float, depth: int) -> int | None:
    """Index among the ``depth + 1`` hidden states; None for the last."""
    if isinstance(layer, float):
        layer = round(layer * depth)
    index = layer + depth + 1 if layer < 0 else layer
    if not 0 <= index <= depth:
        raise ConfigError(f"layer {layer} of a model with {depth} layers", key=("layer",))
    return None if index == depth else index
