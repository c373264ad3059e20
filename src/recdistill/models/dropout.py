"""Dropout whose mask is drawn quickly on a CPU, where torch draws one number after another by a slow generator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Dropout", "dropout"]

_LEVELS = 1 << 16


class Dropout(nn.Module):
    """:func:`dropout` as a layer.

    Args:
        rate: Share of numbers that become 0 in training, in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.rate, self.training)


def dropout(x: Tensor, rate: float, training: bool = True) -> Tensor:
    """Inverted dropout (Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html).

    The mask follows from torch's global generator, so equal seeds give equal masks. On a CPU the generator only seeds a
    faster one (SFC64), whose bits are compared 16 at a time: the rate is met to 1/65,536, and the numbers that stay are
    scaled by exactly what was met.

    Args:
        x: Any shape.
        rate: Share of numbers that become 0, in [0, 1).
        training: False leaves ``x`` as it is.
    """
    threshold = round(rate * _LEVELS)
    if not training or not threshold:
        return x
    if x.device.type != "cpu":
        return functional.dropout(x, rate)
    seed = int(torch.randint(1 << 62, ()))
    words = np.random.Generator(np.random.SFC64(seed)).integers(0, 1 << 64, -(-x.numel() // 4), dtype=np.uint64)
    bits = words.view(np.uint16)[: x.numel()]
    scale = np.float32(_LEVELS / (_LEVELS - threshold))
    mask = torch.from_numpy(np.multiply(bits >= threshold, scale))  # torch takes ten times as long for the same
    return x * mask.reshape(x.shape).to(x.dtype)
