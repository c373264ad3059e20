"""A server of vLLM for this process alone: begun with it, ended with it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from typing import IO, ClassVar

from pydantic import Field

from ....errors import TeacherError
from ..engine import Backend
from ..exchange import Trouble
from ..pace import PaceConfig
from .base import BackendConfig
from .endpoint import Endpoint, OpenEndpoint
from .gguf import free_port
from .probe import probe

__all__ = ["VLLM"]

_LOOK_SECONDS = 0.5
"""Between two looks whether the server is there."""
_SHOWN = 300
"""Characters of the end of its log that are shown if it ends."""
_END_SECONDS = 30
"""So long it may take to end."""
_WITH_US = 'exec 3<&0; "$@" </dev/null & server=$!; (cat <&3 >/dev/null; kill "$server") & wait "$server"'
"""Ends the server when our end of the pipe closes: also if we are killed, so that no GPU stays taken."""


class VLLM(BackendConfig):
    """A model that vLLM (https://docs.vllm.ai) serves on loopback; with ``--on ray`` one for each worker and its GPU.

    vLLM fixes a version of torch of its own, so it may be installed elsewhere: ``command`` says where. Not tested on a
    GPU yet; what is tested is how the server is begun, waited for, asked and ended.
    """

    name: ClassVar[str] = "vllm"
    speed_only: ClassVar[frozenset[str]] = BackendConfig.speed_only | {"command", "arguments", "timeout", "loading"}

    model: str = Field("Qwen/Qwen3-8B", description="a name at the hub, or a folder")
    revision: str | None = Field(None, description="branch, tag or commit at the hub")
    dtype: str = Field("auto", description="number type, as vLLM names it")
    context: int | None = Field(None, ge=64, description="tokens of question and answer together; None: the model's")
    command: tuple[str, ...] = Field(
        ("vllm",), min_length=1, description="how vLLM is called, such as [/opt/v/bin/vllm]"
    )
    arguments: tuple[str, ...] = Field((), description="added to 'serve', such as --tensor-parallel-size=2")
    timeout: float = Field(600.0, gt=0, description="seconds for an answer")
    loading: float = Field(1800.0, gt=0, description="seconds until the model is loaded")
    pace: PaceConfig = PaceConfig(start=64, most=512)

    async def open(self) -> Backend:
        if shutil.which(self.command[0]) is None:
            hint = "install vllm, here or in an environment of its own, and name it by command"
            raise TeacherError("is not installed on this machine", where=self.command[0], hint=hint)
        port, secret = free_port(), secrets.token_urlsafe(16)
        endpoint = Endpoint(
            url=f"http://127.0.0.1:{port}/v1", model=self.model, timeout=self.timeout, parameters=self.parameters,
            pace=self.pace, patience=self.patience,
        )  # fmt: skip
        opened = _OpenServer(endpoint, secret, self._started(port, secret), self.model)
        try:
            await opened.wait(self.loading)
            found = await probe(opened, self.model)
        except BaseException:
            await opened.close()
            raise
        identity = self.identified(f"vllm {self.model} {self.revision} {self.dtype} context={self.context}")
        opened.meet(dataclasses.replace(found, identity=identity))
        return opened

    def _started(self, port: int, secret: str) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        """The server and its log."""
        options = [f"--port={port}", "--host=127.0.0.1", f"--dtype={self.dtype}", "--max-logprobs=20"]
        options += [f"--revision={self.revision}"] if self.revision else []
        options += [f"--max-model-len={self.context}"] if self.context else []
        log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the server
        environment = {**os.environ, "VLLM_API_KEY": secret, "VLLM_NO_USAGE_STATS": "1"}
        command = ["sh", "-c", _WITH_US, "sh", *self.command, "serve", self.model, *options, *self.arguments]
        pipe = subprocess.PIPE
        server = subprocess.Popen(command, stdin=pipe, stdout=log, stderr=log, env=environment, start_new_session=True)
        return server, log


class _OpenServer(OpenEndpoint):
    """The server and the way to it."""

    def __init__(
        self, config: Endpoint, secret: str, started: tuple[subprocess.Popen[bytes], IO[bytes]], name: str
    ) -> None:
        super().__init__(config, secret)
        self._server, self._log = started
        self.place = config.url
        self._name = name

    async def wait(self, seconds: float) -> None:
        """Wait until it answers.

        Raises:
            TeacherError: It ends before, or takes too long.
        """
        deadline = time.monotonic() + seconds
        while not await self._answers():
            if self._server.poll() is not None:
                raise TeacherError(f"vllm ended before it served: {self._last_lines()}", where=self._name)
            if time.monotonic() > deadline:
                hint = "raise loading if it needs longer"
                raise TeacherError(f"is not loaded after {seconds:g} seconds", where=self._name, hint=hint)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _answers(self) -> bool:
        try:
            await self.exchange("GET", "/models")
        except Trouble:
            return False
        return True

    def _last_lines(self) -> str:
        self._log.seek(0)
        said = " ".join(self._log.read().decode("utf-8", "replace").split())
        return said[-_SHOWN:] or "it said nothing"

    async def close(self) -> None:
        """Close the connections and end the server."""
        await super().close()
        assert self._server.stdin is not None
        self._server.stdin.close()
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._server.wait, _END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
        self._log.close()
