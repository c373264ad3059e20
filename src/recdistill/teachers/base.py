"""Base of the teachers that are described by their parameters alone: encoders and imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from ..config import Config
from ..data.dataset import Split
from ..knowledge import Knowledge

__all__ = ["TeacherConfig"]


class TeacherConfig(Config):
    """Parameters of a teacher that needs no fitting."""

    leaves: ClassVar[frozenset[str] | None] = None
    """Kinds of knowledge, as terms read them (``ObjectiveConfig.reads``); None: that depends."""

    def uses(self) -> tuple[str, ...]:
        """Names of the teachers whose knowledge it needs."""
        return ()

    def reads_log(self) -> bool:
        """Whether it looks at interactions; if not, another split of the same catalogue asks it nothing new."""
        return False

    def inputs(self) -> tuple[str, ...]:
        """Hashes of the files that it reads: another content under the same name is another teacher."""
        return ()

    def at(self, base: Path) -> Self:
        """The same, with the relative paths among its parameters starting from a folder."""
        files = {key: base / value for key, value in self if isinstance(value, Path)}
        return self.replace(**files) if files else self

    def teach(
        self, split: Split, path: str | Path, name: str | None = None, knowledge: Knowledge | None = None
    ) -> dict[str, Any]:
        """Write all that it knows about a split below ``path``; goes on where an interrupted call stopped.

        Args:
            split: The data.
            path: Directory; sealed stores lie below it afterwards.
            name: What students call the teacher; the component's name if None.
            knowledge: Of the teachers that it uses.

        Returns:
            Facts for a report.
        """
        raise NotImplementedError(f"{type(self).__name__} is not a teacher")
