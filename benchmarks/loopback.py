"""An OpenAI-compatible server on loopback that answers at once, or after a while, and counts what it is paid for.

``python benchmarks/loopback.py [--delay SECONDS]`` prints its port and serves until its input ends. It answers every
question with the letters in an order of its own (a hash of the question), with log-probabilities. What it counts is at
``/stats``. Like a gateway that heeds ``Idempotency-Key``, it gives a repeated exchange its first answer, unpaid.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["serving", "stats"]

_LETTERS = "ABCDEFGHIJKLMNOPQRST"
_USAGE = {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101}


@contextmanager
def serving(delay: float = 0.0) -> Iterator[str]:
    """The server in a process of its own; where its protocol starts."""
    command = [sys.executable, str(Path(__file__)), "--delay", str(delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.terminate()


def stats(url: str) -> dict[str, int]:
    """What it has counted."""
    with urllib.request.urlopen(f"{url}/stats") as response:
        found: dict[str, int] = json.load(response)
    return found


class Server:
    """What all connections share."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.received = 0
        self.answered, self.paid = Counter[bytes](), Counter[bytes]()
        self.marks: set[bytes] = set()
        self.replies = [_reply(turn) for turn in range(len(_LETTERS))]

    def answer(self, path: bytes, body: bytes, mark: bytes) -> bytes:
        """The reply to one request, which is paid for by it."""
        if path.endswith(b"/models"):
            return _http({"object": "list", "data": [{"id": "loopback", "max_model_len": 8192}]})
        if path.endswith(b"/stats"):
            return _http(self._counts())
        if not path.endswith(b"/chat/completions"):
            return _http({"error": {"message": "not here"}}, 404)
        question = hashlib.blake2b(body, digest_size=16).digest()
        if mark != b"probe":
            self.answered[question] += 1
            if mark not in self.marks:
                self.marks.add(mark)
                self.paid[question] += 1
        return self.replies[question[0] % len(self.replies)]

    def _counts(self) -> dict[str, int]:
        return {
            "received": self.received,
            "questions": len(self.paid),
            "paid": sum(self.paid.values()),
            "paid_twice": sum(n > 1 for n in self.paid.values()),
            "answered_twice": sum(n > 1 for n in self.answered.values()),
        }


class Connection(asyncio.Protocol):
    """One connection; requests on it are answered in their order."""

    def __init__(self, server: Server) -> None:
        self.server, self.buffer = server, b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It begins."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take whole requests out of what has come."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            length = int(_header(head, b"content-length") or 0)
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            path, mark = head.split(b" ", 2)[1], _header(head, b"idempotency-key")
            self.server.received += mark not in (b"", b"probe")
            if self.server.delay and body:
                asyncio.get_running_loop().call_later(self.server.delay, self._send, path, body, mark)
            else:
                self._send(path, body, mark)

    def _send(self, path: bytes, body: bytes, mark: bytes) -> None:
        """Answer, unless nobody listens any more: then nothing is computed and nothing is paid."""
        if not self.transport.is_closing():
            self.transport.write(self.server.answer(path, body, mark))


def _header(head: bytes, name: bytes) -> bytes:
    at = head.lower().find(b"\r\n" + name + b":")
    return head[at + len(name) + 3 :].split(b"\r\n", 1)[0].strip() if at >= 0 else b""


def _reply(turn: int) -> bytes:
    letters = _LETTERS[turn:] + _LETTERS[:turn]
    top = [{"token": letter, "logprob": round(-0.4 - 0.3 * n, 2)} for n, letter in enumerate(letters)]
    choice = {
        "index": 0, "message": {"role": "assistant", "content": letters[0]}, "finish_reason": "length",
        "logprobs": {"content": [{**top[0], "top_logprobs": top}]},
    }  # fmt: skip
    return _http({"id": "x", "object": "chat.completion", "model": "loopback", "choices": [choice], "usage": _USAGE})


def _http(body: Any, status: int = 200) -> bytes:
    data = json.dumps(body).encode()
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data
    )


async def _serve(delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = Server(delay)
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=1024)
    print(listening.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()  # until whoever started it ends


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    chosen = parser.parse_args().delay
    with suppress(ImportError, KeyboardInterrupt):
        import uvloop

        uvloop.run(_serve(chosen))
        sys.exit()
    asyncio.run(_serve(chosen))
