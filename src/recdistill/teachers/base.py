"""Base of the teachers that are described by their parameters alone: encoders and imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ..config import Config
from ..data.dataset import Split

__all__ = ["TeacherConfig"]


class TeacherConfig(Config):
    """Parameters of a teacher that needs no fitting."""

    reads_histories: ClassVar[bool] = False
    """True if what it says depends on the training events, not on the catalogue alone."""

    def teach(self, split: Split, path: str | Path, name: str | None = None) -> dict[str, Any]:
        """Write all that it knows about a split below ``path``; goes on where an interrupted call stopped.

        Args:
            split: The data.
            path: Directory; sealed stores lie below it afterwards.
            name: What students call the teacher; the component's name if None.

        Returns:
            Facts for a report.
        """
        raise NotImplementedError(f"{type(self).__name__} is not a teacher")
