"""The choice of ALKDRec: as much gain as can be had if the answers are as bad as they may be."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from .base import Doubles, Ints, Need, Outlook, SelectorConfig, needed
from .disagreement import agreed

__all__ = ["ALKDRec", "policy"]

_DEPTHS = (1, 5, 10, 20)


class ALKDRec(SelectorConfig):
    """A random choice whose probabilities maximise the smallest gain of distillation.

    Du et al. 2025, https://arxiv.org/abs/2502.15685. Contexts are sorted by how many of their first 1, 5, 10 and 20
    items the student and a larger recommender (``against``) have in common, the fewest first. Of ``N`` the i-th
    gains ``g_i = i^-decay`` if the answer is effective; as losses are taken half of it, ``l_i = f_i = g_i / 2``, for a
    wrong answer and for one that says nothing new. Against an adversary who decides which answers are which, bound to
    shares of the contexts, the best draw takes the first ``K`` contexts with probabilities proportional to
    ``1 / (f_i + l_i)``, or to ``1 / (g_i + l_i)`` for the last ``similar`` share of all, and the others never;
    ``K`` has the greatest value of the game, ``(G_K + N (similar + effective − 1)) / H_K``, where ``G`` sums
    ``f / (f + l)`` (``g / (g + l)`` in the last share) and ``H`` the inverse sums. After every draw it is made anew.

    Constants and formulas are those of the authors' published notebooks; the names of the two shares, and the reading
    of ``f``, are ours. As ``1 / g_i`` rises with the tenth power of i, nearly all that is drawn lies just below ``K``.
    """

    name: ClassVar[str] = "alkdrec"

    decay: float = Field(10.0, ge=0, description="how fast the gain falls along the sorted contexts")
    similar: float = Field(0.1, ge=0, le=1, description="share of answers that say what the recommender says")
    effective: float = Field(0.5, ge=0, le=1, description="share of answers that are right and new")

    def needs(self) -> frozenset[Need]:
        return frozenset({"student", "beside"})

    def check(self, against: str | None) -> None:
        needed(against, self.name)

    def pick(self, outlook: Outlook, n: int, rng: np.random.Generator) -> Ints:
        assert outlook.student is not None
        assert outlook.beside is not None
        common = agreed(outlook.student.items, outlook.beside.items, _DEPTHS[-1])
        shared = common[:, [depth - 1 for depth in _DEPTHS]].mean(axis=1)
        drawn = rng.permutation(outlook.n)
        left = drawn[np.argsort(shared[drawn], kind="stable")]
        chosen = np.zeros(min(n, outlook.n), dtype=np.int64)
        for place in range(len(chosen)):
            at = int(rng.choice(len(left), p=policy(len(left), self.decay, self.similar, self.effective)))
            chosen[place] = left[at]
            left = np.delete(left, at)
        return chosen


def policy(n: int, decay: float, similar: float, effective: float) -> Doubles:
    """Probabilities of ``n`` contexts in their order, float64 ``[n]``: the formulas of :class:`ALKDRec`.

    Gains are taken relative to the last one, of which the probabilities do not depend on and which cannot overflow.
    """
    gain = (np.arange(1, n + 1) / n) ** -decay
    loss, nothing_new = 0.5 * gain, 0.5 * gain
    early = int(n * (1 - similar))
    held = np.where(np.arange(n) < early, nothing_new, gain)
    inverse = 1 / (held + loss)
    value = (np.cumsum(held * inverse) + n * (similar + effective - 1)) / np.cumsum(inverse)
    last = int(np.argmax(value))
    p = np.where(np.arange(n) < max(last, 1), inverse, 0.0)
    return np.asarray(p / p.sum())
