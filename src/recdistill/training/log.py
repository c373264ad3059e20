"""What training writes down: one JSON line per epoch, and TensorBoard events if wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import MissingExtraError
from ..files import append_line, write_text

__all__ = ["EpochLog"]


class EpochLog:
    """Appends the record of each epoch to ``epochs.jsonl``.

    Args:
        directory: Where the log goes, or None to write nothing.
        history: Records of a run that is resumed; the file is brought to exactly these first.
        tensorboard: Write TensorBoard events into ``directory/tensorboard`` too.
    """

    def __init__(self, directory: Path | None, history: list[dict[str, Any]], tensorboard: bool) -> None:
        self._file = None if directory is None else directory / "epochs.jsonl"
        self._board: Any = None
        if self._file is not None:
            write_text(self._file, "".join(json.dumps(record) + "\n" for record in history))
        if tensorboard and directory is not None:
            self._board = _writer(directory / "tensorboard", len(history) + 1)

    def add(self, record: dict[str, Any]) -> None:
        """Write one epoch down."""
        if self._file is not None:
            append_line(self._file, json.dumps(record))
        if self._board is not None:
            for group in ("loss", "valid"):
                for name, value in record.get(group, {}).items():
                    self._board.add_scalar(f"{group}/{name}", value, record["epoch"])
            self._board.flush()

    def close(self) -> None:
        """Flush and close."""
        if self._board is not None:
            self._board.close()


def _writer(path: Path, epoch: int) -> Any:
    """A writer that takes the place of what an interrupted run wrote from ``epoch`` on."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "tensorboard", "track") from None
    return SummaryWriter(str(path), purge_step=epoch)
