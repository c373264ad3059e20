"""A picture of the served page for the docs: ``python docs/screenshot.py RUN FILE.png``, or ``make screenshot``."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from recdistill.serving import Client

_PATIENCE = 120


def main(run: str, file: str) -> None:
    """Serve a run and take the picture."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from recdistill.cli import main; main()", "serve", run, "-p", str(port)]
    server = subprocess.Popen([*command, "--set", "log=none"])
    try:
        with Client(f"http://127.0.0.1:{port}", retries=0) as client:
            end = time.monotonic() + _PATIENCE
            while not client.ready():
                if server.poll() is not None or time.monotonic() > end:
                    sys.exit("error: the server does not answer")
                time.sleep(0.1)
        with sync_playwright() as playwright:
            found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"], timeout=_PATIENCE * 1e3)
            page = browser.new_page(viewport={"width": 1240, "height": 1780}, color_scheme="light")
            page.set_default_timeout(_PATIENCE * 1e3)
            _show(page, f"http://127.0.0.1:{port}")
            page.screenshot(path=file)
            browser.close()
    finally:
        server.terminate()
        server.wait(30)


def _show(page: Page, url: str) -> None:
    page.goto(url)
    first = page.get_by_role("button", name="Person 1")
    first.click()
    page.wait_for_selector("#lists[aria-busy=false] article.teacher")
    page.mouse.move(0, 0)


if __name__ == "__main__":
    main(*(str(Path(argument)) for argument in sys.argv[1:3]))
