"""Items that come while a bundle is served, and models side by side, over HTTP."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from recdistill.errors import RunError, ServerError
from recdistill.serving import Bundle, Client, arrivals
from recdistill.serving.arrivals import Arrival, Arrivals
from recdistill.serving.deployment import Home
from recdistill.serving.showcase import Showcase
from tests.serving.http.ask import ask, post
from tests.serving.http.conftest import SPLIT, Start, running


def new(item: str, text: str = "item number about topic 2") -> dict[str, object]:
    return {"items": [{"item": item, "text": text, "title": f"Title of {item}", "categories": ["topic 2"]}]}


def test_a_new_item_can_be_recommended_at_once(shown: str) -> None:
    got = post(shown, "/v1/items", new("n1"))
    assert got.status == 200
    (added,) = got.json["items"]
    assert (added["item"], added["title"], len(added["near"])) == ("n1", "Title of n1", 5)
    assert ask(shown, "GET", "/v1/items/n1").json["categories"] == ["topic 2"]
    listed = post(shown, "/v1/recommend", {"history": [row["item"] for row in added["near"]], "n": 1000}).json
    assert "n1" in [row["item"] for row in listed["items"]]
    served = post(shown, "/v1/compare", {"history": ["i1"], "n": 50}).json["lists"][-1]
    assert all(row["new"] == (row["item"] == "n1") for row in served["items"])
    assert post(shown, "/v1/items", new("n1")).json["items"][0]["item"] == "n1"  # the same again changes nothing
    for refused, status in ((new("n1", "topic 1"), 409), (new("n2", "unheard of"), 409), (new(""), 422)):
        assert post(shown, "/v1/items", refused).status == status
    assert [post(shown, "/v1/items", new(f"m{at}")).status for at in range(3)] == [200, 200, 409]
    assert "as many as there may be" in post(shown, "/v1/items", new("last")).json["error"]


def test_the_client_adds_items(shown: str) -> None:
    item = {"item": "c1", "text": "item number about topic 1"}
    with Client(shown) as shop:
        near = shop.add_items([item])["c1"]
        assert len(near) == 5
        assert near == shop.similar("c1", 5)
        with pytest.raises(ServerError, match="no word of"):
            shop.add_items([item | {"item": "c2", "text": "unheard of"}])


def test_other_servers_restarts_and_later_bundles_have_it_too(run_with_showcase: Path, tmp_path: Path) -> None:
    shutil.copytree(run_with_showcase, tmp_path / "run")
    home = Home.of(tmp_path / "run")
    with running(home) as first, running(home) as second:
        assert post(first, "/v1/items", new("n1")).status == 200
        end = time.monotonic() + 60
        while ask(second, "GET", "/v1/items/n1").status != 200:
            assert time.monotonic() < end
        assert post(second, "/v1/items", new("n1", "topic 1")).status == 409
        assert post(second, "/v1/items", new("n2")).status == 200
    with home.arrivals.open("a") as file:
        file.write('{"item": "half of')  # killed while it wrote
    with running(home) as url:
        assert {ask(url, "GET", f"/v1/items/{item}").status for item in ("n1", "n2")} == {200}
        shutil.copytree(home.bundle, tmp_path / "later")
        home.publish([home.current().variants[0].__class__("main", tmp_path / "later")])
        while ask(url, "GET", "/v1/card").json["deployment"] != 1:
            assert time.monotonic() < end + 60
        assert ask(url, "GET", "/v1/items/n2").status == 200
        assert post(url, "/v1/items", new("n3")).status == 200
    assert [json.loads(line)["item"] for line in home.arrivals.read_text().splitlines() if line.endswith("}")] == [
        "n1", "n2", "n3",
    ]  # fmt: skip


def test_a_bundle_without_a_tower_takes_none_in(start: Start) -> None:
    url = start()
    got = post(url, "/v1/items", new("n1"))
    assert (got.status, "text tower" in got.json["error"]) == (409, True)
    shown: dict[str, object] = {"examples": [], "teacher": None, "new_items": False, "pictures": False}
    assert ask(url, "GET", "/v1/compare").json == shown
    off = start(new_items=0)
    assert "takes in no new items" in post(off, "/v1/items", new("n1")).json["error"]


def test_comparison(shown: str) -> None:
    told = ask(shown, "GET", "/v1/compare").json
    assert (told["teacher"], told["new_items"]) == ("large", True)
    assert told["examples"][0]["history"][0] == {"item": "i1", "title": "Item 1"}
    got = post(shown, "/v1/compare", {"history": ["i1", "i2", "i3"], "n": 5}).json
    assert [one["name"] for one in got["lists"]] == ["student alone", "student distilled", "served (main)"]
    assert got["teacher"]["name"] == "large"
    assert [row["item"] for row in got["teacher"]["items"]] == ["i4", "i5", "i6", "i7", "i8"]
    row = got["teacher"]["items"][0]
    assert (row["next"], row["taught"], row["like"]) == (True, True, None)
    for one in got["lists"]:
        asked = post(shown, "/v1/recommend", {"history": ["i1", "i2", "i3"], "n": 5}).json["items"]
        if one["name"] == "served (main)":
            assert [row["item"] for row in one["items"]] == [row["item"] for row in asked]
        for row in one["items"]:
            assert row["like"] in ("Item 1", "Item 2", "Item 3")
            assert set(row["elsewhere"]) == {other["name"] for other in got["lists"]} - {one["name"]}
            assert all(place >= 1 for place in row["elsewhere"].values())
    nobody = post(shown, "/v1/compare", {"history": ["unknown"], "n": 3}).json
    assert nobody["teacher"] is None
    assert nobody["lists"][0]["items"][0]["like"] is None


def test_several_items_that_came_next_are_counted(run_with_showcase: Path, tmp_path: Path) -> None:
    shutil.copytree(run_with_showcase / "showcase", tmp_path / "showcase")
    file = tmp_path / "showcase" / "showcase.json"
    body = json.loads(file.read_text())
    body["teacher"]["contexts"][0]["next"] = ["i4", "i8", "i30"]
    file.write_text(json.dumps(body))
    history = ["i1", "i2", "i3"]
    found = Showcase(tmp_path / "showcase").compare(Bundle.open(run_with_showcase / "bundle"), "served", history, 10)
    has = {one["name"]: sum(row["next"] for row in one["items"]) for one in found["lists"]}
    said = ", ".join(f"{name} has {count}" for name, count in has.items())
    assert f"Of the 3 items that came next, the teacher has 2, {said}." in found["why"]
    assert not any("What came next was" in sentence for sentence in found["why"])


def test_a_broken_showcase_is_no_reason_not_to_serve(run_with_showcase: Path, tmp_path: Path) -> None:
    shutil.copytree(run_with_showcase, tmp_path / "run")
    (tmp_path / "run" / "showcase" / "showcase.json").write_text('{"version": 99}')
    with running(Home.of(tmp_path / "run")) as url:
        assert ask(url, "GET", "/v1/compare").json["examples"] == []
        assert len(post(url, "/v1/compare", {"history": ["i1"]}).json["lists"]) == 1


def test_an_item_that_cannot_be_written_down_is_not_taken_in(
    run_with_showcase: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, kept = Bundle.open(run_with_showcase / "bundle"), Arrivals(tmp_path / "items.jsonl", 10)

    def full(*_: object, **__: object) -> None:
        raise RunError("no space left on device")

    arrival = Arrival("n1", "item number about topic 2")
    with monkeypatch.context() as patch:
        patch.setattr(arrivals, "append_line", full)
        with pytest.raises(RunError, match="no space"):
            kept.add(arrival, bundle)
    assert bundle.items.find(["n1"])[0] == -1
    kept.add(arrival, bundle)
    assert bundle.items.find(["n1"])[0] == SPLIT.n_items
