"""The demo's output in the READMEs, from its results: numbers are measured, never typed."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from recdistill.cli.output import show_results
from recdistill.reports import ReportData

__all__ = ["fill", "output"]

_BLOCK = re.compile(r"(<!-- demo-output:begin -->\n).*?(<!-- demo-output:end -->)", flags=re.DOTALL)


def fill(text: str, run: Path) -> str:
    """``text`` with the output of ``run`` between its markers."""
    block = f"```text\n{output(run)}\n```\n"
    filled, count = _BLOCK.subn(lambda match: match[1] + block + match[2], text)
    if count != 1:
        raise ValueError(f"found {count} demo-output blocks instead of one")
    return filled


def output(run: Path) -> str:
    """What ``recdistill demo`` prints on stdout, as plain text."""
    page = io.StringIO()
    with contextlib.redirect_stdout(page):
        show_results(ReportData.read(run / "results.json"), run)
    return "\n".join(line.rstrip() for line in page.getvalue().strip("\n").splitlines())
