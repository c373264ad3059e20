"""Base of the parameters of all backends."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from ....config import Config
from ..engine import Backend, Patience
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

    async def open(self) -> Backend:
        """Load or reach the model and find out what it can do.

        Raises:
            TeacherError: It is not there, the key is wrong, or there is no model of that name.
            MissingExtraError: A package is not installed.
        """
        raise TypeError(f"{type(self).__name__} is not a backend")  # every subclass overrides this
