"""How the trainings went: every term of the loss, what it weighed, and the validation metric that stopped them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from . import words
from .figures import Chart, Line, capital, lines
from .results import Curve, ReportData

__all__ = ["learning"]

_LOSS, _WEIGHT = "loss: ", "weight: "
_UNIT = "In the term’s own unit (nats, for cross-entropies), before its weight"


def learning(data: ReportData) -> list[Chart]:
    """Validation first, then the terms, then the weights of each training in which some weight changes."""
    terms: dict[str, list[Curve]] = {}
    for curve in data.curves:
        terms.setdefault(curve.term, []).append(curve)
    losses = {term: curves for term, curves in terms.items() if term.startswith(_LOSS)}
    weights = {term.removeprefix(_WEIGHT): curves for term, curves in terms.items() if term.startswith(_WEIGHT)}
    whose = _whose(data)
    scores = {term: curves for term, curves in terms.items() if not term.startswith((_LOSS, _WEIGHT))}
    return [
        *(_score(term, curves) for term, curves in scores.items()),
        *(_loss(term.removeprefix(_LOSS), curves, weights, whose) for term, curves in losses.items()),
        *_weights(weights, whose),
    ]


def _whose(data: ReportData) -> dict[str, str]:
    """Terms by the name under which readers know them: with their teachers, as far as these are known."""
    teachers: dict[str, list[str]] = {}
    for heard in data.listened:
        teachers.setdefault(heard.term, []).append(heard.teacher)
    return {term: f"{term}, {words.together(names)}" for term, names in teachers.items()}


def _score(metric: str, curves: Sequence[Curve]) -> Chart:
    caption = f"{metric} on the validation users, by epoch; the dot is the highest."
    return lines(capital(metric), caption, _by_run(curves), best=True)


def _loss(term: str, curves: Sequence[Curve], weights: dict[str, list[Curve]], whose: dict[str, str]) -> Chart:
    said = _weighed(weights.get(term, ()), [curve.run for curve in curves])
    return lines(capital(f"loss: {whose.get(term, term)}"), f"{_UNIT}{said}.", _by_run(curves), lowest=True)


def _weighed(weights: Iterable[Curve], runs: Sequence[str]) -> str:
    """The weight of a term, where it is the same in all epochs, and that it changes, where it is not."""
    same: dict[float, list[str]] = {}
    changing: list[str] = []
    for curve in weights:
        values = {value for value in curve.values if value is not None}
        if curve.run in runs and values:
            (changing if len(values) > 1 else same.setdefault(values.pop(), [])).append(curve.run)
    told = [f"{weight:g}{_of(those, runs)}" for weight, those in same.items()]
    told += [f"changing{_of(changing, runs)}, see below"] if changing else []
    return f", which is {'; '.join(told)}" if told else ""


def _of(those: Sequence[str], runs: Sequence[str]) -> str:
    return "" if len(those) == len(runs) else f" ({', '.join(those)})"


def _weights(weights: dict[str, list[Curve]], whose: dict[str, str]) -> Iterable[Chart]:
    by_run: dict[str, dict[str, Curve]] = {}
    for term, curves in weights.items():
        for curve in curves:
            by_run.setdefault(curve.run, {})[term] = curve
    for run, terms in by_run.items():
        if any(len(set(curve.values)) > 1 for curve in terms.values()):
            drawn = [
                _line(whose.get(term, term), curve, main=curve.run == "distilled") for term, curve in terms.items()
            ]
            caption = "What each term counts in the sum that is minimised, by epoch."
            yield lines(f"Weights, {run}", caption, drawn, zero=True, of="Term")


def _by_run(curves: Sequence[Curve]) -> list[Line]:
    """The distilled student first."""
    ordered = sorted(curves, key=lambda curve: curve.run != "distilled")
    return [_line(curve.run, curve, main=curve.run == "distilled") for curve in ordered]


def _line(label: str, curve: Curve, *, main: bool) -> Line:
    return Line(label, main, curve.epochs, curve.values, curve.low, curve.high)
