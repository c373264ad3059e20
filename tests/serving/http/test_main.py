"""The server as its own processes, from the command line."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from recdistill.cli.app import app
from recdistill.errors import ServerError
from recdistill.serving import Client
from recdistill.serving.deployment import Home
from recdistill.serving.http.settings import KEYS
from tests.serving.http.ask import ask, post
from tests.serving.http.process import served

KEY = "k" * 24


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_server_process_answers_logs_and_stops(home: Home, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with served(home.bundle.parent, "--set", "drain=5", keys=f"shop:{KEY}", log=log) as (url, process):
        assert post(url, "/v1/recommend", {}).status == 401
        with Client(url, KEY) as shop:
            assert len(shop.recommend(["i1"], 3)) == 3
            assert shop.feedback([{"user": "u", "item": "i1"}]) == 1
        assert "server" not in ask(url, "GET", "/v2", headers={"x-api-key": KEY}).headers
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)
    told = lines(log)
    assert (told[0]["page"], told[0]["api"]) == (f"{url}/", f"{url}/docs")
    asked = [line for line in told if line["message"] == "request" and line["route"] == "/v1/recommend"]
    assert [(line["status"], line["client"]) for line in asked] == [(401, ""), (200, "shop")]
    assert asked[0]["time"].endswith("Z")
    assert KEY not in log.read_text()


def test_a_request_that_runs_is_answered_before_the_server_stops(home: Home, tmp_path: Path) -> None:
    head = (
        b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
    )
    with served(home.bundle.parent, log=tmp_path / "log") as (url, process):
        begun = [socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=10) for _ in range(3)]
        for connection in begun:
            connection.sendall(head + b"{")
        while b"recdistill_requests_running 4.0" not in ask(url, "GET", "/metrics").text:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        for connection in begun:
            connection.sendall(b"}")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            connection.close()
        process.wait(20)


def test_several_workers_count_together_and_follow_together(
    home: Home, bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "temporary"
    shared.mkdir()
    monkeypatch.setenv("TMPDIR", str(shared))
    with served(home.bundle.parent, "--workers", "2", "--set", "watch=0.05", log=tmp_path / "log") as (url, _):
        for k in range(30):
            assert post(url, "/v1/recommend", {"history": [f"i{k}"]}).status == 200
            assert post(url, "/v1/feedback", {"events": [{"id": f"{k % 20}", "user": "u", "item": "i1"}]}).status == 200
        text = ask(url, "GET", "/metrics").text.decode()
        assert 'recdistill_requests_total{route="/v1/recommend",status="200"} 30.0' in text
        assert 'recdistill_feedback_events_total{outcome="stored"} 20.0' in text
        got = CliRunner().invoke(app, ["deploy", str(home.bundle.parent), str(bundles["mf"])])
        assert got.exit_code == 0, got.output
        assert any(shared.glob("recdistill-metrics-*"))
        end = time.monotonic() + 60
        while {ask(url, "GET", "/v1/card").json["variants"][0]["model"] for _ in range(20)} != {"mf"}:
            assert time.monotonic() < end
    assert not any(shared.glob("recdistill-metrics-*"))


def test_what_cannot_be_served_is_one_line(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(*arguments: str) -> str:
        got = CliRunner().invoke(app, ["serve", *arguments])
        assert got.exit_code == 2
        assert got.stderr.count("\n") == 1
        return got.stderr

    place = str(home.bundle.parent)
    assert "no such run or bundle" in said(str(tmp_path / "nothing"))
    assert "did you mean 'max_body'" in said(place, "--set", "maxbody=1")
    assert "KEY=VALUE" in said(place, "--set", "rate")
    assert "greater than or equal to 0" in said(place, "--set", "rate=-1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "another server" in said(place, "-p", str(taken.getsockname()[1]))
    assert "choose with --host" in said(place, "--host", "999.1.1.1", "-p", "0")
    assert "no event store has URLs like mysql" in said(place, "-p", "0", "--feedback", "mysql://events")
    monkeypatch.setenv(KEYS, "shop")
    assert "NAME:KEY" in said(place, "-p", "0")


def test_deploy_shows_changes_and_undoes(home: Home, bundles: dict[str, Path]) -> None:
    run = CliRunner()
    place, other = str(home.bundle.parent), str(bundles["mf"])

    def said(*arguments: str, code: int = 0) -> str:
        got = run.invoke(app, ["deploy", place, *arguments])
        assert got.exit_code == code, got.output
        return got.output

    assert "deployment 0" in said()
    assert "100% of the users" in said(other)
    text = said(str(bundles["popularity"]), "--share", "0.2", "--name", "popular")
    assert "80% of the users" in text
    assert "20% of the users" in text
    assert "shadow" in said(str(bundles["sasrec"]), "--shadow")
    assert len(home.current().variants) == 3
    assert "shadow" not in said("--back")
    assert "--back takes no bundle" in said("--back", other, code=2)
    assert "are about a bundle" in said("--share", "0.1", code=2)
    said(other, "--share", "0.1", "--shadow", code=2)
    assert [variant.name for variant in home.current().variants] == ["main", "popular"]


def test_the_client_says_what_went_wrong(home: Home) -> None:
    with pytest.raises(ServerError, match="no address"):
        Client("localhost:8000")
    with Client("http://127.0.0.1:9", retries=0) as client:
        assert not client.ready()
        with pytest.raises(ServerError, match="is the server running"):
            client.popular()
