"""Base of the parameters of all backends."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Self

from pydantic import Field

from ....config import Config
from ....errors import TeacherError
from ..engine import Backend, Patience
from ..exchange import Capabilities, Request
from ..pace import PaceConfig

__all__ = ["BackendConfig"]


class BackendConfig(Config):
    """Parameters of a model and of where it runs."""

    speed_only: ClassVar[frozenset[str]] = frozenset({"pace", "patience"})
    """Parameters that change no answer."""

    parameters: dict[str, Any] = Field(
        {}, description="added to every request, such as top_p: 0.9; null takes a parameter out"
    )
    pace: PaceConfig = PaceConfig()
    patience: Patience = Patience()

    def completed(self, request: Request) -> Request:
        """The request with the parameters that the user adds or takes out."""
        if not self.parameters:
            return request
        body = request.body | self.parameters
        kept = {name: value for name, value in body.items() if value is not None}
        return Request(request.route, kept, request.prompt)

    def identified(self, model: str) -> str:
        """What the answers of a model are filed under: the user's parameters decide them too."""
        return f"{model} {json.dumps(self.parameters, sort_keys=True)}" if self.parameters else model

    async def open(self) -> Backend:
        """Load or reach the model and find out what it can do.

        Raises:
            TeacherError: It is not there, the key is wrong, or there is no model of that name.
            MissingExtraError: A package is not installed.
        """
        raise TypeError(f"{type(self).__name__} is not a backend")  # every subclass overrides this

    def servers(self) -> tuple[str, ...] | None:
        """Addresses of servers that compute for whoever asks; None if the model is loaded where it is opened."""
        return None

    def at_server(self, address: str | None) -> Self:
        """The same at one of its servers."""
        return self

    async def join(self, capabilities: Capabilities) -> Backend:
        """Open it once more, beside others that answer the same job.

        Args:
            capabilities: What the model can do; the job was written for this.

        Raises:
            TeacherError: As :meth:`open`, or here it would answer otherwise.
        """
        opened = await self.open()
        if opened.capabilities.identity != capabilities.identity:
            await opened.close()
            what = f"a worker has another model or number type ({opened.capabilities.identity})"
            hint = "name device and dtype, or use machines that are alike"
            raise TeacherError(what, where=capabilities.identity, hint=hint)
        return opened
