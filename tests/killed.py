"""A training in a process of its own that is killed in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["killed_after"]

_PATIENCE = 300


def killed_after(epochs: int, folder: Path, *arguments: str) -> int:
    """Run Python with the arguments until a log of epochs in the folder has so many lines, then ``kill -9``.

    Returns:
        The lines of the longest log at the end.
    """
    child = subprocess.Popen([sys.executable, *arguments], cwd=Path(__file__).parents[1])
    deadline = time.monotonic() + _PATIENCE
    while _epochs(folder) < epochs:
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    return _epochs(folder)


def _epochs(folder: Path) -> int:
    return max((log.read_text().count("\n") for log in folder.rglob("epochs.jsonl")), default=0)
