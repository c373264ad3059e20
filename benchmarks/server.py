"""What the benchmarks of the server share: a bundle, the server in a process of its own, wrk, environments."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recdistill.data.dataset import Catalogue, Dataset, Split
from recdistill.data.sequences import Sequences
from recdistill.serving import Client

__all__ = [
    "CACHE",
    "RECOMMEND",
    "ROOT",
    "Load",
    "Server",
    "bundle_of",
    "counted",
    "environment",
    "free_port",
    "load",
    "served",
    "start",
    "wrk_is_missing",
]

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
_PATIENCE = 120.0
_EVENTS = 50


def bundle_of(path: Path, n_items: int, dim: int = 64, seed: int = 0, *, text: bool = False, users: int = 0) -> Path:
    """A bundle of a model with weights as they are drawn: neither its size nor its time depends on what it learned.

    It is a SASRec, or matrix factorisation where it is to know users.

    Args:
        path: Where.
        n_items: Catalogue size; ids are "0", "1" and so on.
        dim: Width.
        seed: Of the weights.
        text: With a text tower, so that items can be added.
        users: That it knows by id, "0", "1" and so on; 0: none.
    """
    from recdistill.compression import write_bundle
    from recdistill.models import MF, SASRec

    random = np.random.default_rng(seed)
    log = Sequences.from_lists(random.integers(0, n_items, (users or 200, _EVENTS)).tolist())
    titles = [f"Item {at}" for at in range(n_items)]
    texts = [f"Item {at} about topic {at % 50}" for at in range(n_items)]
    catalogue = Catalogue([str(at) for at in range(n_items)], titles=titles, texts=texts)
    dataset = Dataset([str(user) for user in range(len(log))], catalogue, log)
    empty: Any = None
    config = MF(dim=dim) if users else SASRec(dim=dim, max_length=_EVENTS)
    model = config.build(Split(dataset, log, empty, empty, "all"), seed=seed)
    made: Path = write_bundle(model, dataset, path, tower=text, users=bool(users))
    return made


@dataclass(slots=True)
class Server:
    """A running server.

    Attributes:
        url: Its address.
        process: ``recdistill serve``.
        seconds: From the start of the process to its first answer.
    """

    url: str
    process: subprocess.Popen[bytes]
    seconds: float

    def client(self) -> Client:
        """A client for it."""
        return Client(self.url)

    def memory(self) -> float:
        """Resident memory of the process and of its workers, in MB of 1,000,000 bytes."""
        family = [self.process.pid, *_children(self.process.pid)]
        return sum(_resident(pid) for pid in family) / 1e6

    def kill(self) -> None:
        """``kill -9`` of all its processes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def start(place: Path, *options: str, python: str = sys.executable, port: int | None = None) -> Server:
    """Start a server and ask until it answers."""
    port = port or free_port()
    code = "from recdistill.cli import main; main()"
    command = [python, "-c", code, "serve", str(place), "-p", str(port), "--set", "log=none", *options]
    began = time.perf_counter()
    process = subprocess.Popen(command, process_group=0, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    question = b'{"history": ["1", "2", "3"]}'
    request = (
        b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\nconnection: close\r\n\r\n" % len(question)
    )
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(request + question)
                if connection.recv(64).startswith(b"HTTP/1.1 200"):
                    return Server(url, process, time.perf_counter() - began)
        except OSError:
            pass
        if process.poll() is not None or time.perf_counter() - began > _PATIENCE:
            sys.exit(f"error: the server does not start: {' '.join(command)}")
        time.sleep(0.002)


@contextmanager
def served(place: Path, *options: str, python: str = sys.executable) -> Iterator[Server]:
    """A server for the time of a block."""
    server = start(place, *options, python=python)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(60)


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk found: requests per second, milliseconds, and how many requests failed of how many."""

    rate: float
    p50: float
    p99: float
    requests: int
    failed: int


def wrk_is_missing() -> str | None:
    """Why no load can be made here, or None."""
    return None if shutil.which("wrk") else "wrk is not installed (Debian: apt-get install wrk)"


_SCRIPT = """\
local id = 0
function setup(thread) id = id + 1; thread:set("seed", id) end
function init(args) math.randomseed(seed * 7919) end
wrk.method = "%(method)s"
wrk.headers["content-type"] = "application/json"
function request()
  %(request)s
end
%(delay)s
function done(summary, latency, requests)
  local e, n = summary.errors, summary.requests
  local failed, rate = e.connect + e.read + e.write + e.status + e.timeout, n / summary.duration * 1e6
  local p50, p99 = latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  print(string.format("MEASURED %%d %%d %%f %%f %%f", n, failed, rate, p50, p99))
end
"""
"""A script of wrk: what each thread draws differs, and what was found comes on one line."""
RECOMMEND = """\
local items = {{}}
  for at = 1, {length} do items[at] = '"' .. math.random(0, {n_items} - 1) .. '"' end
  return wrk.format(nil, "/v1/recommend", nil, '{{"history": [' .. table.concat(items, ",") .. '], "n": 10}}')"""
"""Body of a function that asks for 10 items for a random history; needs ``length`` and ``n_items``."""


def load(
    url: str, request: str, seconds: float, *, connections: int = 32, rate: float | None = None, method: str = "POST"
) -> Load:
    """Load a server with wrk.

    Args:
        url: Of the server.
        request: Body of the Lua function that makes a request.
        seconds: For how long.
        connections: That are kept.
        rate: Requests per second, at most; None: as fast as it goes.
        method: Of the requests.
    """
    pause = "" if rate is None else f"function delay() return {1e3 * connections / rate} * (0.5 + math.random()) end"
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT % {"method": method, "request": request, "delay": pause})
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s", "-s", script.name, url]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"MEASURED (\d+) (\d+) (\S+) (\S+) (\S+)", told)
    if found is None:
        sys.exit(f"error: wrk said {told}")
    requests, failed, per_second, p50, p99 = found.groups()
    return Load(float(per_second), float(p50), float(p99), int(requests), int(failed))


def environment(name: str, *requirements: str) -> str:
    """The interpreter of a virtual environment of its own, made once in ``.cache``; anew if our code has changed."""
    place = CACHE / name
    python, stamp = place / "bin" / "python", place / "requirements.txt"
    wanted = "\n".join(requirements)
    if any(requirement.startswith(str(ROOT)) for requirement in requirements):
        wanted += f"\n{max(file.stat().st_mtime_ns for file in (ROOT / 'src').rglob('*.py'))}"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {' '.join(requirements)} into {place}", flush=True)
        base = shutil.which("python3.11") or sys.executable
        subprocess.run([base, "-m", "venv", "--clear", str(place)], check=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
        subprocess.run(command, check=True, stdout=sys.stderr, cwd=ROOT)
        stamp.write_text(wanted)
    return str(python)


def counted(server: Server, name: str, **labels: str) -> float:
    """The sum of a counter over all series with these labels, from ``/metrics``."""
    import urllib.request

    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    total = 0.0
    for line in text.splitlines():
        if line.startswith(name) and all(f'{key}="{value}' in line for key, value in labels.items()):
            total += float(line.rpartition(" ")[2])
    return total


def _children(pid: int) -> list[int]:
    found: Sequence[str] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [below for child in map(int, found) for below in (child, *_children(child))]


def _resident(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    match = re.search(r"VmRSS:\s+(\d+) kB", fields)
    return 1024 * int(match[1]) if match else 0
