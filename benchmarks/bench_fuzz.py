"""Does anything break the server? Requests made from its OpenAPI schema, and hostile ones made by hand.

``REQUESTS=100000`` says how many are made. schemathesis (in an environment of its own) makes those of the schema, right
and wrong ones; the others break HTTP itself. Answers of status 5xx count, and memory at the end against that after the
first tenth.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from server import Server, bundle_of, counted, environment, served

REQUESTS = int(os.environ.get("REQUESTS", "100000"))
TARGET = {"server_errors": 0, "memory_growth_mb": 10.0, "requests": REQUESTS}
_HOSTILE_SHARE = 0.1
_ROUND = 2_000
"""Requests of one run of schemathesis."""
_TOOL = "schemathesis==4.32.5"


def main() -> int:
    """Measure and print."""
    python = environment("fuzz-venv", _TOOL)
    with tempfile.TemporaryDirectory() as directory:
        place = bundle_of(Path(directory) / "small", 500, 16, text=True)
        # few new items, so that they are all there after the first tenth
        with served(place, "--set", "new_items=20", "--set", "header_timeout=1", "--set", "timeout=2") as server:
            first = after = 0.0
            seed, hostile = 0, 0
            while (done := _answered(server)) < REQUESTS:
                _generated(python, server, seed)
                hostile += _hostile(server, int(_ROUND * _HOSTILE_SHARE), seed)
                seed += 1
                if not first and done >= REQUESTS / 10:
                    first = server.memory()
                print(f"{_answered(server):,} requests, {server.memory():.0f} MB", flush=True)
                if server.process.poll() is not None:
                    sys.exit("error: the server is gone")
            after = server.memory()
            measured = {
                "requests": int(_answered(server)),
                "hostile": hostile,
                "server_errors": int(counted(server, "recdistill_requests_total", status="5")),
                "refused": int(counted(server, "recdistill_requests_total", status="4")),
                "answered": int(counted(server, "recdistill_requests_total", status="2")),
                "memory_mb": after,
                "memory_growth_mb": after - first,
            }
            with server.client() as client:
                alive = len(client.recommend(["1"], 5)) == 5
    ok = alive and measured["server_errors"] == 0 and measured["memory_growth_mb"] <= TARGET["memory_growth_mb"]
    print(json.dumps({"bench": "fuzz", "target": TARGET, "measured": measured, "ok": ok}))
    return 0 if ok else 1


def _answered(server: Server) -> float:
    return counted(server, "recdistill_requests_total")


def _generated(python: str, server: Server, seed: int) -> None:
    """Requests made from the schema: what fits it, and what does not."""
    described = 20
    command = [
        str(Path(python).with_name("st")), "run", f"{server.url}/openapi.json", "--phases", "fuzzing", "--mode", "all",
        "--checks", "not_a_server_error", "--max-examples", str(_ROUND // described), "--seed", str(seed),
        "--continue-on-failure", "--no-color", "--generation-database", "none",
        "--exclude-path", "/metrics",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:  # it leaves files where it runs
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=scratch)
    if done.returncode not in (0, 1):
        sys.exit(f"error: schemathesis says {done.stdout[-2000:]} {done.stderr[-2000:]}")
    if done.returncode:
        print(done.stdout[-3000:])


def _hostile(server: Server, n: int, seed: int) -> int:
    """Requests that break HTTP, JSON or good manners; whatever comes back, the server must live."""
    chance = random.Random(seed)
    attacks = list(_attacks(chance))
    for at in range(n):
        _send(server.url, attacks[at % len(attacks)]())
    return n


def _send(url: str, data: bytes) -> None:
    place = urlsplit(url)
    try:
        with socket.create_connection((place.hostname, place.port), timeout=5) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    except OSError:
        pass


def _post(body: bytes, path: bytes = b"/v1/recommend", more: bytes = b"", length: int | None = None) -> bytes:
    kind, size = b"content-type: application/json\r\n", len(body) if length is None else length
    return b"POST %b %b%b%bcontent-length: %d\r\n\r\n" % (path, _HEAD, kind, more, size) + body


def _get(path: bytes, method: bytes = b"GET", more: bytes = b"") -> bytes:
    return b"%b %b %b%b\r\n" % (method, path, _HEAD, more)


_HEAD = b"HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
_PATHS = (
    b"/v1/recommend", b"/v1/similar", b"/v1/search", b"/v1/feedback", b"/v1/items", b"/v1/compare",
    b"/v2/models/recommend/infer",
)  # fmt: skip
_METHODS = (b"DELETE", b"PATCH", b"TRACE", b"CONNECT", b"FOO")
_WHERE = (b'{"not": ' * 8 + b"{}" + b"}" * 8, b'{"attribute": "x"}', b'{"rule": "__class__"}', b'{"all": []}', b"[]")
_TENSOR = b'{"inputs": [{"name": "history", "shape": [%d, 1], "datatype": "BYTES", "data": ["1"]}]}'


def _attacks(chance: random.Random) -> Iterator[Callable[[], bytes]]:
    """Makers of requests, each another kind of trouble."""

    def path() -> bytes:
        return chance.choice(_PATHS)

    def upto(most: int) -> int:
        return chance.randint(1, most)

    yield lambda: chance.randbytes(upto(2_000))
    yield lambda: _post(chance.randbytes(upto(2_000)), path())
    yield lambda: _post(b"[" * upto(5_000), path())
    yield lambda: _post(b'{"a":' * upto(5_000) + b"1" + b"}" * 5, path())
    yield lambda: _post(b'{"history": ["' + b"x" * upto(500_000) + b'"]}')
    yield lambda: _post(b'{"history": [' + b",".join([b'"1"'] * 20_000) + b"]}")
    yield lambda: _post(b'{"n": 1e999, "history": [NaN]}', path())
    yield lambda: _post(b'{"n": ' + b"9" * upto(5_000) + b"}", path())
    yield lambda: _post(b'{"user": "\\ud800\\u0000"}', path())
    yield lambda: _post(b'{"text": "' + b"a " * 240 + b'", "n": 1000}', b"/v1/search")
    yield lambda: _post(b'{"text": "(((((.*)+)+)+)+$"}', b"/v1/search")
    yield lambda: _post(b'{"history": ["1"], "where": %b}' % chance.choice(_WHERE), path())
    yield lambda: _post(_TENSOR % chance.randint(-9, 10**12), b"/v2/models/recommend/infer")
    yield lambda: _post(b"{}", path(), b"content-encoding: gzip\r\n")
    yield lambda: _post(b"{}", path(), b"transfer-encoding: chunked\r\n")
    yield lambda: _post(b"{}", path(), b"x: " + b"y" * upto(100_000) + b"\r\n")
    yield lambda: _post(b"{}", path(), b"".join(b"x-%d: y\r\n" % at for at in range(3_000)))
    yield lambda: _post(b"{}", path(), length=10_000_000_000)
    yield lambda: _post(b"{}", path(), length=1_000)
    yield lambda: _get(b"/" + b"../" * upto(200))
    yield lambda: _get(b"/v1/items/" + b"%2e%00%ff" * upto(50))
    yield lambda: _get(b"/v1/card", more=b"x-request-id: a\r\n evil: b\r\n")
    yield lambda: _get(b"/v1/recommend", chance.choice(_METHODS))
    yield lambda: b"GET /metrics HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n"
    yield lambda: b"GET / HTTP/9.9\r\n\r\n"
    yield lambda: b"\r\n" * upto(5_000)
    yield lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(64)


if __name__ == "__main__":
    sys.exit(main())
