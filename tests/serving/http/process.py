"""A server as its users run it: in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recdistill.serving import Client
from recdistill.serving.http.settings import KEYS


@contextmanager
def served(place: Path, *options: str, keys: str = "", log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """``recdistill serve`` in a process of its own, when it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", "from recdistill.cli import main; main()", "serve", str(place), "-p", str(port)]
    with log.open("wb") as file:
        process = subprocess.Popen([*command, *options], stderr=file, env=os.environ | {KEYS: keys})
    try:
        with Client(url, retries=0) as client:
            end = time.monotonic() + 300  # a busy machine needs its time
            while not client.ready():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end
                time.sleep(0.05)
        yield url, process
    finally:
        process.terminate()
        process.wait(30)
