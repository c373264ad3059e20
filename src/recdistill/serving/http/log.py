"""The server's log: one JSON object for each line, on stderr."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import orjson

__all__ = ["JsonLines", "start_log"]

_NAMES = ("recdistill", "uvicorn", "uvicorn.error")
_OURS = "fields"


class JsonLines(logging.Formatter):
    """A record as JSON: time, level, logger, message, and what was given as ``extra={"fields": {…}}``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, _OURS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def start_log() -> None:
    """Send what we and uvicorn say to stderr, as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in _NAMES:
        log = logging.getLogger(name)
        log.handlers[:], log.propagate = [], False
        log.setLevel(logging.INFO)
    for name in ("recdistill", "uvicorn"):
        logging.getLogger(name).handlers[:] = [handler]
    logging.getLogger("uvicorn.error").propagate = True
    logging.getLogger("uvicorn.access").handlers[:] = []
    logging.getLogger("uvicorn.access").propagate = False
