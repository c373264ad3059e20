"""A line through log-odds that makes them probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Line", "fit_line"]

Doubles = npt.NDArray[np.float64]
_PRIOR = 1e-2
"""Pull towards slope 1 and intercept 0, in examples: separable data would otherwise have no finite answer."""


@dataclass(frozen=True, slots=True)
class Line:
    """``slope · x + intercept``.

    Attributes:
        slope: At least 0: a teacher is not turned round.
        intercept: Any.
        examples: What it was fitted to.
        loss: Mean log loss of its probabilities there, in nats, and before.
    """

    slope: float = 1.0
    intercept: float = 0.0
    examples: int = 0
    loss: tuple[float, float] = (0.0, 0.0)

    @property
    def fitted(self) -> bool:
        """Whether there was anything to fit it to."""
        return self.examples > 0

    def of(self, x: Doubles) -> Doubles:
        """The line at some places."""
        return self.slope * x + self.intercept

    def facts(self) -> dict[str, Any]:
        """For manifests and reports; nothing if it was not fitted."""
        if not self.fitted:
            return {}
        numbers = {"slope": round(self.slope, 4), "intercept": round(self.intercept, 4), "examples": self.examples}
        return {"calibration": numbers | {"log_loss": round(self.loss[0], 4), "before": round(self.loss[1], 4)}}


def fit_line(x: Doubles, right: Doubles) -> Line:
    """The line whose logistic is the probability of being right (Platt 1999), by Newton's method.

    Args:
        x: float64 ``[n]``, log-odds.
        right: float64 ``[n]``, 1 or 0.
    """
    if not len(x) or right.min() == right.max():
        return Line()
    design = np.stack([x, np.ones_like(x)], axis=1)
    prior = np.array([1.0, 0.0])
    weights = prior.copy()

    def cost(at: Doubles) -> float:
        return len(x) * _log_loss(design @ at, right) + _PRIOR / 2 * float(((at - prior) ** 2).sum())

    for _ in range(100):
        p = _logistic(design @ weights)
        gradient = design.T @ (p - right) + _PRIOR * (weights - prior)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + _PRIOR * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        while cost(weights - step) > cost(weights) + 1e-12 and np.abs(step).max() > 1e-12:
            step /= 2  # a whole step from a far start goes past the lowest point
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    if weights[0] < 0:  # it says nothing: only the base rate is left
        rate = right.mean()
        weights = np.array([0.0, np.log(rate / (1 - rate))])
    losses = (_log_loss(design @ weights, right), _log_loss(x, right))
    return Line(float(weights[0]), float(weights[1]), len(x), losses)


def _logistic(z: Doubles) -> Doubles:
    return np.asarray(0.5 * (1 + np.tanh(z / 2)))


def _log_loss(z: Doubles, right: Doubles) -> float:
    return float(np.mean(np.logaddexp(0, z) - right * z))
