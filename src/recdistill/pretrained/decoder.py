"""A causal language model without its words: a frozen network that reads vectors."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from .loading import load_network, load_tokenizer
from .weights import Weights, locate

__all__ = ["Decoder", "load_decoder"]

_WORDS = 4096
"""Word vectors that are looked at to learn how long they are."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """A causal language model that is fed vectors.

    Attributes:
        network: What transformers loaded, frozen, its word embeddings taken out.
        width: Of the vectors that it reads and gives.
        length: Root mean square of the numbers in its word vectors: the scale that it is used to.
        prompt: float32 ``[tokens, width]``, the word vectors of a prompt; no rows without one.
        identity: Names the weights, see :class:`~recdistill.pretrained.weights.Weights`.
    """

    network: Any
    width: int
    length: float
    prompt: Tensor
    identity: str


def load_decoder(config: Any, layers: int | None = None, prompt: str = "") -> Decoder:
    """Load a causal language model for reading vectors.

    Without an accelerator the last one that was loaded stays in memory, and all that are loaded again share its
    frozen weights.

    Args:
        config: Has ``model``, ``gguf``, ``revision``, ``local_only`` and ``dtype``.
        layers: Keep the first so many blocks; None for all.
        prompt: Words whose vectors are wanted.

    Raises:
        TeacherError: It cannot be loaded.
        ConfigError: It has fewer blocks, or it is no causal model.
    """
    weights = locate(config.model, config.gguf, config.revision)
    if torch.accelerator.is_available():  # whose networks move there, so there is nothing to share
        return _load(config, weights, layers, prompt)
    found = _cached(_Wanted(config), weights, layers, prompt)
    shared = {id(value): value for value in found.network.parameters()}
    return Decoder(copy.deepcopy(found.network, shared), found.width, found.length, found.prompt, found.identity)


class _Wanted:
    """What decides how a network is loaded, as a key."""

    def __init__(self, config: Any) -> None:
        self.model, self.gguf, self.revision = config.model, config.gguf, config.revision
        self.local_only, self.dtype = config.local_only, config.dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Wanted) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))


@lru_cache(maxsize=1)
def _cached(wanted: _Wanted, weights: Weights, layers: int | None, prompt: str) -> Decoder:
    return _load(wanted, weights, layers, prompt)


def _load(config: Any, weights: Weights, layers: int | None, prompt: str) -> Decoder:
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    network = load_network("AutoModel", config, weights, device).eval().requires_grad_(False)
    words = network.get_input_embeddings()
    if layers is not None:
        _keep_first(network, layers)
    with torch.inference_mode():
        some = words(torch.arange(min(_WORDS, words.weight.shape[0]))).float()
        ids = load_tokenizer(config, weights)(prompt)["input_ids"] if prompt else []
        asked = words(torch.tensor(ids, dtype=torch.long)).float()
    network.set_input_embeddings(nn.Identity())
    length, width = float(some.square().mean().sqrt()), int(some.shape[1])
    _check_causal(network, some[:3].clone())
    return Decoder(network, width, length, asked.clone(), weights.identity)


def _keep_first(network: Any, layers: int) -> None:
    text = network.config.get_text_config()
    depth = int(text.num_hidden_layers)
    blocks = [part for part in network.modules() if isinstance(part, nn.ModuleList) and len(part) == depth]
    if layers > depth or not blocks:
        raise ConfigError(f"layers={layers} of a model with {depth}", key=("layers",), hint="leave it out for all")
    del blocks[0][layers:]
    text.num_hidden_layers = layers


def _check_causal(network: Any, vectors: Tensor) -> None:
    """Refuse a network whose first state depends on what follows, be it ever so little."""
    with torch.enable_grad():
        read = vectors.to(network.dtype)[None].requires_grad_()
        first = network(inputs_embeds=read).last_hidden_state[0, 0]
        (slope,) = torch.autograd.grad((first * torch.linspace(-1, 1, len(first))).sum(), read)
    if slope[0, 1:].any():
        hint = "name a decoder; an encoder can teach as text-encoder"
        raise ConfigError("this model reads in both directions", key=("model",), hint=hint)
