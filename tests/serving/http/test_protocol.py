from __future__ import annotations

from asyncio import Transport

from recdistill.serving.http.protocol import _Joined

HEAD, BODY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"{}"


class Written(Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("localhost", 1)})
        self.parts: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.parts.append(bytes(data))

    def close(self) -> None:
        self.closed = True


def test_head_and_body_go_out_together() -> None:
    out = Written()
    joined = _Joined(out)
    for data in (HEAD, BODY, HEAD, b"", HEAD, b"5\r\n", b"a part", BODY):
        joined.write(data)
    assert out.parts == [HEAD + BODY, HEAD, HEAD + b"5\r\n", b"a part", BODY]


def test_an_invitation_to_send_a_body_does_not_wait() -> None:
    out = Written()
    _Joined(out).write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert out.parts == [b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_a_head_alone_goes_out_before_the_end() -> None:
    out = Written()
    joined = _Joined(out)
    joined.write(HEAD)
    assert (out.parts, joined.get_extra_info("peername")) == ([], ("localhost", 1))
    joined.close()
    assert (out.parts, out.closed) == ([HEAD], True)
    joined.close()
    assert out.parts == [HEAD]
