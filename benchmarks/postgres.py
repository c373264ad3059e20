"""A PostgreSQL server of one's own: in a new directory, on a socket in it, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self
from urllib.parse import quote

__all__ = ["PostgresServer", "missing"]

_PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
_PATIENCE = 30.0


def missing() -> str | None:
    """Why no server can be started here, or None if one can."""
    if _program("initdb") is None or _program("postgres") is None:
        return "no PostgreSQL server is installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and _servant() is None:
        return "PostgreSQL does not run as root, and there is no user called postgres or nobody"
    return None


def _program(name: str) -> str | None:
    return shutil.which(name) or next((str(place / name) for place in _PLACES if (place / name).exists()), None)


def _servant() -> str | None:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


class PostgresServer:
    """Use in ``with``; ``url`` leads to it.

    Every commit is on the disk before it is acknowledged, as is PostgreSQL's default.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path must be short
        self._user = _servant() if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.directory, self._user)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """How to connect."""
        return f"postgresql://test@/postgres?host={quote(str(self.directory), safe='')}"

    def start(self) -> None:
        """Start, and wait until it answers; a crashed one recovers first."""
        command = [
            str(_program("postgres")), "-D", str(self.directory / "data"), "-k", str(self.directory), "-h", "",
            "-c", "max_connections=20", "-c", "shared_buffers=8MB",
        ]  # fmt: skip
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, user=self._user, stdout=log, stderr=log, cwd="/", start_new_session=True
            )
        import psycopg

        end = time.monotonic() + _PATIENCE
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise RuntimeError((self.directory / "log").read_text()[-2000:]) from None
                time.sleep(0.05)

    def kill(self) -> None:
        """``kill -9`` of the server and of every process it has started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            (self.directory / "data" / "postmaster.pid").unlink(missing_ok=True)
            self._process = None

    def __enter__(self) -> Self:
        make = [str(_program("initdb")), "-D", str(self.directory / "data"), "-U", "test", "-A", "trust", "--no-sync"]
        subprocess.run(make, user=self._user, check=True, stdout=subprocess.DEVNULL, cwd="/")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
