"""Items that came after the bundle was made: kept in the home, so that every worker, restart and later bundle has them.

``items.jsonl`` has a line for each, in the order in which they came::

    {"item": "i-1", "title": "A new film", "text": "What it is about.", "categories": ["Drama"]}
"""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import RecdistillError, RunError
from ..files import append_line
from .bundle import Bundle

__all__ = ["Arrival", "Arrivals"]

log = logging.getLogger("recdistill.server")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A new item.

    Attributes:
        item: Its id.
        text: What is known about it.
        title: Its name; the id if empty.
        categories: As other items have them.
    """

    item: str
    text: str
    title: str = ""
    categories: tuple[str, ...] = ()


class Arrivals:
    """The file of new items.

    Args:
        path: Of the file; made with the first item.
        limit: Items, at most.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._limit = path, limit

    def add(self, new: Arrival, bundle: Bundle) -> None:
        """Write an item down for all, then let a bundle take it in; the same item again changes nothing.

        Raises:
            BundleError: The bundle has no text tower.
            DataError: The id is taken, or no word of the text is known.
            RunError: There are as many as there may be.
        """
        with self._locked():
            known = self._read()
            if new in known:
                self._take_in(known, bundle)
                return
            if len(known) >= self._limit:
                what = f"{len(known):,} items were added already, as many as there may be"
                raise RunError(what, where=self._path, hint="make a bundle with them in its catalogue")
            self._take_in(known, bundle)
            bundle.check_item(new.item, new.text)
            torn = _last_byte(self._path) not in (b"", b"\n")
            append_line(self._path, "\n" * torn + json.dumps(asdict(new), ensure_ascii=True), durable=True)
            bundle.add_item(new.item, new.text, title=new.title, categories=new.categories)

    def take_in(self, bundle: Bundle) -> None:
        """Let a bundle take in all that it does not know; one without a text tower takes none."""
        if self._path.exists():
            with self._locked():
                self._take_in(self._read(), bundle)

    def _take_in(self, arrivals: list[Arrival], bundle: Bundle) -> None:
        if bundle.tower is None or not arrivals:
            return
        there = bundle.items.find([new.item for new in arrivals]) >= 0
        for new, known in zip(arrivals, there, strict=True):
            if not known:
                try:
                    bundle.add_item(new.item, new.text, title=new.title, categories=new.categories)
                except RecdistillError as error:  # another tower may know no word of it
                    log.warning("a new item is left out", extra={"fields": {"item": new.item, "reason": str(error)}})

    def _read(self) -> list[Arrival]:
        if not self._path.exists():
            return []
        found = []
        for number, line in enumerate(self._path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            try:
                row = json.loads(line)
                categories = tuple(str(name) for name in row["categories"])
                found.append(Arrival(str(row["item"]), str(row["text"]), str(row["title"]), categories))
            except (ValueError, KeyError, TypeError):  # the last one of a process that was killed
                log.warning("a line is no item", extra={"fields": {"where": f"{self._path}:{number}"}})
        return found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_name(f".{self._path.name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _last_byte(path: Path) -> bytes:
    if not path.exists() or not path.stat().st_size:
        return b""
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1)
