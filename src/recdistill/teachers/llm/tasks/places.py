"""A model's liking for places, taken off what it says of the things that stood there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["without_places"]

Doubles = npt.NDArray[np.float64]
_NOTHING = 1e-12


def without_places(p: Doubles) -> Doubles:
    """Probabilities divided by what their place gets on average (Zheng et al. 2024, https://arxiv.org/abs/2309.03882).

    What stands where is drawn at random, so a place has no reason of its own to get more. The mean of ``log p`` is
    taken over lists of the same length. A part of its differences between places is chance, the more the fewer lists
    there are; that part of the variance is left where it is (the shrinkage of James and Stein 1961).

    Args:
        p: float64 ``[lists, n]``, probabilities in the order shown; NaN behind the end of a list, and in all of a list
            without an answer.

    Returns:
        float64 ``[lists, n]`` of the same form; each list sums to 1.
    """
    logp = np.log(np.maximum(p, _NOTHING))
    lengths = (~np.isnan(p)).sum(axis=1)
    for length in np.unique(lengths[lengths > 1]).tolist():
        rows = lengths == length
        logp[rows, :length] -= _liking(logp[rows, :length])
    fair: Doubles = np.exp(logp - np.fmax.reduce(logp, axis=1, keepdims=True, initial=-np.inf))
    fair /= np.nansum(fair, axis=1, keepdims=True).clip(_NOTHING)
    return fair


def _liking(logp: Doubles) -> Doubles:
    """The mean of each place against the mean of all, less what is chance: float64 ``[n]`` from ``[lists, n]``."""
    means = logp.mean(axis=0)
    apart: Doubles = means - means.mean()
    if len(logp) < 2:
        return np.zeros_like(apart)
    chance = float(logp.var(axis=0, ddof=1).mean()) / len(logp)
    found = float(apart.var(ddof=1))
    return apart * max(0.0, 1.0 - chance / found) if found > 0 else apart
