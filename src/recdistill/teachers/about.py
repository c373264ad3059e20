"""What a teacher is asked about: the items that another model would recommend now."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..models.base import RankingModel

__all__ = ["About", "fingerprint_of"]


class About:
    """The best items of a model, or a draw of items from its probabilities.

    Args:
        model: Whose items; a student in training.
        temperature: Of the softmax that items are drawn from, without replacement; None for the best.
        seed: Of the draw: equal seeds draw equal items at a position, whatever else is asked.
    """

    def __init__(self, model: RankingModel, temperature: float | None = None, seed: int = 0) -> None:
        self.model, self.temperature, self.seed = model, temperature, seed

    def fingerprint(self) -> str:
        """Hash over the model as it is now and the draw: 16 hex digits."""
        text = f"{fingerprint_of(self.model)} {self.temperature} {self.seed}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def drawn(self, scores: Tensor, positions: npt.NDArray[np.int64]) -> Tensor:
        """Values whose ``k`` greatest are the items: float32 ``[n, n_items]``.

        Log-probabilities plus Gumbel noise are a draw without replacement (Kool et al. 2019,
        https://arxiv.org/abs/1903.06059).

        Args:
            scores: float32 ``[n, n_items]``, those of the model; -inf = cannot be.
            positions: int64 ``[n]``.
        """
        if self.temperature is None:
            return scores
        chance = uniform(torch.from_numpy(positions), scores.shape[1], self.seed).to(scores.device)
        return scores / self.temperature - torch.log(-torch.log(chance))


def uniform(rows: Tensor, columns: int, seed: int) -> Tensor:
    """A number in (0, 1) for every row and column, the same wherever the row stands: float32 ``[n, columns]``.

    The finaliser of SplitMix64 (Steele et al. 2014, https://doi.org/10.1145/2660193.2660195) over a counter.
    """
    mixed = rows[:, None] * columns + torch.arange(columns) + seed * 0x632BE59BD9B4E019 % (1 << 62)
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15), (31, 1)):
        mixed = (mixed ^ (mixed >> shift & (1 << 64 - shift) - 1)) * factor  # a logical shift, of signed numbers
    return ((mixed >> 11 & (1 << 23) - 1).float() + 0.5) / (1 << 23)


def fingerprint_of(model: RankingModel) -> str:
    """Hash over a model's parameters and everything it learned: 16 hex digits."""
    digest = hashlib.sha256(model.config.digest().encode())
    for name, value in sorted(model.tensors().items()):
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:16]
