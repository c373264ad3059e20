from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recdistill.compression import write_bundle
from recdistill.serving import Bundle
from recdistill.serving.deployment import Home, Variant
from tests.serving.http.ask import ask, post
from tests.serving.http.conftest import MODELS, SPLIT, Start, running


def until(true: Callable[[], bool], patience: float = 10.0) -> None:
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def model(url: str) -> Any:
    return ask(url, "GET", "/v1/card").json["variants"][0]["model"]


def test_a_new_bundle_is_swapped_in_and_back_while_requests_run(
    start: Start, home: Home, bundles: dict[str, Path]
) -> None:
    url, stop, statuses = start(), threading.Event(), []

    def load() -> None:
        while not stop.is_set():
            statuses.append(post(url, "/v1/recommend", {"history": ["i1"]}).status)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert model(url) == "sasrec"
    for name in ("mf", "popularity", "mf"):
        home.publish([Variant("main", bundles[name])])
        until(lambda name=name: model(url) == name)  # type: ignore[misc]
    home.roll_back()
    until(lambda: model(url) == "popularity")
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}
    text = ask(url, "GET", "/metrics").text.decode()
    assert 'recdistill_swaps_total{outcome="done"} 4.0' in text
    assert "recdistill_deployment 4.0" in text


def test_a_deployment_that_cannot_be_opened_is_refused(start: Start, home: Home, bundles: dict[str, Path]) -> None:
    url = start()
    home.publish([Variant("main", bundles["mf"])])
    until(lambda: model(url) == "mf")
    file = home.path / "deployment.json"
    body = json.loads(file.read_text())
    body["now"]["variants"][0]["bundle"] = "gone"
    file.write_text(json.dumps(body))
    until(lambda: bool(ask(url, "GET", "/v1/card").json["refused"]))
    assert model(url) == "mf"
    assert post(url, "/v1/recommend", {}).status == 200
    home.publish([Variant("main", bundles["sasrec"])])
    until(lambda: model(url) == "sasrec")
    assert ask(url, "GET", "/v1/card").json["refused"] == ""


def test_variants_answer_their_users_and_shadows_nobody(start: Start, home: Home, bundles: dict[str, Path]) -> None:
    home.publish(
        [
            Variant("a", bundles["sasrec"]),
            Variant("b", bundles["popularity"], 0.5),
            Variant("c", bundles["mf"], shadow=True),
        ]
    )
    url = start()
    answered = {k: post(url, "/v1/recommend", {"user": f"u{k}", "history": ["i1"]}).json for k in range(40)}
    assert {answer["variant"] for answer in answered.values()} == {"a", "b"}
    again = [post(url, "/v1/recommend", {"user": f"u{k}", "history": ["i1"]}).json["variant"] for k in range(40)]
    assert again == [answer["variant"] for answer in answered.values()]
    together = {"requests": [{"user": f"u{k}", "history": ["i1"]} for k in range(40)]}
    batch = post(url, "/v1/recommend/batch", together).json["answers"]
    assert [answer["variant"] for answer in batch] == again
    events = [{"id": str(k), "user": f"u{k}", "item": "i5", "type": "click"} for k in range(20)]
    post(url, "/v1/feedback", {"events": events})

    def told() -> dict[str, Any]:
        return {variant["name"]: variant for variant in ask(url, "GET", "/v1/report").json["variants"]}

    until(lambda: told()["c"]["compared"] == 120)
    report = told()
    assert report["a"]["answers"] + report["b"]["answers"] == 120
    assert report["c"]["answers"] == 0
    assert 0 <= report["c"]["overlap"] <= 1
    assert report["a"]["events"].get("click", 0) + report["b"]["events"].get("click", 0) == 20
    assert report["a"]["milliseconds"] > 0
    rate = report["b"]["rates"]["click"]
    assert rate["per_answer"] == report["b"]["events"]["click"] / report["b"]["answers"]
    assert rate["low"] < rate["difference"] < rate["high"]
    assert set(report["a"]["rates"]["click"]) == {"per_answer"}


def test_a_shadow_that_fails_harms_nobody(
    start: Start,
    home: Home,
    bundles: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from recdistill.serving.http import service

    home.publish([Variant("a", bundles["sasrec"]), Variant("c", bundles["mf"], shadow=True)])
    url = start()
    real = service._lists

    def lists(bundle: Any, questions: Any) -> Any:
        if bundle.manifest.model == "mf":
            raise RuntimeError("the shadow")
        return real(bundle, questions)

    monkeypatch.setattr(service, "_lists", lists)
    assert post(url, "/v1/recommend", {"history": ["i1"]}).status == 200
    until(lambda: "a shadow failed" in caplog.text)


def test_a_failure_that_passes_is_tried_again(
    start: Start, home: Home, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, open_ = start(), Bundle.open
    failed = threading.Event()

    def full(*args: object, **settings: object) -> Bundle:
        if threading.current_thread().name.startswith("look") and not failed.is_set():
            failed.set()
            raise OSError("too many open files")
        return open_(*args, **settings)

    monkeypatch.setattr(Bundle, "open", full)
    home.publish([Variant("main", bundles["mf"])])
    until(lambda: model(url) == "mf")
    assert failed.is_set()
    assert 'recdistill_swaps_total{outcome="refused"} 1.0' in ask(url, "GET", "/metrics").text.decode()


def test_a_user_of_the_log_has_the_history_of_the_bundle(home: Home) -> None:
    shutil.rmtree(home.bundle)
    write_bundle(MODELS["sasrec"].build(SPLIT), SPLIT.dataset, home.bundle, users=True)
    bundle = Bundle.open(home.bundle)
    with running(home) as url:
        known = post(url, "/v1/recommend", {"user": "u7"}).json["items"]
        assert [row["item"] for row in known] == [one.item for one in bundle.recommend(user="u7")]
        events = [{"id": "e1", "user": "u7", "item": "i5"}]
        assert post(url, "/v1/feedback", {"events": events}).json["stored"] == 1
        later = post(url, "/v1/recommend", {"user": "u7"}).json["items"]
        assert [row["item"] for row in later] == [one.item for one in bundle.recommend(["i5"], user="u7")]
        given = post(url, "/v1/recommend", {"user": "u7", "history": ["i1"]}).json["items"]
        assert [row["item"] for row in given] == [one.item for one in bundle.recommend(["i1"])]
