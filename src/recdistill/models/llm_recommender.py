"""A language model fine-tuned as the recommender: it reads item vectors in place of words and ranks all items."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from ..errors import TeacherError
from ..pretrained import locate
from ..pretrained.adapters import add_adapters, save_memory
from ..pretrained.decoder import load_decoder
from .dropout import Dropout
from .sequence import SequenceConfig, SequenceModel

if TYPE_CHECKING:
    from .neural import NeuralModel

__all__ = ["LLMRecommender", "LLMRecommenderModel"]


class LLMRecommender(SequenceConfig):
    """A causal language model over the history, each event one vector, with a head over all items.

    Item vectors, those of another teacher among them (``text``), go through a learned map into the width of the
    language model, and its states through another one back; its own weights are frozen and changed by low-rank adapters
    (LoRA, Hu et al. 2021, https://arxiv.org/abs/2106.09685). With ``fusion: text-only`` and ``head: free`` it is
    E4SRec (Li et al. 2023, https://arxiv.org/abs/2312.02443), whose item vectors are those of a trained SASRec. Unlike
    there, every place of a history is learned from at once, and a ``prompt`` can only stand in front.

    It is trained by the same loop as any other model: contexts in a step (``training.batch``) are places that the
    language model reads, which bounds the memory. What is saved are maps, adapters and item vectors; the language
    model's own weights are loaded again from where they are, and refused if they are others.
    """

    name: ClassVar[str] = "llm-recommender"

    model: str = Field("smollm2", description="'smollm2' (inside a package), a folder, or a name at the hub")
    gguf: str | None = Field(None, description="file in the folder, for weights in GGUF")
    revision: str | None = Field(None, description="branch, tag or commit at the hub")
    local_only: bool = Field(False, description="never ask the hub, use only what is on this machine")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="of the frozen weights; auto: bfloat16 where the hardware multiplies it, float32 elsewhere"
    )
    layers: int | None = Field(None, ge=1, description="first so many blocks of the language model; None: all")
    rank: int = Field(8, ge=0, description="of the adapters; 0: none, only the maps around the language model learn")
    alpha: float = Field(16.0, gt=0, description="what adapters add is multiplied by alpha / rank")
    adapter_dropout: float = Field(0.05, ge=0, lt=1, description="of what adapters read")
    targets: tuple[str, ...] = Field((), description="matrices that get adapters, such as q_proj; none named: all")
    head: Literal["tied", "free"] = Field(
        "tied", description="states are compared with the item vectors that are read, or with others of their own"
    )
    prompt: str = Field("", description="words in front of every history")
    checkpointing: bool = Field(False, description="compute blocks again for the gradient: less memory, more time")

    def inputs(self) -> tuple[str, ...]:
        return (locate(self.model, self.gguf).identity,) if Path(self.model).is_dir() else ()

    def network(self, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None) -> LLMRecommenderModel:
        return LLMRecommenderModel(self, n_items, n_users, vectors)

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> NeuralModel:
        model = super().restore(n_items, n_users, tensors)
        return model.to(torch.accelerator.current_accelerator() or "cpu")  # to label on a CPU would take days


class LLMRecommenderModel(SequenceModel):
    """The network of :class:`LLMRecommender`.

    Args:
        vectors: See :class:`~recdistill.models.sequence.SequenceModel`.
    """

    config: LLMRecommender
    prompt: Tensor
    language_model: Tensor

    def __init__(
        self, config: LLMRecommender, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None = None
    ) -> None:
        super().__init__(config, n_items, n_users, vectors)
        decoder = load_decoder(config, config.layers, config.prompt)
        self.into = nn.Linear(config.dim, decoder.width, bias=False)
        nn.init.normal_(self.into.weight, std=decoder.length * config.dim**-0.5)  # as long as word vectors
        self.back = nn.Linear(decoder.width, config.dim)
        self.head = nn.Parameter(torch.randn(n_items, config.dim) * config.dim**-0.5) if config.head == "free" else None
        self.dropout, self.dtype = Dropout(config.dropout), decoder.network.dtype
        self.llm = decoder.network
        add_adapters(self.llm, config.rank, config.alpha, config.adapter_dropout, config.targets)
        if config.checkpointing:
            save_memory(self.llm)
        digest = hashlib.sha256(decoder.identity.encode()).digest()
        self.register_buffer("prompt", decoder.prompt, persistent=False)
        self.register_buffer("language_model", torch.frombuffer(bytearray(digest), dtype=torch.uint8))
        self._frozen = frozenset(f"llm.{n}" for n, _ in self.llm.named_parameters() if "lora_" not in n)
        self.register_state_dict_post_hook(_leave_out_frozen)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_check_language_model)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_expect_no_frozen)  # type: ignore[no-untyped-call]

    @property
    def n_parameters(self) -> int:
        """Numbers that are needed to score, those of the language model too."""
        return super().n_parameters + sum(self.get_parameter(name).numel() for name in self._frozen)

    def table(self) -> Tensor:
        return super().table() if self.head is None else self.head

    def states(self, users: Tensor, inputs: Tensor, table: Tensor) -> Tensor:
        return super().states(users, inputs, table if self.head is None else super().table())

    def run(self, vectors: Tensor) -> Tensor:
        read = self.into(self.dropout(vectors))
        before = len(self.prompt)
        if before:
            read = torch.cat([self.prompt.to(read).expand(len(read), -1, -1), read], dim=1)
        states = self.llm(inputs_embeds=read.to(self.dtype), use_cache=False).last_hidden_state[:, before:]
        return self.norm(self.back(states.to(read.dtype)))  # type: ignore[no-any-return]


def _leave_out_frozen(module: LLMRecommenderModel, state: dict[str, Any], prefix: str, _: Any) -> None:
    for name in module._frozen:
        del state[prefix + name]


def _check_language_model(module: LLMRecommenderModel, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    saved = state.get(f"{prefix}language_model")
    if saved is not None and not np.array_equal(saved.cpu().numpy(), module.language_model.cpu().numpy()):
        hint = "give it the weights that it was trained with, or train it again"
        raise TeacherError(
            "these are not the language model's weights it was trained with", where=module.config.model, hint=hint
        )


def _expect_no_frozen(module: LLMRecommenderModel, keys: Any) -> None:
    keys.missing_keys[:] = [key for key in keys.missing_keys if key[max(key.find("llm."), 0) :] not in module._frozen]
