"""Where a language model runs: at an endpoint, or in this process."""

from __future__ import annotations

from typing import Any

from ....registry import Component, Components

BACKENDS = Components(
    "backends",
    Component(
        "endpoint",
        "recdistill.teachers.llm.backends.endpoint:Endpoint",
        "llm",
        "any server that speaks the OpenAI protocol: vLLM, SGLang, llama.cpp, Ollama, hosted ones",
    ),
    Component(
        "gguf",
        "recdistill.teachers.llm.backends.gguf:GGUF",
        "gguf",
        "llama.cpp in this process, from a GGUF file or the packaged SmolLM2",
    ),
    Component(
        "transformers",
        "recdistill.teachers.llm.backends.local:Transformers",
        "text",
        "any causal language model of transformers in this process, on a GPU if there is one",
    ),
    Component(
        "vllm",
        "recdistill.teachers.llm.backends.vllm:VLLM",
        "llm",
        "a server of vLLM, begun and ended with the process that asks; not tested on a GPU yet",
    ),
)
"""Every backend: name in recipes, class, extra, what it is."""

__all__ = ["BACKENDS", *BACKENDS.classes()]


def __getattr__(name: str) -> Any:
    return BACKENDS.attribute(name)
