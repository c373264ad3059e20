"""Progress: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys

import pytest

from recdistill import progress
from recdistill.progress import track


def test_lines_say_rate_and_time_left(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    with caplog.at_level(logging.INFO, "recdistill"), track("encode", 4, "items", done=1) as bar:
        bar.advance(1, "fast")
        bar.advance(2)
    first, last = caplog.messages
    assert first.startswith("encode: 2/4 items, ")
    assert "items/s" in first
    assert first.endswith("s left, fast")
    assert last.startswith("encode: 4/4 items, ")


def test_a_slow_rate_is_not_rounded_to_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 40.0])
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    monkeypatch.setattr("recdistill.progress.time.monotonic", lambda: next(clock, 40.0))
    with caplog.at_level(logging.INFO, "recdistill"), track("train", 3, "epochs") as bar:
        bar.advance()
    assert caplog.messages[0] == "train: 1/3 epochs, 0.025 epochs/s, 80 s left"


def test_few_lines_for_fast_work(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "recdistill"), track("encode", 1000) as bar:
        for _ in range(1000):
            bar.advance()
    assert len(caplog.messages) == 1


def test_a_bar_on_a_terminal() -> None:
    code = (
        "from recdistill.progress import track\n"
        "with track('encode', 20, 'items') as bar:\n"
        "    bar.advance(5, 'slow')\n"
        "    bar.advance(15, 'done so')\n"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    run = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert run.wait() == 0
    assert b"encode" in shown
    assert b"20/20 items" in shown
    assert b"done so" in shown
