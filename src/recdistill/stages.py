"""The stage cache: each piece of work is done once for the same inputs.

A stage lives in ``stages/NAME/KEY`` of the run directory, where KEY is the hash of its parameters and of the keys of
the stages it reads. ``done.json`` is written last. An unfinished directory stays, so that work which can resume does.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import RunError
from .files import read_json, write_json

__all__ = ["LOCK", "NotDone", "Stage", "Stages"]

log = logging.getLogger("recdistill")

LOCK = ".lock"
"""Name of the lock file of a run directory."""
_CODE = 4
"""Raised when a stage's result would differ for the same inputs; older results are then made again."""


class NotDone(Exception):
    """A stage that is not done, where only finished ones are wanted."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A finished stage.

    Attributes:
        name: For example ``"train/alone"``.
        key: Hash of its inputs: what later stages put into theirs.
        path: Its directory.
        info: What the work returned: JSON-like.
        seconds: How long it took when it was done.
        cached: Whether it was there already.
    """

    name: str
    key: str
    path: Path
    info: dict[str, Any]
    seconds: float
    cached: bool


class Stages:
    """Runs stages in a run directory, or finds them done.

    Args:
        directory: The run directory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.finished: list[Stage] = []
        self._work = True

    def __call__(
        self,
        name: str,
        inputs: Any,
        work: Callable[[Path], dict[str, Any] | None],
        keeps: Callable[[Path], list[str]] | None = None,
    ) -> Stage:
        """Do the work unless it is done.

        Args:
            name: Of the stage; slashes make folders.
            inputs: JSON-like; everything the result depends on, keys of earlier stages among it.
            work: Fills the directory it is given and may return facts to remember.
            keeps: Lists what of its directory later stages need; the work is done again where something of it is gone.
        """
        key = hashlib.sha256(json.dumps([_CODE, name, inputs], sort_keys=True, default=str).encode()).hexdigest()[:16]
        path = self.directory / "stages" / name / key
        done = path / "done.json"
        cached = done.exists()
        if cached and keeps is not None:
            cached = set(read_json(done, RunError).get("keeps", ())) <= set(keeps(path))
        if not cached and not self._work:
            raise NotDone(name)
        if not cached:
            log.info("%s …", name)
            path.mkdir(parents=True, exist_ok=True)
            start = time.monotonic()
            info = work(path) or {}
            record = {"stage": name, "inputs": inputs, "info": info, "seconds": time.monotonic() - start}
            write_json(done, record if keeps is None else record | {"keeps": keeps(path)})
        record = read_json(done, RunError)
        stage = Stage(name, key, path, record["info"], record["seconds"], cached)
        log.info("%s %s", name, "is up to date" if cached else f"took {stage.seconds:.1f} s")
        self.finished.append(stage)
        return stage

    @contextmanager
    def only_finished(self) -> Iterator[None]:
        """Do no work for the time of a block.

        Raises:
            NotDone: A stage is asked for that is not done.
        """
        self._work = False
        try:
            yield
        finally:
            self._work = True

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out of the run directory.

        Raises:
            RunError: Another process is at work in it.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    "another process is working in this run", where=self.directory, hint="wait for it"
                ) from None
            yield
