from __future__ import annotations

from pathlib import Path

import pytest

from recdistill.serving import Bundle, Diversity
from recdistill.serving.deployment import Home
from tests.serving.http.ask import ask, post
from tests.serving.http.conftest import Start


def test_recommend_gives_what_the_bundle_gives(start: Start, bundles: dict[str, Path]) -> None:
    bundle, url = Bundle.open(bundles["sasrec"]), start()
    got = post(url, "/v1/recommend", {"history": ["i3", "i7", "nothing"], "n": 7, "deny": ["i11", "i12"]}).json
    expected = bundle.recommend(["i3", "i7"], 7, deny=["i11", "i12"])
    assert [row["item"] for row in got["items"]] == [row.item for row in expected]
    assert [row["score"] for row in got["items"]] == pytest.approx([row.score for row in expected], rel=1e-5)
    assert got["items"][0]["title"] == expected[0].title
    assert (got["variant"], got["unknown"]) == ("main", ["nothing"])


def test_the_history_may_come_back_if_asked(start: Start) -> None:
    url = start()
    best = post(url, "/v1/recommend", {"n": 1}).json["items"][0]["item"]
    with_it = post(url, "/v1/recommend", {"history": [best], "n": 1000, "exclude_history": False}).json["items"]
    without = post(url, "/v1/recommend", {"history": [best], "n": 1000}).json["items"]
    assert {row["item"] for row in with_it} - {row["item"] for row in without} == {best}


def test_a_batch_gives_what_single_questions_give(start: Start) -> None:
    url = start()
    questions = [{"history": [f"i{k}", f"i{k + 1}"], "n": 3 + k, "deny": [f"i{k + 2}"]} for k in range(5)] + [{"n": 4}]
    together = post(url, "/v1/recommend/batch", {"requests": questions}).json["answers"]
    for question, answer in zip(questions, together, strict=True):
        alone = post(url, "/v1/recommend", question).json
        assert [row["item"] for row in answer["items"]] == [row["item"] for row in alone["items"]]


def test_similar_and_popular_and_items(start: Start, bundles: dict[str, Path]) -> None:
    bundle, url = Bundle.open(bundles["sasrec"]), start()
    similar = post(url, "/v1/similar", {"item": "i5", "n": 4}).json["items"]
    assert [row["item"] for row in similar] == [row.item for row in bundle.similar("i5", 4)]
    both = post(url, "/v1/similar/batch", {"requests": [{"item": "i5", "n": 4}, {"item": "i6"}]}).json["answers"]
    assert both[0]["items"] == similar
    assert len(both[1]["items"]) == 10
    assert post(url, "/v1/similar", {"item": "x"}).status == 404
    popular = post(url, "/v1/popular", {"n": 3}).json["items"]
    assert [row["item"] for row in popular] == [row.item for row in bundle.recommend([], 3)]
    told = post(url, "/v1/items/batch", {"items": ["i5", "x"]}).json
    assert told["unknown"] == ["x"]
    assert told["items"][0] == {
        "item": "i5", "title": "Item 5",
        "categories": list(bundle.items.categories[5]) if bundle.items.categories else [],
        "popularity": int(bundle.popularity[5]),
    }  # fmt: skip

    assert ask(url, "GET", "/v1/items/i5").json == told["items"][0]
    assert ask(url, "GET", "/v1/items/a/b%2Fc").status == 404


def test_search(start: Start, bundles: dict[str, Path]) -> None:
    bundle, url = Bundle.open(bundles["sasrec"]), start()
    found = post(url, "/v1/search", {"text": "item 17", "n": 4}).json["items"]
    assert [row["item"] for row in found] == [row.item for row in bundle.search("item 17", 4)]
    both = post(url, "/v1/search/batch", {"requests": [{"text": "item 17", "n": 4}, {"text": "nothing"}]}).json
    assert [answer["items"] for answer in both["answers"]] == [found, []]


def test_filters_and_variety(start: Start, bundles: dict[str, Path]) -> None:
    bundle, url = Bundle.open(bundles["sasrec"]), start()
    only = {"where": {"items": ["i5", "i6", "i7"]}}
    for path, more in (
        ("recommend", {"history": ["i5"]}), ("similar", {"item": "i5"}), ("popular", {}), ("search", {"text": "item"}),
    ):  # fmt: skip
        got = post(url, f"/v1/{path}", only | more).json["items"]
        assert {row["item"] for row in got} <= {"i5", "i6", "i7"}
        assert got
    varied = post(url, "/v1/recommend", {"history": ["i5"], "diversity": {"weight": 0.9}}).json["items"]
    expected = bundle.recommend(["i5"], diversity=Diversity(0.9))
    assert [row["item"] for row in varied] == [row.item for row in expected]
    for where in ({}, {"nothing": 1}, {"category": ["no such"]}, {"attribute": "x"}, {"all": [{"any": 1}]}):
        assert post(url, "/v1/recommend", {"where": where}).status == 422
    assert post(url, "/v1/recommend", {"diversity": {"weight": 2}}).status == 422


def test_trends_need_time(start: Start, home: Home, bundles: dict[str, Path]) -> None:
    bundle, got = Bundle.open(bundles["sasrec"]), post(start(), "/v1/popular", {"trending": True})
    if bundle.shelf.trend is None:
        assert got.status == 409
    else:
        assert [row["item"] for row in got.json["items"]] == [row.item for row in bundle.popular(trending=True)]


def test_a_user_is_answered_from_their_first_event_on(start: Start) -> None:
    url = start()
    nobody = post(url, "/v1/recommend", {"n": 5}).json["items"]
    assert post(url, "/v1/recommend", {"user": "new", "n": 5}).json["items"] == nobody
    event = {"id": "1", "user": "new", "item": "i9"}
    assert post(url, "/v1/feedback", {"events": [event, event]}).json == {"stored": 1, "known": 1}
    known = post(url, "/v1/recommend", {"user": "new", "n": 5}).json["items"]
    assert known == post(url, "/v1/recommend", {"history": ["i9"], "n": 5}).json["items"]
    assert known != nobody


def test_dislikes_are_no_history(start: Start) -> None:
    url = start()
    post(url, "/v1/feedback", {"events": [{"id": "1", "user": "u", "item": "i9", "type": "dislike"}]})
    assert post(url, "/v1/recommend", {"user": "u"}).json["items"] == post(url, "/v1/recommend", {}).json["items"]


def test_the_open_inference_protocol(start: Start) -> None:
    url = start()
    assert ask(url, "GET", "/v2").json["name"] == "recdistill"
    assert ask(url, "GET", "/v2/health/live").status == ask(url, "GET", "/v2/health/ready").status == 200
    assert ask(url, "GET", "/v2/models/recommend/ready").json == {"name": "recommend", "ready": True}
    assert ask(url, "GET", "/v2/models/other").status == 404
    told = ask(url, "GET", "/v2/models/recommend").json
    assert [tensor["name"] for tensor in told["inputs"] + told["outputs"]] == ["history", "items", "scores"]
    flat = {"name": "history", "shape": [2, 2], "datatype": "BYTES", "data": ["i3", "i7", "i9", ""]}
    nested = flat | {"data": [["i3", "i7"], ["i9", ""]]}
    asked = {"id": "q", "inputs": [flat], "parameters": {"n": 3}}
    answer = post(url, "/v2/models/recommend/infer", asked).json
    assert post(url, "/v2/models/recommend/infer", asked | {"inputs": [nested]}).json == answer
    assert (answer["model_name"], answer["id"]) == ("recommend", "q")
    items = next(tensor for tensor in answer["outputs"] if tensor["name"] == "items")
    expected = [
        row["item"]
        for history in (["i3", "i7"], ["i9"])
        for row in post(url, "/v1/recommend", {"history": history, "n": 3}).json["items"]
    ]
    assert (items["shape"], items["data"]) == ([2, 3], expected)


def test_tensors_that_do_not_fit_are_refused(start: Start) -> None:
    url = start()
    good = {"name": "history", "shape": [1, 2], "datatype": "BYTES", "data": ["i3", "i7"]}
    for bad in ({"shape": [2, 2]}, {"data": ["i3", 7]}, {"data": [["i3"], "i7"]}, {"data": [["i3"], ["i7", "i8"]]}):
        assert post(url, "/v2/models/recommend/infer", {"inputs": [good | bad]}).status == 400
    assert post(url, "/v2/models/recommend/infer", {"inputs": [good | {"datatype": "FP32"}]}).status == 422


def test_short_lists_are_filled_up_in_tensors(start: Start) -> None:
    tensor = {"name": "history", "shape": [1, 1], "datatype": "BYTES", "data": ["i3"]}
    answer = post(start(), "/v2/models/recommend/infer", {"inputs": [tensor], "parameters": {"n": 302}}).json
    items, scores = answer["outputs"]
    assert items["shape"] == scores["shape"] == [1, 302]
    assert items["data"][299:] == ["", "", ""]
    assert scores["data"][299:] == [0.0, 0.0, 0.0]


def test_the_card_says_what_is_served(start: Start) -> None:
    told = ask(start(), "GET", "/v1/card").json
    assert (told["deployment"], told["refused"]) == (0, "")
    assert told["variants"][0]["model"] == "sasrec"
    assert "bundle" in told["card"]


def test_every_answer_has_the_documented_form(start: Start) -> None:
    url = start()
    api = ask(url, "GET", "/openapi.json").json
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            if method == "post":
                schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                for example in api["components"]["schemas"][schema]["examples"]:
                    got = post(url, path.replace("{model}", "recommend"), example)
                    # items of the examples need not be there, nor a text tower
                    assert got.status in (200, 404, 409 if path == "/v1/items" else 200), (path, example, got.text)
            else:
                place = path.replace("{model}", "recommend").replace("{item}", "i1")
                # an item without a picture is answered with nothing
                assert ask(url, "GET", place).status in (200, 204 if "/pictures/" in path else 200), path


def test_metrics_count_requests_by_route(start: Start) -> None:
    url = start()
    post(url, "/v1/recommend", {"history": ["i1"]})
    ask(url, "GET", "/v2/models/some/ready")
    ask(url, "GET", "/any/other/path")
    text = ask(url, "GET", "/metrics").text.decode()
    assert 'recdistill_requests_total{route="/v1/recommend",status="200"} 1.0' in text
    assert 'recdistill_requests_total{route="/v2/models/{model}/ready",status="404"} 1.0' in text
    assert 'recdistill_requests_total{route="other",status="404"} 1.0' in text
    assert "recdistill_requests_running 1.0" in text
