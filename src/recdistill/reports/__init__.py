"""Reports: the results of a run as one HTML page, as a table in the terminal, and as a sentence."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "ReportData",
    "audit_table",
    "compression_console",
    "compression_table",
    "console_table",
    "judge",
    "refresh_run_report",
    "write_report",
    "write_run_report",
]

_PLACES = {
    "ReportData": "results",
    "audit_table": "audit",
    "compression_console": "compression",
    "compression_table": "compression",
    "console_table": "terminal",
    "judge": "verdict",
    "refresh_run_report": "page",
    "write_report": "page",
    "write_run_report": "page",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"recdistill.reports has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
