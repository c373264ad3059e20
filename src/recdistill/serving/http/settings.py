"""How a server behaves: its limits, and the keys it takes from the environment."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from ...config import Config
from ...errors import ConfigError

__all__ = ["KEYS", "SHARED", "Keys", "Settings"]

KEYS = "RECDISTILL_API_KEYS"
"""Variable of the environment that holds the keys; nothing else does, so that none ends up in a file or a log."""
SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Variable that names the directory in which several workers count together; read by the Prometheus client."""
_SHORTEST = 16


class Settings(Config):
    """Parameters of a server."""

    name: ClassVar[str] = "serve"

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0: any that is free")
    workers: int = Field(1, ge=1, le=64, description="processes that answer")
    feedback: str | None = Field(None, description="postgresql:// store of events; default: SQLite beside the run")
    micro_batch: int = Field(32, ge=1, le=1024, description="requests that are scored together, at most; 1: each alone")
    max_body: int = Field(1_000_000, ge=1_000, description="bytes of a request's body, at most")
    max_depth: int = Field(16, ge=2, le=200, description="brackets inside brackets in a request's JSON, at most")
    max_header: int = Field(32_768, ge=1_024, description="bytes of a request's line and headers, at most")
    max_connections: int = Field(1_000, ge=1, description="open connections of one worker; more are answered with 503")
    timeout: float = Field(10.0, gt=0, description="seconds that a request may take, its body's arrival included")
    header_timeout: float = Field(5.0, gt=0, description="seconds until a request's headers must be there")
    keep_alive: float = Field(30.0, gt=0, description="seconds that an idle connection is kept")
    drain: int = Field(20, ge=0, description="seconds that running requests get when the server is told to stop")
    rate: float = Field(0.0, ge=0, description="requests per second of one key or address and worker; 0: no limit")
    burst: int = Field(50, ge=1, description="requests that may come at once before the rate counts")
    new_items: int = Field(1_000, ge=0, description="items that may be added to a bundle with a text tower; 0: none")
    watch: float = Field(0.5, gt=0, description="seconds between two looks at the deployment")
    log: Literal["all", "errors", "none"] = Field("all", description="requests that get a line in the log")


class Keys:
    """The keys a server accepts, kept as hashes.

    Args:
        keys: Key by name of its holder; empty: everybody may ask.

    Raises:
        ConfigError: A key is too short to be one.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        for name, key in keys.items():
            if len(key) < _SHORTEST:
                what = f"the key of {name!r} has fewer than {_SHORTEST} characters"
                raise ConfigError(what, where=KEYS, hint="make one with: openssl rand -hex 24")
        self._hashed = {name: _hashed(key.encode()) for name, key in keys.items()}

    @classmethod
    def from_environment(cls) -> Keys:
        """Keys from ``RECDISTILL_API_KEYS``: ``NAME:KEY``, several with commas in between.

        Raises:
            ConfigError: An entry is not of that form.
        """
        keys = {}
        for entry in os.environ.get(KEYS, "").split(","):
            name, colon, key = entry.strip().partition(":")
            if entry.strip() and not (name and colon and key):
                raise ConfigError("an entry is not of the form NAME:KEY", where=KEYS, hint="as in shop:KEY,batch:KEY")
            if entry.strip():
                keys[name] = key
        return cls(keys)

    def __bool__(self) -> bool:
        return bool(self._hashed)

    def holder(self, key: bytes) -> str | None:
        """Whose key this is. Every key is compared, whole, so that the time taken tells nothing."""
        given, found = _hashed(key), None
        for name, known in self._hashed.items():
            if hmac.compare_digest(given, known):
                found = name
        return found


def _hashed(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
