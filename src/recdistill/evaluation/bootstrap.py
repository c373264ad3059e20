"""Is a difference real: paired bootstrap over users, spread over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError

__all__ = ["Comparison", "Interval", "compare", "ends", "interval", "resampled_means", "resampled_ratios"]

Values = npt.NDArray[np.float64]
_AT_ONCE = 4_000_000
"""Draws that are held at a time."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its bootstrap percentile interval.

    Attributes:
        mean: Over contexts and seeds.
        low: Lower end.
        high: Upper end.
        spread: Standard deviation over seeds of the mean over contexts; None for one seed.
    """

    mean: float
    low: float
    high: float
    spread: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One model against another on the same contexts.

    Attributes:
        mean: Of the model.
        over: Mean of the other.
        difference: ``mean - over``.
        low: Lower end of the interval of the difference.
        high: Upper end.
        p: Twice the smaller share of resamples on one side of zero: how easily chance alone gives such a difference.
        spread: Standard deviation over seeds of the difference; None where neither has several seeds.
    """

    mean: float
    over: float
    difference: float
    low: float
    high: float
    p: float
    spread: float | None

    @property
    def relative(self) -> float:
        """Difference as a share of the other's mean; NaN where that is 0."""
        return self.difference / self.over if self.over else float("nan")

    @property
    def verdict(self) -> str:
        """``"better"`` or ``"worse"`` if the interval leaves out zero, else ``"no clear difference"``."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no clear difference"


def interval(
    values: npt.ArrayLike,
    users: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a mean over contexts; arguments as for :func:`compare`."""
    ours = _by_seed(values)
    means = resampled_means(_seed_mean(ours), users, resamples, seed)
    low, high = ends(means, level)
    return Interval(_mean(ours), low, high, _spread(ours))


def compare(
    values: npt.ArrayLike,
    over: npt.ArrayLike,
    users: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Paired bootstrap of the difference of two models (in retrieval: Sakai 2006, https://doi.org/10.1145/1148170.1148261).

    A context's metric is first averaged over a model's seeds; then users are drawn with replacement, with all their
    contexts. Contexts where either model has no value (NaN) are left out.

    Args:
        values: The model's metric: float ``[n]`` or ``[seeds, n]``.
        over: The other's, on the same contexts; its number of seeds may differ.
        users: int ``[n]``, whose contexts they are; -1 and None: every context is its own user.
        level: Of the interval, in 0..1.
        resamples: Number of bootstrap samples.
        seed: Equal seeds give equal intervals.

    Raises:
        ConfigError: The models were evaluated on different contexts.
    """
    ours, theirs = _by_seed(values), _by_seed(over)
    if ours.shape[1] != theirs.shape[1]:
        raise ConfigError(
            f"cannot pair {ours.shape[1]} contexts with {theirs.shape[1]}", hint="evaluate both on one split"
        )
    both = ~(np.isnan(ours).any(axis=0) | np.isnan(theirs).any(axis=0))
    ours, theirs = np.where(both, ours, np.nan), np.where(both, theirs, np.nan)
    means = resampled_means(_seed_mean(ours) - _seed_mean(theirs), users, resamples, seed)
    low, high = ends(means, level)
    p = min(1.0, 2 * min(float(np.mean(means <= 0)), float(np.mean(means >= 0)))) if len(means) else float("nan")
    mean, other = _mean(ours), _mean(theirs)
    return Comparison(mean, other, mean - other, low, high, p, _spread(_seed_differences(ours, theirs)))


def resampled_means(values: Values, users: npt.ArrayLike | None, resamples: int, seed: int) -> Values:
    """Means over contexts of users drawn with replacement: float64 ``[resamples]``, empty if there is no value.

    Args:
        values: float64 ``[n]``; NaN is left out.
        users: As for :func:`compare`.
        resamples: Number of samples.
        seed: Of the draws.
    """
    real = ~np.isnan(values)
    if not real.any():
        return np.zeros(0)
    sums, counts = _per_user(values[real], None if users is None else np.asarray(users)[real])
    rng, n = np.random.default_rng(seed), len(sums)
    means = np.empty(resamples)
    step = max(1, _AT_ONCE // n)
    for start in range(0, resamples, step):
        drawn = rng.integers(0, n, (min(step, resamples - start), n), dtype=np.int32)
        weight = drawn.shape[1] if counts is None else counts[drawn].sum(axis=1)
        means[start : start + len(drawn)] = sums[drawn].sum(axis=1) / weight
    return means


def resampled_ratios(
    parts: Values, wholes: Values, users: npt.ArrayLike | None = None, *, resamples: int = 2000, seed: int = 0
) -> Values:
    """Σ parts / Σ wholes over the contexts of users drawn with replacement, of many columns by the same draws.

    With a whole of 1 for each context that counts, a ratio is a mean; with the number of listed items, it is a share of
    them. Columns may be subtracted from each other: they are about the same users.

    Args:
        parts: float64 ``[n, m]``, without NaN.
        wholes: float64 ``[n, m]``, not negative; 0 where a context does not count.
        users: As for :func:`compare`.
        resamples: Number of bootstrap samples.
        seed: Equal seeds give equal draws.

    Returns:
        float64 ``[resamples, m]``; NaN where a resample's whole is 0.
    """
    sums = _user_sums(np.concatenate([parts, wholes], axis=1), users)
    rng, (n, m) = np.random.default_rng(seed), sums.shape
    totals = np.zeros((resamples, m))
    step = max(1, _AT_ONCE // max(n, 1))
    for start in range(0, resamples if n else 0, step):
        size = min(step, resamples - start)
        drawn = rng.integers(0, n, (size, n), dtype=np.int64) + n * np.arange(size)[:, None]
        # how often each user was drawn: one matrix product then gives the sums of all columns
        times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
        totals[start : start + size] = times @ sums
    part, whole = totals[:, : m // 2], totals[:, m // 2 :]
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _user_sums(values: Values, users: npt.ArrayLike | None) -> Values:
    """Sums over the contexts of each user: float64 ``[users, m]``."""
    if users is None or not len(values):
        return values
    _, group = np.unique(_told_apart(np.asarray(users)), return_inverse=True)
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    return values if len(first) == len(values) else np.add.reduceat(values[order], first)


def _told_apart(users: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Every context of nobody (-1) becomes a user of its own."""
    return np.where(users < 0, users.max(initial=0) + 1 + np.arange(len(users)), users)


def _per_user(values: Values, users: npt.NDArray[np.integer] | None) -> tuple[Values, Values | None]:
    """Sum and number of values of each user; no numbers where all are 1."""
    if users is None:
        return values, None
    _, group = np.unique(_told_apart(users), return_inverse=True)
    counts = np.bincount(group).astype(np.float64)
    sums = np.bincount(group, values).astype(np.float64)
    return sums, None if counts.max() == 1 else counts


def _by_seed(values: npt.ArrayLike) -> Values:
    return np.atleast_2d(np.asarray(values, dtype=np.float64))


def _seed_differences(ours: Values, theirs: Values) -> Values:
    """Seed against seed where both have the same number, else the seeds of one against the mean of the other."""
    if len(ours) == len(theirs):
        return ours - theirs
    return ours - _seed_mean(theirs) if len(ours) > 1 else _seed_mean(ours) - theirs


def _seed_mean(values: Values) -> Values:
    return values.mean(axis=0)  # type: ignore[no-any-return]


def _mean(values: Values) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


def _spread(values: Values) -> float | None:
    if len(values) < 2 or np.isnan(values).all():
        return None
    return float(np.nanmean(values, axis=1).std(ddof=1))


def ends(means: Values, level: float = 0.95) -> tuple[float, float]:
    """Ends of the percentile interval of resampled values: NaN if there are none."""
    if not len(means):
        return float("nan"), float("nan")
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
