from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from recdistill.errors import ServerError
from recdistill.serving import Client
from tests.serving.http.conftest import Start


def test_every_question(start: Start) -> None:
    with Client(start()) as shop:
        assert shop.ready()
        best = shop.recommend(["i3"], 4)
        assert len(best) == 4
        assert [row.item for row in shop.recommend_many([["i3"], []], 4)[0]] == [row.item for row in best]
        assert shop.recommend(["i3"], 4, deny=[best[0].item])[0] == best[1]
        assert shop.recommend(user="nobody", n=2) == shop.popular(2)
        assert shop.search("item 7", 1)[0].title == "Item 7"
        assert best[0].item != shop.similar(best[0].item, 1)[0].item
        events = [{"user": "u", "item": "i3"}, {"user": "u", "item": "i4", "id": "mine"}]
        assert shop.feedback(events) == 2
        assert shop.feedback(events[1:]) == 0
        assert shop.recommend(user="u", n=2) == shop.recommend(["i3", "i4"], 2)
        assert shop.card()["deployment"] == 0
        with pytest.raises(ServerError, match="not in the catalogue") as told:
            shop.similar("x")
        assert told.value.status == 404
        assert shop.popular(1)


@contextmanager
def scripted(answers: list[tuple[int, bytes] | None]) -> Iterator[str]:
    """A server that gives these answers, one after the other; None: it hangs up."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            answer = answers.pop(0)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer[0])
            self.send_header("content-length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/below"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_lost_connections_and_busy_servers_are_tried_again() -> None:
    with scripted([None, (503, b'{"error": "busy"}'), (200, b'{"stored": 1}')]) as url, Client(url) as shop:
        assert shop.feedback([{"user": "u", "item": "i"}]) == 1
    busy = scripted([(503, b'{"error": "busy"}')] * 2)
    with busy as url, Client(url, retries=1) as shop, pytest.raises(ServerError, match="busy"):
        shop.popular()
    with scripted([(500, b"<html>")]) as url, Client(url) as shop, pytest.raises(ServerError, match="<html>"):
        shop.popular()
    for foreign in (b"<html>", b"[]"):
        with scripted([(200, foreign)]) as url, Client(url) as shop, pytest.raises(ServerError, match="another server"):
            shop.popular()
    with scripted([(500, b"")]) as url, Client(url) as shop, pytest.raises(ServerError, match="no reason"):
        shop.popular()
