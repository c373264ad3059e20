"""Any contexts: what every other way to choose has to be better than."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .base import Ints, Outlook, SelectorConfig

__all__ = ["RandomSelector"]


class RandomSelector(SelectorConfig):
    """Contexts drawn at random, each as likely."""

    name: ClassVar[str] = "random"

    def pick(self, outlook: Outlook, n: int, rng: np.random.Generator) -> Ints:
        return rng.permutation(outlook.n)[:n].astype(np.int64)
