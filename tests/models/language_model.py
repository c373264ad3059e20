"""A random Llama of two blocks in a folder, as small as transformers makes one."""

from __future__ import annotations

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch

FOLDER = str(Path(mkdtemp(prefix="recdistill-")) / "llama")
"""Where :func:`write_language_model` writes it; removed when the process ends."""
atexit.register(shutil.rmtree, str(Path(FOLDER).parent), ignore_errors=True)


@cache
def write_language_model(folder: str = FOLDER, seed: int = 0, **changes: Any) -> str:
    """Write it, and return the folder."""
    from transformers import LlamaConfig, LlamaModel

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": 64}
    config = LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128, **changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaModel(config).save_pretrained(folder)
    return folder
