"""A server process, or several."""

from __future__ import annotations

import errno
import logging
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
from ..feedback.stores import check_url
from .settings import SHARED, Keys, Settings

__all__ = ["serve"]

log = logging.getLogger("recdistill.server")

_HINTS = {
    errno.EADDRINUSE: "is another server running there? choose with --port",
    errno.EACCES: "ports below 1024 are not for everybody; choose with --port",
}
"""What to do where an address cannot be listened on; for all else, it is no address of this machine."""


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
    check_url(settings.feedback)
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
    _say_where(listening)
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


def _say_where(listening: socket.socket) -> None:
    """The first line of the log: where to look."""
    from .log import start_log

    start_log()
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    log.info("a page to try it, and the API", extra={"fields": {"page": f"{url}/", "api": f"{url}/docs"}})


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        hint = _HINTS.get(error.errno or 0, "is it an address of this machine? choose with --host")
        raise RecdistillError(
            error.strerror or str(error), where=f"{settings.host}:{settings.port}", hint=hint
        ) from None
    listening.set_inheritable(True)
    return listening
