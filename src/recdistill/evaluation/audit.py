"""Is a teacher worth it: what it says about lists with a known right item, against chance and other rankers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .bootstrap import Comparison, Interval, compare, interval

__all__ = ["FEW", "Audit", "Beside", "Bias", "Calibration", "Part", "audit", "best_share", "hits", "softmax"]

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FEW = 20
"""Contexts below which nothing is said about them."""
_TEMPERATURES = np.geomspace(0.1, 20.0, 47)
_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_SHARPER = (1.0, 1.5, 2.0)
"""What is known from two sides is surer than each: 2 where they know different things."""
_EQUAL = 2e-3
"""Nats between which the smaller share is taken: beside a flat model any share looks alike."""
_FOLDS = 5
_BINS = 10
_IN_A_BIN = 10
"""Contexts of a bin at least: the share of a few that are right says nothing."""
_NOTHING = 1e-6
"""Probability of an item that a model gave none."""


@dataclass(frozen=True, slots=True)
class Bias:
    """Whether a teacher's answers follow the places of the candidates.

    Attributes:
        by_place: Mean probability of each place over all lists; without bias all are alike, as lists are shuffled.
        away: Half the sum of the differences from that, 0..1: 0 without bias, near 1 if one place gets everything.
        noise: What ``away`` would be by chance in 19 of 20 audits of this size.
        place: The place that is chosen most often, from 0.
        chosen: Share of the lists in which it is.
        expected: Share of the lists in which it would be without bias.
    """

    by_place: tuple[float, ...]
    away: float
    noise: float
    place: int
    chosen: float
    expected: float

    @property
    def found(self) -> bool:
        """Whether there is a bias worth a word: more than noise, and more than an eighth of the probability."""
        return self.away > max(self.noise, 0.125)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether a teacher is right as often as it says.

    Attributes:
        said: Mean probability of its first item.
        right: How often that is right.
        error: Mean distance of the two over bins of equal size (expected calibration error), 0..1.
        temperature: Of its probabilities, that makes the right items likeliest; above 1: it is too sure.
    """

    said: float
    right: float
    error: float
    temperature: float


@dataclass(frozen=True, slots=True)
class Beside:
    """A ranker beside the teacher on the same lists.

    Attributes:
        name: Its name.
        hits: How often its first item is right.
        teacher: The teacher's hits against its own.
    """

    name: str
    hits: Interval
    teacher: Comparison


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the contexts.

    Attributes:
        name: Such as ``"cold items"``.
        contexts: How many.
        teacher: The teacher's hits there.
        best: Name of the ranker that it is compared with.
        over: The teacher's hits against its own there.
    """

    name: str
    contexts: int
    teacher: float
    best: str
    over: Comparison


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found out about a teacher.

    Attributes:
        contexts: Lists with a right item.
        candidates: Mean number of items in a list.
        coverage: Share of the questions that have a usable answer.
        hits: How often its first item is right; a list without an answer counts as guessed.
        corrected: The same after what each place gets on average is taken off; None where places mean nothing.
        rank: Mean reciprocal rank of the right item.
        chance: Hits by guessing.
        beside: Others on the same lists.
        same_first: How often two orders of the same list have the same first item; None with one order.
        same_first_in_other_words: The same for two ways to ask; None if there is one only.
        bias: None where places mean nothing.
        calibration: Of the mean over all orders.
        parts: Where it is better and worse.
        base: The ranker that it would be added to: the student if there is one.
        together: Hits of both against those of ``base`` alone: what may arrive at most, on contexts that had no part
            in the choice of the share.
        share: Of the teacher beside ``base``, 0..1: a weight for training.
    """

    contexts: int
    candidates: float
    coverage: float
    hits: Interval
    corrected: Interval | None
    rank: float
    chance: float
    beside: tuple[Beside, ...]
    same_first: float | None
    same_first_in_other_words: float | None
    bias: Bias | None
    calibration: Calibration
    parts: tuple[Part, ...]
    base: str
    together: Comparison
    share: float

    @property
    def few(self) -> bool:
        """Whether these are too few contexts for any judgement: one that is right or wrong decides it all."""
        return self.contexts < FEW

    @property
    def earned(self) -> float:
        """``share`` where both together are clearly better than ``base`` alone, else 0."""
        return self.share if self.together.low > 0 and not self.few else 0.0


def audit(
    p: Doubles, places: Ints, right: Ints, offered: Bools, others: Mapping[str, Doubles], base: str,
    parts: Mapping[str, Bools], otherwise: Doubles | None = None, users: npt.ArrayLike | None = None,
) -> Audit:  # fmt: skip
    """Compare what a teacher says with what is right and with what others say.

    Args:
        p: float64 ``[n, orders, m]``, probability of each candidate; NaN where there is no answer.
        places: int64 ``[n, orders, m]``, where each candidate stood, from 0; -1 where that means nothing.
        right: int64 ``[n]``, column of the right item.
        offered: bool ``[n, m]``, which columns hold a candidate.
        others: By name float64 ``[n, m]`` scores of the same candidates, on any scale.
        base: Of the others, the one that the teacher would be added to.
        parts: By name bool ``[n]``, contexts to look at by themselves.
        otherwise: float64 ``[n, m]``, the first order asked in other words.
        users: int ``[n]``, for the intervals.
    """
    answered: Bools = np.asarray(~np.isnan(p).all(axis=2))
    mean = _mean_of_orders(p, answered, offered)
    own = hits(mean, right, offered)
    theirs = {name: hits(scores, right, offered) for name, scores in others.items()}
    beside = tuple(Beside(name, interval(found, users), compare(own, found, users)) for name, found in theirs.items())

    def who(rows: Bools) -> npt.ArrayLike | None:
        return None if users is None else np.asarray(users)[rows]

    together, share = _together(np.log(mean), others[base], right, offered)
    best = max(theirs, key=lambda name: float(theirs[name].mean()))
    return Audit(
        contexts=len(right),
        candidates=float(offered.sum(axis=1).mean()),
        coverage=float(answered.mean()),
        hits=interval(own, users),
        corrected=_corrected(p, places, right, offered, users),
        rank=float(_reciprocal_rank(mean, right, offered).mean()),
        chance=float((1 / offered.sum(axis=1)).mean()),
        beside=beside,
        same_first=_same_first([p[:, order] for order in range(p.shape[1])]),
        same_first_in_other_words=None if otherwise is None else _same_first([p[:, 0], otherwise]),
        bias=_bias(p, places),
        calibration=_calibration(mean, own, right, offered),
        parts=tuple(
            Part(
                name, int(rows.sum()), float(own[rows].mean()), best, compare(own[rows], theirs[best][rows], who(rows))
            )
            for name, rows in parts.items()
            if rows.any()
        ),
        base=base,
        together=compare(hits(together, right, offered), theirs[base], users),
        share=share,
    )


def hits(scores: Doubles, right: Ints, offered: Bools) -> Doubles:
    """Whether the first item of each list is the right one; of k equal firsts each counts 1 / k: float64 ``[n]``.

    Args:
        scores: float64 ``[n, m]``, higher is better.
        right: int64 ``[n]``, column of the right item.
        offered: bool ``[n, m]``, which columns count.
    """
    shown = np.where(offered, scores, -np.inf)
    first = np.asarray(shown == shown.max(axis=1, keepdims=True))
    found: Doubles = first[np.arange(len(right)), right] / first.sum(axis=1)
    return found


def softmax(scores: Doubles, offered: Bools, temperature: float = 1.0) -> Doubles:
    """Log-probabilities of the columns that count, -inf elsewhere: float64 ``[n, m]``."""
    logits = np.where(offered, scores / temperature, -np.inf)
    found: Doubles = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return found


def best_share(own: Doubles, base: Doubles, right: Ints) -> tuple[float, float]:
    """Share ``s`` of one model in ``sharper · (s · own + (1 − s) · base)`` that makes the right items likeliest.

    The smallest of those that are nearly as good.

    Args:
        own: float64 ``[n, m]``, log-probabilities, -inf where there is no candidate.
        base: The same of the other.
        right: int64 ``[n]``.

    Returns:
        The share, 0..1, and ``sharper``.
    """
    rows = np.arange(len(right))
    tried = [(s, sharper) for s in _SHARES for sharper in _SHARPER]
    likely = np.array([_mixed(own, base, *both)[rows, right].mean() for both in tried])
    return tried[int(np.argmax(likely > likely.max() - _EQUAL))]


def _mixed(own: Doubles, base: Doubles, share: float, sharper: float) -> Doubles:
    offered = np.isfinite(base)
    own, base = (np.where(offered, logp, 0.0) for logp in (own, base))
    return softmax(sharper * (share * own + (1 - share) * base), offered)


def _mean_of_orders(p: Doubles, answered: Bools, offered: Bools) -> Doubles:
    """Mean over the orders with an answer, at least a little for each candidate; uniform where there is none."""
    known = np.where(answered[:, :, None], np.nan_to_num(p), 0.0).sum(axis=1)
    mean = known / np.maximum(answered.sum(axis=1), 1)[:, None]
    mean = np.where(np.any(answered, axis=1, keepdims=True), np.maximum(mean, _NOTHING), 1.0) * offered
    found: Doubles = mean / mean.sum(axis=1, keepdims=True) + ~offered * _NOTHING  # the log of what is not looked at
    return found


def _reciprocal_rank(scores: Doubles, right: Ints, offered: Bools) -> Doubles:
    """Equal scores share their ranks."""
    own = scores[np.arange(len(right)), right][:, None]
    above, equal = ((scores > own) & offered).sum(axis=1), ((scores == own) & offered).sum(axis=1)
    return np.asarray(1 / (above + (equal + 1) / 2))


def _same_first(said: list[Doubles]) -> float | None:
    """How often two of some answers about a list agree on its first item."""
    found = []
    for number, one in enumerate(said):
        for other in said[number + 1 :]:
            both = ~(np.isnan(one).all(axis=1) | np.isnan(other).all(axis=1))
            if both.any():
                first, second = (_firsts(some[both]) for some in (one, other))
                found.append(float((first * second).sum(axis=1).mean()))
    return float(np.mean(found)) if found else None


def _firsts(p: Doubles) -> Doubles:
    """The first item of each list as a share for each column; of k equal firsts each has 1 / k."""
    first = np.asarray(p == np.nanmax(p, axis=1, keepdims=True))
    shares: Doubles = first / first.sum(axis=1, keepdims=True)
    return shares


def _bias(p: Doubles, places: Ints) -> Bias | None:
    """By place instead of by candidate, of the lists of the usual length."""
    n_places = places.max(axis=2) + 1
    if n_places.max(initial=0) < 2:
        return None
    usual = int(np.bincount(n_places[n_places > 1]).argmax())
    rows = np.asarray(n_places == usual)
    by_place = np.zeros((int(rows.sum()), usual))
    chosen_p, chosen_places = p[rows], places[rows]
    at: Bools = np.greater_equal(chosen_places, 0)
    by_place[np.nonzero(at)[0], chosen_places[at]] = np.nan_to_num(chosen_p)[at]
    mean = by_place.mean(axis=0)
    firsts = np.bincount(by_place.argmax(axis=1), minlength=usual) / len(by_place)
    place = int(firsts.argmax())
    return Bias(
        by_place=tuple(mean.tolist()), away=_away(mean), noise=_noise(by_place), place=place,
        chosen=float(firsts[place]), expected=1 / usual,
    )  # fmt: skip


def _corrected(p: Doubles, places: Ints, right: Ints, offered: Bools, users: npt.ArrayLike | None) -> Interval | None:
    """Hits where the mean log-probability of each place is taken off, in lists of each length by themselves.

    (A bias of the places that multiplies, as in Zheng et al. 2024, https://arxiv.org/abs/2309.03882.)
    """
    lengths = places.max(axis=2) + 1
    if lengths.max(initial=0) < 2:
        return None
    logp = np.log(np.maximum(p, _NOTHING))
    for length in np.unique(lengths[lengths > 1]).tolist():
        for place in range(length):
            here = (lengths == length)[:, :, None] & (places == place)
            if here.any():
                logp[here] -= logp[here].mean()
    fair = np.exp(logp.round(9))  # rounded, so that what is equal stays equal
    fair /= np.nansum(fair, axis=2, keepdims=True)
    answered: Bools = np.asarray(~np.isnan(p).all(axis=2))
    return interval(hits(_mean_of_orders(fair, answered, offered).round(9), right, offered), users)


def _away(mean: Doubles) -> float:
    return float(np.abs(mean - 1 / len(mean)).sum() / 2)


def _noise(by_place: Doubles) -> float:
    """The same of lists whose places are shuffled, in 95 % of the cases at most."""
    rng = np.random.default_rng(0)
    return float(np.quantile([_away(rng.permuted(by_place, axis=1).mean(axis=0)) for _ in range(200)], 0.95))


def _calibration(mean: Doubles, own: Doubles, right: Ints, offered: Bools) -> Calibration:
    said = np.where(offered, mean, 0.0).max(axis=1)
    bins = np.array_split(np.argsort(said, kind="stable"), max(1, min(_BINS, len(said) // _IN_A_BIN)))
    error = sum(len(rows) * abs(said[rows].mean() - own[rows].mean()) for rows in bins) / len(said)
    temperature = _temperature(np.log(mean), right, offered)
    return Calibration(float(said.mean()), float(own.mean()), float(error), temperature)


def _temperature(scores: Doubles, right: Ints, offered: Bools) -> float:
    """That makes the right items likeliest under the softmax of some scores."""
    rows = np.arange(len(right))
    likely = [softmax(scores, offered, float(t))[rows, right].mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmax(likely))])


def _together(own: Doubles, base: Doubles, right: Ints, offered: Bools) -> tuple[Doubles, float]:
    """Log-probabilities of both together, each context by what was fitted to the others; and the share of all."""
    known = np.isfinite(base)
    scale = max(float(np.std(base[offered & known])), 1e-9)
    base = np.where(known, base, base[known].min(initial=0.0)) / scale
    fold = np.random.default_rng(0).permutation(len(right)) % _FOLDS
    out = np.empty_like(own)
    for part in (fold == number for number in range(_FOLDS)):
        rest = ~part if (~part).any() else part
        out[part] = _Pair.fitted(own[rest], base[rest], right[rest], offered[rest]).of(
            own[part], base[part], offered[part]
        )
    return out, _Pair.fitted(own, base, right, offered).share


@dataclass(frozen=True, slots=True)
class _Pair:
    """Temperatures of two models, and how they are put together."""

    own: float
    base: float
    share: float
    sharper: float

    @classmethod
    def fitted(cls, own: Doubles, base: Doubles, right: Ints, offered: Bools) -> _Pair:
        warm = _temperature(own, right, offered), _temperature(base, right, offered)
        share = best_share(softmax(own, offered, warm[0]), softmax(base, offered, warm[1]), right)
        return cls(*warm, *share)

    def of(self, own: Doubles, base: Doubles, offered: Bools) -> Doubles:
        """Log-probabilities of some contexts."""
        tempered = softmax(own, offered, self.own), softmax(base, offered, self.base)
        return _mixed(*tempered, self.share, self.sharper)
