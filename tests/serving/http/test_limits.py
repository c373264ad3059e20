from __future__ import annotations

import http.client
import json
import logging
import socket
import time
from urllib.parse import urlsplit

import pytest

from recdistill.errors import ConfigError
from recdistill.serving.deployment import Home
from recdistill.serving.http import Keys, protocol
from recdistill.serving.http.rates import Rates
from recdistill.serving.http.settings import KEYS
from tests.serving.http.ask import ask, post
from tests.serving.http.conftest import Start, running

KEY = "0123456789abcdef"
HEAD = b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


def raw(url: str, *parts: bytes, wait: float = 0.0, patience: float = 5.0) -> bytes:
    """Send bytes as they are, with a pause between the parts; everything until the server hangs up or is silent."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=patience) as connection:
        got = b""
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(wait)
            while more := connection.recv(65536):
                got += more
        except (TimeoutError, ConnectionError):
            pass
        return got


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"7", b'"x"', b"\xff\xfe", b'{"n": NaN}', b'{"n": 1e400}', b'{"n": -1}',
        b'{"n": 10.5}', b'{"n": true}', b'{"n": "10"}', b'{"n": 1001}', b'{"history": "i1"}', b'{"history": [1]}',
        b'{"history": [null]}',
        b'{"history": [""]}', b'{"history": ["a\\u0000b"]}', b'{"history": ["\\ud800"]}', b'{"unknown": 1}',
        b'{"n": 123456789012345678901234567890}', b'{"deny": {"a": 1}}', b'{"history": ["' + b"x" * 300 + b'"]}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/recommend", "/v1/recommend/batch"])
def test_bodies_that_make_no_sense_are_refused_in_one_line(body: bytes, path: str, quiet: str) -> None:
    asked = body if path.endswith("recommend") else b'{"requests": [' + body + b"]}"
    got = post(quiet, path, asked)
    assert got.status == 422, got.text
    assert set(got.json) == {"error", "request"}
    assert "\n" not in got.json["error"]
    assert "Traceback" not in got.text.decode()


@pytest.fixture(scope="module")
def quiet(bundles: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> object:
    """A server that many tests share."""
    place = tmp_path_factory.mktemp("quiet")
    with running(Home(place / "home", bundles["sasrec"]), max_body=5_000, header_timeout=0.3, timeout=1.0) as url:  # type: ignore[arg-type]
        yield url


def test_a_large_body_is_refused_before_it_is_read(quiet: str) -> None:
    assert post(quiet, "/v1/recommend", b" " * 5_001).status == 413
    announced = raw(quiet, HEAD + b"content-length: 1000000000\r\n\r\n")
    assert announced.startswith(b"HTTP/1.1 413")
    chunk = b"%x\r\n" % 3_000 + b" " * 3_000 + b"\r\n"
    chunked = raw(quiet, HEAD + b"transfer-encoding: chunked\r\n\r\n", chunk, chunk, wait=0.05)
    assert chunked.startswith(b"HTTP/1.1 413")


def test_deep_json_is_refused(quiet: str) -> None:
    assert post(quiet, "/v1/recommend", b"[" * 17).status == 400
    assert post(quiet, "/v1/recommend", b'{"history": ["' + b"[" * 100 + b'"]}').status == 200  # brackets of a text
    assert post(quiet, "/v2/models/recommend/infer", b"[" * 17 + b"]" * 17).status == 400
    wide = json.dumps({"requests": [{"history": []}] * 30}).encode()
    assert post(quiet, "/v1/recommend/batch", wide).status == 200


def test_only_json_is_taken(quiet: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert post(quiet, "/v1/recommend", {}, {"content-type": kind}).status == 415
    assert post(quiet, "/v1/recommend", {}, {"content-type": "Application/JSON; charset=utf-8"}).status == 200


def test_methods_and_places_that_are_not_there(quiet: str) -> None:
    assert ask(quiet, "GET", "/v1/recommend").status == 405
    assert ask(quiet, "GET", "/../../etc/passwd").status == 404
    assert ask(quiet, "GET", "/v2/models/%2e%2e%2f%00").status == 404
    assert ask(quiet, "OPTIONS", "/v1/recommend").status == 405
    assert ask(quiet, "DELETE", "/v1/card", b"{}", {"content-type": "application/json"}).status == 405
    assert set(ask(quiet, "GET", "/nothing").json) == {"error", "request"}
    assert ask(quiet, "GET", "/v1/recommend").json["error"] == "the place takes another method: POST"
    assert ask(quiet, "GET", "/nothing").json["error"] == "no such place; /docs has them all"


def test_a_wrong_key_is_named_with_what_was_meant(quiet: str) -> None:
    """Before what is missing, because who calls a key by a wrong name leaves the right one out."""

    def said(path: str, body: object) -> str:
        return str(post(quiet, path, body).json["error"])

    assert said("/v1/search", {"query": "tea"}) == "query: no such key; needed here: text"
    assert said("/v1/items", {"item": "x", "text": "tea"}) == "item: no such key; needed here: items"
    assert said("/v1/recommend", {"histroy": []}) == "histroy: no such key; /docs has them all"
    batch = {"requests": [{"n": 1}, {"items": 3}]}
    assert said("/v1/recommend/batch", batch) == "requests.1.items: no such key; /docs has them all"
    assert said("/v1/search", {}) == "text: Field required"


def test_other_hosts_are_refused_without_keys(quiet: str) -> None:
    assert ask(quiet, "GET", "/v1/card", headers={"host": "evil.example"}).status == 421
    assert ask(quiet, "GET", "/v1/card", headers={"host": "localhost:8000"}).status == 200


def test_large_and_slow_heads_are_cut_off(quiet: str) -> None:
    many = b"".join(b"x-%d: %s\r\n" % (k, b"y" * 1000) for k in range(100))
    assert raw(quiet, b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n" + many + b"\r\n").startswith(b"HTTP/1.1 431")
    assert raw(quiet, b"GET /" + b"a" * 100_000).startswith(b"HTTP/1.1 431")
    start = time.monotonic()
    assert raw(quiet, b"GET /v2 HTTP/1.1\r\n").startswith(b"HTTP/1.1 408")
    assert raw(quiet, b"").startswith(b"HTTP/1.1 408")
    assert time.monotonic() - start < 3
    slow = raw(quiet, *(bytes([letter]) for letter in b"GET /v2 HTTP/1.1\r\nhost: localhost"), wait=0.05)
    assert slow == b"" or slow.startswith(b"HTTP/1.1 408")  # cut off while we were sending


def test_trailers_without_end_are_cut_off(quiet: str) -> None:
    head = b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    assert b"200" not in raw(quiet, head, *[b"x: " + b"y" * 10_000 + b"\r\n"] * 10, wait=0.01)


def test_a_body_that_does_not_come_is_not_waited_for(quiet: str) -> None:
    head = HEAD + b"content-length: 10\r\n\r\n"
    assert raw(quiet, head + b"{").startswith(b"HTTP/1.1 408")


def test_a_client_that_hangs_up_harms_nobody(quiet: str) -> None:
    place = urlsplit(quiet)
    head = HEAD + b"content-length: 10\r\n\r\n"
    for _ in range(5):
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(head)
    assert post(quiet, "/v1/recommend", {}).status == 200


def test_nonsense_is_answered_with_400(quiet: str) -> None:
    for text in (b"\x00\x01\x02\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n"):
        assert raw(quiet, text).startswith((b"HTTP/1.1 400", b"HTTP/1.1 404", b"HTTP/1.1 421")), text


def test_request_ids_are_kept_if_they_are_plain(quiet: str) -> None:
    assert ask(quiet, "GET", "/v2", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert ask(quiet, "GET", "/v2", headers={"x-request-id": "a b"}).headers["x-request-id"] != "a b"
    assert ask(quiet, "GET", "/v2").headers["x-content-type-options"] == "nosniff"


def test_keys(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "recdistill.server")
    url = start({"shop": KEY, "batch": KEY[::-1]})
    assert post(url, "/v1/recommend", {}).json["error"].startswith("a key is needed")
    assert post(url, "/v1/recommend", {}).status == 401
    assert post(url, "/v1/recommend", {}, {"authorization": "Bearer wrong"}).status == 401
    assert post(url, "/v1/recommend", {}, {"x-api-key": "wrong"}).json["error"] == "this key is not known"
    assert post(url, "/v1/recommend", {}, {"authorization": f"Basic {KEY}"}).status == 401
    assert post(url, "/v1/recommend", {}, {"authorization": f"bearer {KEY}"}).status == 200
    assert post(url, "/v1/recommend", {}, {"x-api-key": KEY[::-1]}).status == 200
    assert ask(url, "GET", "/metrics").status == 401
    assert ask(url, "GET", "/v2/health/live").status == 200
    told = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert [fact["client"] for fact in told if fact["status"] == 200][:2] == ["shop", "batch"]
    assert KEY not in caplog.text + str(told)


def test_keys_come_from_the_environment_in_one_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS, f" shop:{KEY} , batch:{KEY[::-1]}:x,")
    keys = Keys.from_environment()
    assert keys.holder(KEY.encode()) == "shop"
    assert keys.holder(f"{KEY[::-1]}:x".encode()) == "batch"
    assert keys.holder(b"") is None
    for bad in ("shop", f":{KEY}", "shop:", "shop:short"):
        monkeypatch.setenv(KEYS, bad)
        with pytest.raises(ConfigError, match=KEYS) as told:
            Keys.from_environment()
        assert KEY not in str(told.value)
    monkeypatch.delenv(KEYS)
    assert not Keys.from_environment()


def test_rates(start: Start) -> None:
    url = start(rate=1.0, burst=3)
    got = [post(url, "/v1/recommend", {}) for _ in range(5)]
    assert [answer.status for answer in got] == [200, 200, 200, 429, 429]
    assert got[-1].headers["retry-after"] == "1"


def test_a_bucket_fills_with_time_and_clients_are_forgotten() -> None:
    now = [0.0]
    rates = Rates(2.0, 4, lambda: now[0])
    assert [rates.wait("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert rates.wait("b") == 0
    now[0] = 0.5
    assert rates.wait("a") == 0
    assert rates.wait("a") > 0
    now[0] = 100.0
    assert [rates.wait("a") > 0 for _ in range(5)] == [False] * 4 + [True]
    for client in range(10_001):
        rates.wait(str(client))
    assert len(rates._left) == 10_000
    assert Rates(0.0, 1).wait("a") == Rates(0.0, 1).wait("a") == 0


def test_too_many_connections(start: Start) -> None:
    url = start(max_connections=3)
    place = urlsplit(url)
    held = [socket.create_connection((place.hostname, place.port)) for _ in range(4)]
    try:
        assert ask(url, "GET", "/v2").status == 503
    finally:
        for connection in held:
            connection.close()


def test_what_goes_wrong_inside_is_told_to_the_log_only(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from recdistill.serving.bundle import Bundle

    url = start()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Bundle, "recommend_each", broken)
    for path, asked in (("/v1/recommend", b"{}"), ("/v1/recommend/batch", b'{"requests": [{}, {}]}')):
        got = post(url, path, asked)
        assert got.status == 500
        assert b"secret" not in got.text
        assert got.json["request"] == got.headers["x-request-id"]
    assert "secret detail" in caplog.text


def test_a_head_alone_is_answered_at_once(quiet: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(quiet).netloc, timeout=30)
    connection.request("HEAD", "/v2/health/live")
    assert connection.getresponse().read() == b""
    held = connection.sock
    connection.request("GET", "/v2/health/live")  # on the same connection: it has not ended
    assert connection.getresponse().status == 200
    assert connection.sock is held
    connection.close()


def test_who_still_sends_after_the_answer_is_cut_off(quiet: str) -> None:
    head = b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n"
    with socket.create_connection(
        (urlsplit(quiet).hostname or "", urlsplit(quiet).port or 0), timeout=60
    ) as connection:
        connection.sendall(head)
        got = b""
        while part := connection.recv(4096):
            got += part
    assert got.startswith(b"HTTP/1.1 200")


def test_who_ends_the_request_soon_after_the_answer_keeps_the_connection(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_LINGER", 0.1)
    url = start(header_timeout=5.0)
    head = b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n"
    with socket.create_connection((urlsplit(url).hostname or "", urlsplit(url).port or 0), timeout=60) as connection:
        for _ in range(2):
            connection.sendall(head)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            connection.sendall(b"{}")
            time.sleep(0.3)
        rest = b""
        while part := connection.recv(4096):  # and an idle one is not kept for ever
            rest += part
        assert rest.startswith(b"HTTP/1.1 408")


def test_numbers_and_pools_without_measure_are_refused(quiet: str) -> None:
    huge = b'{"where": {"attribute": "price", "at_least": 1' + b"0" * 400 + b"}}"
    got = post(quiet, "/v1/recommend", huge)
    assert (got.status, "too large" in got.json["error"]) == (422, True)
    assert post(quiet, "/v1/recommend", {"history": ["i1"], "diversity": {"pool": 1001}}).status == 422
    many = {"requests": [{"history": ["i1"], "n": 1000}] * 51}
    got = post(quiet, "/v1/recommend/batch", many)
    assert (got.status, "at most 50,000" in got.json["error"]) == (422, True)
    some = {"requests": [{"history": ["i1"], "n": 2}] * 150}
    assert len(post(quiet, "/v1/recommend/batch", some).json["answers"]) == 150
