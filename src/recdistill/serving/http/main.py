"""A server process, or several."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from ...errors import RecdistillError
from ..deployment import Home
from .settings import SHARED, Keys, Settings

__all__ = ["serve"]


@dataclass(frozen=True, slots=True)
class _Application:
    """Makes the application, in the process that serves it; a worker gets a copy of this."""

    home: Home
    settings: Settings

    def __call__(self) -> ASGIApp:
        from .app import create_app
        from .log import start_log

        start_log()
        return create_app(self.home, self.settings)


def serve(place: str | Path, settings: Settings | None = None) -> None:
    """Serve a run or bundle until the process is told to stop.

    Args:
        place: A run directory or a bundle.
        settings: How.

    Raises:
        RecdistillError: There is nothing to serve, the address is taken, a key is no key.
        MissingExtraError: The extra ``serve`` is not installed.
    """
    from ...registry import need

    uvicorn = need("uvicorn", "serve")
    settings, home = settings or Settings(), Home.of(place)
    home.current()
    Keys.from_environment()  # what is wrong with it is told before any process starts
    listening = _listen(settings)
    from .protocol import LimitedConfig, LimitedProtocol

    config = LimitedConfig(
        _Application(home, settings),
        factory=True,
        http=LimitedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        workers=settings.workers,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=int(settings.keep_alive),
        timeout_graceful_shutdown=settings.drain,
        backlog=2048,
    )
    config.limits = settings
    if settings.workers > 1:
        from uvicorn.supervisors import Multiprocess

        with _counted_together():
            Multiprocess(config, sockets=[listening]).run()
    else:
        uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def _counted_together() -> Iterator[None]:
    """A directory in which workers count, unless the environment names one; it goes when they have gone."""
    if SHARED in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="recdistill-metrics-") as directory:
        os.environ[SHARED] = directory
        try:
            yield
        finally:
            del os.environ[SHARED]


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        hint = "is another server running there? choose with --port"
        raise RecdistillError(
            error.strerror or str(error), where=f"{settings.host}:{settings.port}", hint=hint
        ) from None
    listening.set_inheritable(True)
    return listening
