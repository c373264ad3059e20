"""A real browser for tests: headless Chromium, which must not ask any address but the one under test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["CHROMIUM", "opened"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_PATIENCE = 120_000
"""Milliseconds: a busy machine takes its time to start a browser."""


@contextmanager
def opened(url: str, expected: str | None = None, **settings: Any) -> Iterator[Any]:
    """A page of Playwright that shows an address; afterwards nothing else was asked and nothing went wrong in it.

    Args:
        url: What to open.
        expected: What the browser may complain of.
        settings: Of the page, such as ``viewport`` and ``has_touch``.
    """
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=_PATIENCE)
        page = browser.new_page(**settings)
        page.set_default_timeout(_PATIENCE)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.goto(url)
        yield page
        browser.close()
    host = url.split("/", 3)[2]
    assert [address for address in asked if address.split("/", 3)[2] != host and not address.startswith("data:")] == []
    assert [text for text in wrong if expected is None or expected not in text] == []
