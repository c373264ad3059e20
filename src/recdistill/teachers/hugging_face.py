"""Pooling the states of Hugging Face models."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import ConfigError
from ..pretrained.loading import choose_device, load_pretrained
from .encoder import Encoder, LoadedEncoder

__all__ = ["HuggingFaceEncoder", "Pooling", "pool"]

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


def pool(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """One vector for each row: float ``[n, length, dim]`` and mask ``[n, length]`` to float32 ``[n, dim]``."""
    if pooling == "cls":
        return states[:, 0].float()
    if pooling == "last":
        return states[torch.arange(len(states), device=states.device), (mask.sum(1) - 1).clamp_min(0)].float()
    real = mask[:, :, None].float()
    return (states.float() * real).sum(1) / real.sum(1).clamp_min(1)


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
