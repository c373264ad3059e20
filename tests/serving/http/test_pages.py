"""What a browser is shown, in a real one."""

from __future__ import annotations

from recdistill.serving.http.pages import ASSETS
from tests.browser import opened
from tests.serving.http.ask import ask
from tests.serving.http.conftest import Start

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
