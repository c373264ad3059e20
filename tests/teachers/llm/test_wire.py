"""Whatever a server may do to a connection."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.teachers.llm.backends.wire import Answer, Wire, proxy_before
from recdistill.teachers.llm.engine import run_async
from recdistill.teachers.llm.exchange import Failure, Unreachable

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
LARGEST = 1000
Work = Callable[[Wire], Awaitable[Any]]


class Server:
    """Gives each request the next of its replies, in pieces of some size; None closes the connection."""

    def __init__(self, *replies: bytes | None, piece: int = 1 << 20, close: bool = False) -> None:
        self.replies, self.piece, self.close = list(replies), piece, close
        self.heads, self.bodies, self.connections = list[str](), list[bytes](), 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.replies:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = head.lower().partition("content-length: ")[2].partition("\r\n")[0]
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(int(length or 0)))
                reply = self.replies.pop(0)
                for start in range(0, len(reply or b""), self.piece):
                    writer.write((reply or b"")[start : start + self.piece])
                    await writer.drain()
                    await asyncio.sleep(0)
                if reply is None or self.close:
                    return
            await reader.read()  # until the client ends
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def through(server: Server, work: Work, timeout: float = 20.0, tls: Any = None, run_it: Any = run_async) -> Any:
    """What some exchanges with a server give."""

    async def run() -> Any:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
        port = listening.sockets[0].getsockname()[1]
        url = f"https://localhost:{port}/v1" if tls else f"http://127.0.0.1:{port}/v1"
        sender = Wire(url, {"Authorization": "Bearer k"}, timeout, LARGEST)
        try:
            return await work(sender)
        finally:
            await sender.close()
            listening.close()

    return run_it(run())


async def once(sender: Wire) -> Answer:
    return await sender.send("POST", "/ask", b"what", "m-1")


async def twice(sender: Wire) -> list[bytes]:
    return [(await once(sender)).body, (await once(sender)).body]


def failure(server: Server, timeout: float = 20.0) -> Failure:
    with pytest.raises(Failure) as caught:
        through(server, once, timeout)
    return caught.value


def reply(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


def test_a_request_and_its_reply() -> None:
    server = Server(OK)
    status, said, body = through(server, once)
    assert (status, dict(said), body) == (200, {"Content-Type": "text/plain", "Content-Length": "2"}, b"hi")
    line, *headers = server.heads[0].strip().split("\r\n")
    told = dict(header.split(": ") for header in headers)
    assert (line, server.bodies) == ("POST /v1/ask HTTP/1.1", [b"what"])
    assert told.pop("Host").startswith("127.0.0.1:")
    assert (told["Authorization"], told["Idempotency-Key"], told["Content-Length"]) == ("Bearer k", "m-1", "4")


def test_without_a_body_and_a_mark() -> None:
    server = Server(OK)
    assert through(server, lambda sender: sender.send("GET", "/models")).body == b"hi"
    assert server.heads[0].startswith("GET /v1/models HTTP/1.1\r\n")
    assert "Content-Length" not in server.heads[0]
    assert "Idempotency" not in server.heads[0]


def test_a_connection_is_kept() -> None:
    server = Server(OK, OK)
    assert through(server, twice) == [b"hi", b"hi"]
    assert server.connections == 1


@pytest.mark.parametrize(
    ("server", "bodies"),
    [
        (Server(reply(b"a", "Connection: close", "Content-Length: 1"), OK), [b"a", b"hi"]),
        (Server(OK, OK, close=True), [b"hi", b"hi"]),
        (Server(OK + OK, reply(b"b", "Content-Length: 1")), [b"hi", b"b"]),
    ],
    ids=["said", "closed while idle", "a reply more"],
)
def test_a_connection_that_is_not_kept(server: Server, bodies: list[bytes]) -> None:
    async def work(sender: Wire) -> list[bytes]:
        first = await once(sender)
        await asyncio.sleep(0.05)
        return [first.body, (await once(sender)).body]

    assert through(server, work) == bodies
    assert server.connections == 2


def test_a_connection_that_was_idle_for_long_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recdistill.teachers.llm.backends.wire._IDLE_SECONDS", 0.0)
    server = Server(OK, OK)
    assert through(server, twice) == [b"hi", b"hi"]
    assert server.connections == 2


def test_the_reply_to_a_question_that_was_given_up_is_not_that_to_the_next() -> None:
    server = Server(reply(b"late", "Content-Length: 5"), OK)

    async def work(sender: Wire) -> bytes:
        task = asyncio.ensure_future(once(sender))
        while not server.bodies:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return (await once(sender)).body

    assert through(server, work) == b"hi"
    assert server.connections == 2


def test_many_at_once_each_get_their_own() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            await asyncio.sleep(0.001 * (length % 3))
            writer.write(reply(body, f"Content-Length: {length}"))

    async def work(sender: Wire) -> list[bytes]:
        sent = [sender.send("POST", "/ask", b"x" * (n + 1), str(n)) for n in range(60)]
        return [answer.body for answer in await asyncio.gather(*sent)]

    server = Server()
    server.serve = echo  # type: ignore[method-assign]
    assert [len(body) for body in through(server, work)] == list(range(1, 61))


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (reply(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), b"abcde"),
        (reply(gzip.compress(b"abc" * 99), f"Content-Length: {len(gzip.compress(b'abc' * 99))}",
               "Content-Encoding: gzip"), b"abc" * 99),
        (reply(b"", status="204 No Content"), b""),
        (reply(b"", status="100 Continue") + OK, b"hi"),
        (reply(b"", "Content-Length: 0", "Content-Encoding: gzip"), b""),
        (reply(b"".join(b"1\r\n%c\r\n" % n for n in bytes(1000)) + b"0\r\n\r\n", "Transfer-Encoding: chunked"),
         bytes(1000)),
    ],
    ids=["chunked", "gzip", "nothing", "100", "gzip of nothing", "bytes"],
)  # fmt: skip
def test_forms_of_a_reply(sent: bytes, body: bytes) -> None:
    assert through(Server(sent), once).body == body


def test_a_reply_that_ends_with_its_connection() -> None:
    assert through(Server(reply(b"to the end"), close=True), once).body == b"to the end"


@settings(max_examples=25, deadline=None)
@given(body=st.binary(max_size=300), piece=st.integers(1, 80), zipped=st.booleans(), chunks=st.integers(0, 90))
def test_it_does_not_matter_how_a_reply_is_cut_up(body: bytes, piece: int, zipped: bool, chunks: int) -> None:
    sent = gzip.compress(body) if zipped else body
    headers = ["Content-Encoding: gzip"] if zipped else []
    if chunks:
        parts = [sent[start : start + chunks] for start in range(0, len(sent), chunks)]
        data = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        whole = reply(data, "Transfer-Encoding: chunked", *headers)
    else:
        whole = reply(sent, f"Content-Length: {len(sent)}", *headers)
    server = Server(whole, OK, piece=piece)
    assert through(server, twice) == [body, b"hi"]
    assert server.connections == 1


@pytest.mark.parametrize(
    "server",
    [
        Server(reply(b"x" * 10, "Content-Length: 20"), close=True),
        Server(reply(b"5\r\nab", "Transfer-Encoding: chunked"), close=True),
        Server(None),
        Server(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        Server(reply(b"no gzip here", "Content-Length: 12", "Content-Encoding: gzip")),
    ],
    ids=["short", "chunk", "closed", "ssh", "no gzip"],
)
def test_broken_replies(server: Server) -> None:
    error = failure(Server(*server.replies, close=server.close))
    assert error.why.startswith("the connection broke")
    assert error.again
    assert not error.busy


@pytest.mark.parametrize(
    "sent",
    [
        reply(b"x" * 1001, "Content-Length: 1001"),
        reply(b"x" * 1001),
        reply(gzip.compress(b"x" * 100_000), "Content-Encoding: gzip"),
    ],
    ids=["long", "without end", "gzip"],
)
def test_replies_that_are_too_large(sent: bytes) -> None:
    error = failure(Server(sent, close=True))
    assert "a reply of more than" in error.why
    assert not error.again


def test_headers_without_end() -> None:
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 100) for n in range(2000))
    assert "the connection broke" in failure(Server(head)).why
    assert "the connection broke" in failure(Server(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000)).why


def test_a_reply_that_takes_too_long() -> None:
    error = failure(Server(reply(b"x", "Content-Length: 2")), 0.3)
    assert (error.why, error.slow) == ("no complete reply within 0.3 seconds", True)


def test_nobody_there() -> None:
    async def run(url: str) -> None:
        wire = Wire(url, {}, 5.0, LARGEST)
        try:
            await once(wire)
        finally:
            await wire.close()

    with pytest.raises(Unreachable, match="nobody answers there: "):
        run_async(run("http://nobody.invalid/v1"))
    with pytest.raises(Unreachable, match=r"nobody answers there: Connection refused"):
        run_async(run("http://127.0.0.1:1/v1"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of localhost, by itself."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "-", "-out", "-", "-days", "2",
               "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]  # fmt: skip
    path.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return path


def test_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with pytest.raises(Unreachable, match=r"nobody answers there: .*certificate"):
        through(Server(OK), once, tls=tls)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for run_it in (run_async, asyncio.run):  # with uvloop and without
        server = Server(OK, OK)
        assert through(server, twice, tls=tls, run_it=run_it) == [b"hi", b"hi"]
        assert server.connections == 1


def test_without_uvloop() -> None:
    server = Server(OK, reply(b"a", "Connection: close", "Content-Length: 1"), OK)
    assert through(server, twice, run_it=asyncio.run) == [b"hi", b"a"]
    with pytest.raises(Failure, match="the connection broke"):
        through(Server(None), once, run_it=asyncio.run)
    with pytest.raises(Failure, match="no complete reply within"):
        through(Server(reply(b"x", "Content-Length: 2")), once, timeout=0.3, run_it=asyncio.run)


def test_a_proxy_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert not proxy_before("http://models.example/v1")
    server = Server(OK)

    async def run() -> Answer:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "inside.example")
        assert proxy_before("http://models.example/v1")
        assert not proxy_before("https://models.example/v1")
        assert not proxy_before("http://inside.example/v1")
        sender = Wire("http://models.example/v1", {"A": "b"}, 20.0, LARGEST)
        try:
            return await once(sender)
        finally:
            await sender.close()
            listening.close()

    assert run_async(run()).body == b"hi"
    assert server.heads[0].startswith("POST http://models.example/v1/ask HTTP/1.1")
    assert "Idempotency-Key: m-1" in server.heads[0]


def test_nobody_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    async def run() -> None:
        sender = Wire("http://models.example/v1", {}, 5.0, LARGEST)
        try:
            await once(sender)
        finally:
            await sender.close()

    with pytest.raises(Unreachable, match="nobody answers there"):
        run_async(run())
