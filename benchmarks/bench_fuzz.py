"""Does anything break the server? 100,000 requests made from its OpenAPI schema, and hostile ones made by hand.

schemathesis (in an environment of its own) makes those of the schema, right and wrong ones: what lies at the limits of
every field first, then what it draws. The others break HTTP itself, and come on top. Answers of status 5xx count, and
memory at the end against that after the first tenth, when all that is made once has been made. Nine tenths of the time
go to drawing requests, one to answering them. ``REQUESTS=4000`` makes fewer for a quick look, and Ctrl-C ends it early;
either is then said not to reach the target.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from server import Server, bundle_of, counted, environment, served

TARGET = {"server_errors": 0, "memory_growth_mb": 10.0, "generated": 100_000}
_WANTED = int(os.environ.get("REQUESTS", TARGET["generated"]))
_HOSTILE_SHARE = 0.1
_ROUND = min(5_000, _WANTED // 2)
"""Requests of one run of schemathesis, about; each run costs some seconds to begin."""
_DRAWN_FOR = 15
"""Operations with something to draw; the others have one request each."""
_COUNTER = "recdistill_requests_total"
_TOOL = "schemathesis==4.32.5"


def main() -> int:
    """Measure and print."""
    python = environment("fuzz-venv", _TOOL)
    with tempfile.TemporaryDirectory() as directory:
        place = bundle_of(Path(directory) / "small", 500, 16, text=True)
        # few new items, so that they are all there after the first tenth
        with served(place, "--set", "new_items=20", "--set", "header_timeout=1", "--set", "timeout=2") as server:
            generated, hostile, warm, began = 0, 0, 0.0, time.monotonic()
            for seed in itertools.count():
                before = _answered(server)
                try:
                    _generated(python, server, seed)
                except KeyboardInterrupt:
                    warm = warm or server.memory()
                    break
                generated += _answered(server) - before
                hostile += _hostile(server, int(_ROUND * _HOSTILE_SHARE), seed)
                if server.process.poll() is not None:
                    sys.exit("error: the server is gone")
                print(f"{generated:,} generated and {hostile:,} hostile, {server.memory():.1f} MB", flush=True)
                if not warm and generated >= _WANTED / 10:
                    warm = server.memory()
                if generated >= _WANTED:
                    break
            after = server.memory()
            measured = {
                "generated": generated,
                "hostile": hostile,
                "server_errors": int(counted(server, _COUNTER, status="5")),
                "refused": int(counted(server, _COUNTER, status="4")),
                "answered": int(counted(server, _COUNTER, status="2")),
                "warm_memory_mb": warm,
                "memory_mb": after,
                "memory_growth_mb": after - warm,
                "seconds": time.monotonic() - began,
            }
            with server.client() as client:
                alive = len(client.recommend(["1"], 5)) == 5
    ok = alive and measured["server_errors"] == 0 and measured["memory_growth_mb"] <= TARGET["memory_growth_mb"]
    ok = ok and generated >= TARGET["generated"]
    print(json.dumps({"bench": "fuzz", "target": TARGET, "measured": measured, "ok": ok}))
    return 0 if ok else 1


def _answered(server: Server) -> int:
    """Requests that got an answer, without those of this benchmark for the numbers themselves."""
    return int(counted(server, _COUNTER) - counted(server, _COUNTER, route="/metrics"))


def _generated(python: str, server: Server, seed: int) -> None:
    """Requests made from the schema: what fits it, and what does not. The limits are the same in every run."""
    command = [
        str(Path(python).with_name("st")), "run", f"{server.url}/openapi.json", "--mode", "all",
        "--phases", "fuzzing" if seed else "coverage,fuzzing",
        "--checks", "not_a_server_error", "--max-examples", str(_ROUND // _DRAWN_FOR), "--seed", str(seed),
        "--continue-on-failure", "--no-color", "--generation-database", "none",
        "--exclude-path", "/metrics",
    ]  # fmt: skip
    hooks = {
        "SCHEMATHESIS_HOOKS": Path(__file__).with_name("fuzz_side.py").stem,
        "PYTHONPATH": str(Path(__file__).parent),
    }
    with tempfile.TemporaryDirectory() as scratch:  # it leaves files where it runs
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=scratch, env=os.environ | hooks)
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
