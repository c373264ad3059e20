"""Some candidates of each of several generators."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from ....data.dataset import Contexts, Split
from ....errors import ConfigError
from ....knowledge import Knowledge
from ....registry import component_field
from . import CANDIDATES
from .base import Candidates, CandidatesConfig, Ints, Items

__all__ = ["MixedCandidates"]

if TYPE_CHECKING:
    Part = CandidatesConfig
else:
    Part = component_field(CANDIDATES)


class MixedCandidates(CandidatesConfig):
    """Each part gives its ``n``; what an earlier part gave is passed over, and random items fill the places left."""

    name: ClassVar[str] = "mixed"

    parts: list[Part] = Field(min_length=1, description="generators, each with its own n")

    @model_validator(mode="after")
    def _fits(self) -> MixedCandidates:
        total = sum(part.n for part in self.parts)
        if total > self.n:
            raise ConfigError(f"the parts give {total} items, n is {self.n}", key=("n",), hint=f"set n to {total}")
        return self

    def uses(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.uses())

    def prepare(self, split: Split, knowledge: Knowledge) -> Candidates:
        return _Mixed([part.prepare(split, knowledge) for part in self._filled()], self.n)

    def prepare_without(self, split: Split, left_out: npt.NDArray[np.bool_], knowledge: Knowledge) -> Candidates:
        return _Mixed([part.prepare_without(split, left_out, knowledge) for part in self._filled()], self.n)

    def _filled(self) -> list[CandidatesConfig]:
        return [*self.parts, CANDIDATES["random"].load()(n=2 * self.n)]  # enough, whatever of it was given before


class _Mixed(Candidates):
    def __init__(self, parts: list[Candidates], n: int) -> None:
        self.parts, self.n = parts, n

    def draw(self, contexts: Contexts, positions: Ints, seed: int) -> Items:
        drawn = np.concatenate(
            [part.draw(contexts, positions, seed + number) for number, part in enumerate(self.parts)], axis=1
        )
        out = np.full((len(contexts), self.n), -1, dtype=np.int32)
        for row, items in enumerate(drawn):
            kept = list(dict.fromkeys(items[items >= 0].tolist()))[: self.n]
            out[row, : len(kept)] = kept
        return out
