"""A real HTTP server on loopback that speaks the OpenAI protocol, and misbehaves where a test wants it to."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Asked", "LLMServer", "answers", "chat", "letters"]


@dataclass(frozen=True)
class Asked:
    """A request that arrived; ``count`` is how many of its path came before, ``twin`` how many of its content."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    count: int
    twin: int

    @property
    def said(self) -> str:
        """The last message."""
        return str(self.body["messages"][-1]["content"])


@dataclass(frozen=True)
class Answer:
    """What goes back, and how."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int | None = None
    """Bytes of the body after which the connection ends."""
    dribble: float | None = None
    """Seconds between two bytes."""

    @property
    def data(self) -> bytes:
        """The body as bytes."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def chat(text: str | None, finish: str = "stop", top: list[dict[str, float]] | None = None, **more: Any) -> Answer:
    """A usual reply; ``top`` are tokens and log-probabilities at each place."""
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    if top is not None:
        places = [[{"token": token, "logprob": logp} for token, logp in place.items()] for place in top]
        choice["logprobs"] = {"content": [{"token": p[0]["token"], "top_logprobs": p} for p in places]}
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    return Answer({"object": "chat.completion", "choices": [choice], "usage": usage} | more)


def letters(logits: dict[str, float]) -> Answer:
    """A reply of one letter with log-probabilities."""
    best = max(logits, key=lambda letter: logits[letter])
    return chat(best, top=[dict(sorted(logits.items(), key=lambda pair: -pair[1]))])


class LLMServer:
    """The server; ``script`` says what each request gets; it listens on any free port, or on the one named.

    Attributes:
        url: Where the protocol starts.
        asked: Every request that arrived on the chat path.
        answered: How often each content was answered to its last byte.
    """

    def __init__(self, script: Callable[[Asked], Answer], port: int = 0) -> None:
        self.script, self.asked = script, list[Asked]()
        self.answered: Counter[str] = Counter()
        self._closing = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._twins: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", port, limit=1 << 24)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    def close(self) -> None:
        """Stop listening and cut every connection; once is enough."""
        with self._closing:
            if not self._loop.is_closed():
                self._end()

    def _end(self) -> None:
        async def end() -> None:
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        data = await reader.readexactly(int(headers.get("content-length", 0)))
        content = path + data.decode()
        asked = Asked(
            method, path.removeprefix("/v1"), headers, json.loads(data) if data else None,
            self._counts[path], self._twins[content],
        )  # fmt: skip
        self._counts[path] += 1
        self._twins[content] += 1
        answer = self._usual(asked) or self.script(asked)
        if asked.path == "/chat/completions" and "Say A." not in content and "JSON object" not in content:
            self.asked.append(asked)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        await self._send(writer, answer)
        self.answered[content] += answer.status == 200
        return answer.cut is None

    def _usual(self, asked: Asked) -> Answer | None:
        """What the capability probe gets, unless the script wants to answer it itself."""
        if getattr(self.script, "probed", False):
            return None
        if asked.path == "/models":
            return Answer({"object": "list", "data": [{"id": "tiny", "max_model_len": 2048}]})
        if asked.path in ("/embeddings", "/rerank", "/completions"):
            return Answer({"error": {"message": "not here"}}, 404)
        if asked.body["messages"][-1]["content"] == "Say A.":
            return letters({"A": -0.1, "B": -2.5, **{f"t{n}": -3.0 - n for n in range(18)}})
        if "JSON object" in asked.said:
            return chat('{"a": 1}')
        return None

    async def _send(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        data = answer.data
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data))} | answer.headers
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {answer.status} X\r\n{head}\r\n".encode())
        sent = data if answer.cut is None else data[: answer.cut]
        if answer.dribble is None:
            writer.write(sent)
        else:
            for byte in sent:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(answer.dribble)
        await writer.drain()


@contextmanager
def answers(script: Callable[[Asked], Answer]) -> Iterator[LLMServer]:
    """A server for the time of a block."""
    server = LLMServer(script)
    try:
        yield server
    finally:
        server.close()
