"""Pages of the site that are files of the repository: ``{{ CONTRIBUTING.md }}`` stands for its text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the file in; its links start from the repository, those of the site from docs/."""
    return re.sub(r"^{{ (\S+) }}$", _text, markdown, flags=re.MULTILINE)


def _text(match: re.Match[str]) -> str:
    return (ROOT / match[1]).read_text(encoding="utf-8").replace("](docs/", "](")
