"""An audit as it is kept in a run directory: ``audit/TEACHER.json``."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ..config import read_model
from ..files import write_text
from .audit import Audit

__all__ = ["Audited"]

_FOLDER = "audit"


class Audited(BaseModel):
    """One teacher's audit; its JSON form is the fields as they stand here."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    teacher: str = Field(description="its id")
    task: str = Field(description="what it is asked")
    found: Audit = Field(description="the numbers")
    verdict: str = Field(description="whether it is worth it, in words")
    warnings: tuple[str, ...] = Field(description="what else one should know")
    drawn: bool = Field(
        description="whether the lists are those of the task's generator, not the right item among random others"
    )
    counts: dict[str, int] = Field(description="what became of the questions")
    tokens: tuple[int, int] = Field(description="read and written for this audit; 0 for what was in the journal")
    terms: tuple[str, ...] = Field((), description="keys of the recipe's weights that its share is meant for")

    def write(self, run: Path) -> None:
        """Keep it in a run directory, atomically."""
        write_text(run / _FOLDER / f"{self.teacher}.json", self.model_dump_json(indent=2))

    @classmethod
    def of_run(cls, run: Path) -> tuple[Audited, ...]:
        """All that are kept in a run directory, by name.

        Raises:
            RunError: One of them cannot be read.
        """
        again = "audit again: recdistill audit RECIPE"
        files = sorted((run / _FOLDER).glob("*.json"))
        return tuple(read_model(cls, file, absent=again, broken=again) for file in files)
