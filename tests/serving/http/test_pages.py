"""What a browser is shown, in a real one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recdistill.compression import write_bundle
from recdistill.serving.deployment import Home
from recdistill.serving.http.pages import ASSETS
from tests.browser import opened
from tests.pictures import png
from tests.serving.http.ask import ask
from tests.serving.http.conftest import MODELS, SPLIT, Start, running

KEY = "k" * 24


def test_the_documentation_comes_from_here_and_needs_no_key(start: Start) -> None:
    url = start({"shop": KEY})
    for path in ("/docs", *ASSETS):
        assert ask(url, "GET", path).status == 200
    assert ask(url, "GET", "/docs/other").status == 401
    described = ask(url, "GET", "/openapi.json").json
    assert described["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert "securitySchemes" not in ask(start(), "GET", "/openapi.json").json["components"]


def test_a_question_can_be_asked_in_the_documentation(start: Start) -> None:
    with opened(f"{start()}/docs") as page:
        page.get_by_text("Items for a history or a user").click()
        operation = page.locator("#operations-v1-recommend")
        operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table .response").first
        answer.wait_for()
        assert "200" in answer.inner_text()
        assert '"variant": "main"' in answer.inner_text()


def columns(page: Any) -> list[str]:
    page.wait_for_selector("#lists[aria-busy=false] article")
    return [str(name) for name in page.locator("#lists h3").all_inner_texts()]


def test_models_stand_side_by_side_and_the_page_says_why_they_differ(shown: str) -> None:
    with opened(shown) as page:
        assert columns(page) == ["student alone", "student distilled", "served (main)"]
        page.get_by_role("button", name="Person 1").click()
        page.get_by_role("heading", name="large").wait_for()
        assert columns(page)[-1] == "large"
        assert page.locator("#chips li").all_inner_texts() == ["Item 1\n×", "Item 2\n×", "Item 3\n×"]
        assert page.locator("#lists article").nth(1).locator("li").count() == 10
        numbers = page.locator("#lists .numbers").all_inner_texts()
        assert [re.findall(r"float32|int8", text)[0] for text in numbers[:3]] == ["float32", "float32", "int8"]
        assert all(re.search(r"[kM]B · [\d.]+ ms", text) for text in numbers[:3])
        why = page.locator("#why").inner_text()
        assert "Of the teacher's 10 items" in why
        assert "What came next was Item 4" in why
        assert "further into the catalogue" in why or "as popular as each other" in why
        assert "served (main) (int8" in why
        title = page.locator("#lists article").first.locator("li button").first.inner_text()
        page.locator("#lists article").first.locator("li button").first.click()
        page.get_by_label(f"Remove {title}").wait_for()
        assert "large" not in columns(page)  # nobody asked the teacher about this history
        page.get_by_role("button", name="Clear").click()
        page.get_by_text("Without a history everybody gets what is popular").wait_for()


def test_the_page_works_by_keyboard_on_a_phone(shown: str) -> None:
    with opened(shown, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True) as page:
        columns(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "search"
        page.keyboard.type("item 12")
        page.get_by_role("option", name="Item 12", exact=True).wait_for()
        page.keyboard.press("Enter")
        page.get_by_label("Remove Item 12", exact=True).wait_for()
        page.keyboard.type("topic 3")
        page.get_by_role("option").first.wait_for()
        second = page.get_by_role("option").nth(1).inner_text()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.get_by_label(f"Remove {second}", exact=True).wait_for()
        page.keyboard.press("Backspace")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Remove Item 12"
        page.keyboard.press("Enter")
        assert page.locator("#chips li").count() == 0
        assert page.evaluate("document.activeElement.id") == "search"


def test_a_new_item_is_added_by_its_text_and_recommended(shown: str) -> None:
    with opened(shown) as page:
        columns(page)
        page.get_by_label("Title", exact=True).fill("Brand new")
        page.get_by_label("Text", exact=True).fill("item number about topic 2")
        page.get_by_role("button", name="Add it").click()
        page.get_by_text("Brand new is there now").wait_for()
        page.get_by_role("button", name="Recommend to somebody who likes these").click()
        page.get_by_text("like", exact=False).first.wait_for()
        assert page.locator("#chips li").count() == 3
        page.get_by_label("Add an item").fill("brand new")
        page.get_by_role("option", name="Brand new").click()
        page.get_by_label("Remove Brand new").wait_for()
        page.locator("summary").click()
        assert '"title"' in page.locator("#card").inner_text() or '"bundle"' in page.locator("#card").inner_text()
        page.locator("#live dd").first.wait_for()
        assert "requests" in page.locator("#live").inner_text()


@pytest.mark.parametrize("key", [None, KEY])
def test_items_are_shown_with_their_pictures(tmp_path: Path, key: str | None) -> None:
    for at in range(0, SPLIT.n_items, 2):  # every other one has a picture
        (tmp_path / f"{at}.png").write_bytes(png(at % 256))
    names = [f"{at}.png" if at % 2 == 0 else None for at in range(SPLIT.n_items)]
    dataset = replace(SPLIT.dataset, items=replace(SPLIT.dataset.items, images=names))
    model = MODELS["sasrec"].build(SPLIT)
    write_bundle(model, dataset, tmp_path / "run" / "bundle", pictures=tmp_path)
    with running(Home.of(tmp_path / "run"), {"shop": key} if key else None) as url:
        headers = {"x-api-key": key} if key else {}
        got = ask(url, "GET", "/v1/pictures/i2", headers=headers)
        assert (got.status, got.headers["content-type"], got.text) == (200, "image/png", png(2))
        assert got.headers["x-content-type-options"] == "nosniff"
        assert ask(url, "GET", "/v1/pictures/i1", headers=headers).status == 204
        assert ask(url, "GET", "/v1/pictures/gone", headers=headers).status == 404
        if key:
            assert ask(url, "GET", "/v1/pictures/i2").status == 401
        with opened(url, expected="401" if key else None) as page:
            if key:
                page.get_by_label("This server wants a key").fill(key)
                page.get_by_role("button", name="Use it").click()
            columns(page)
            page.keyboard.press("Tab")
            page.get_by_label("Add an item").fill("item 12")
            page.get_by_role("option", name="Item 12", exact=True).click()
            image = page.locator("#chips li img")
            image.wait_for()  # a hidden one is not waited for
            assert page.wait_for_function("document.querySelector('#chips img').naturalWidth === 2")
            assert image.get_attribute("src").startswith("blob:")
            page.wait_for_selector("#lists[aria-busy=false] article")
            shown = page.locator("#lists li")
            for at in range(shown.count()):
                has = int(shown.nth(at).locator("button").inner_text().split()[-1]) % 2 == 0
                assert shown.nth(at).locator("img").is_visible() == has


def test_a_key_is_asked_for(start: Start) -> None:
    url = start({"shop": KEY})
    with opened(url, expected="401") as page:
        page.get_by_label("This server wants a key").fill(KEY)
        page.get_by_role("button", name="Use it").click()
        assert columns(page) == ["served (main)"]
        assert not page.locator("#new").is_visible()
