"""What an audit means, in words."""

from __future__ import annotations

from .audit import FEW, Audit, Beside, Calibration
from .bootstrap import Comparison

__all__ = ["verdict", "warnings"]

_FEW = 100
"""Contexts below which a difference would have to be large to be seen."""
_COVERED = 0.9
_STEADY = 0.5
_MISJUDGED = 0.15


def verdict(found: Audit) -> str:
    """Whether the teacher is worth distilling, in one or two sentences."""
    said = f"right in {_share(found.hits.mean)} of {found.contexts:,} lists of {found.candidates:.0f}"
    if found.coverage == 0:
        return "Not usable: none of the questions has an answer that can be read."
    if found.few:
        return f"Too few contexts to tell: {said}, guessing is in {_share(found.chance)}; it takes {FEW} at least."
    if found.hits.low <= found.chance:
        return f"Not worth it: {said}, guessing is in {_share(found.chance)}; nothing shows that it knows anything."
    best = max(found.beside, key=lambda other: other.hits.mean)
    if best.teacher.low > 0:
        return f"Worth it: {said}, more than all others; the next, {_against(best)}."
    if found.together.low > 0:
        gain = f"{found.base} gets {_points(found.together.difference)} better with it"
        return f"Worth a try beside {found.base}: {said}, {_against(best)}; but {gain}{_interval(found.together)}."
    if best.teacher.high < 0:
        return f"Not worth it: {said}; {_against(best)}, and {found.base} does not get better with it."
    return f"Not shown to be worth it: {said}; {_against(best)}, and {found.base} does not get clearly better with it."


def warnings(found: Audit) -> list[str]:
    """What else one should know, the gravest first."""
    return [*_of_places(found), *_of_words(found), *_of_answers(found), *_of_parts(found)]


def _of_places(found: Audit) -> list[str]:
    told = []
    if found.bias is not None and found.bias.found:
        bias = found.bias
        letter, most = _letter(bias.place), _share(bias.by_place[bias.place])
        told.append(
            f"position bias: the answer is {letter} in {_share(bias.chosen)} of the lists and {letter} has {most} of "
            f"the probability, without bias both would be {_share(bias.expected)}; {_without(found)}"
        )
    if found.same_first is not None and found.same_first < _STEADY:
        told.append(f"inconsistent: two orders of the same list have the same first item in {_share(found.same_first)}")
    return told


def _without(found: Audit) -> str:
    """What is left if the bias is taken off."""
    if found.corrected is None or found.corrected.low <= found.chance:
        return "without it nothing is left"
    return f"without it the first item is right in {_share(found.corrected.mean)}: average several orders"


def _of_words(found: Audit) -> list[str]:
    same = found.same_first_in_other_words
    if same is None or same >= _STEADY:
        return []
    return [f"depends on the wording: asked in other words, the first item is the same in {_share(same)}"]


def _of_answers(found: Audit) -> list[str]:
    told = []
    if found.coverage < _COVERED:
        told.append(f"only {_share(found.coverage)} of the questions have an answer that can be read")
    sure = found.calibration
    if sure.error > _MISJUDGED:
        what = f"{_how_sure(sure)}: says {_share(sure.said)} for its first item, which is right in {_share(sure.right)}"
        told.append(f"{what}; a temperature of {sure.temperature:.2g} would fit")
    if found.contexts < _FEW:
        few = "1 context is" if found.contexts == 1 else f"{found.contexts} contexts are"
        told.append(f"{few} few: only large differences show; raise --contexts")
    return told


def _how_sure(sure: Calibration) -> str:
    """Which way it is wrong, if it is wrong one way."""
    lead = sure.said - sure.right
    if abs(lead) < sure.error / 2:
        return "sure in the wrong places"
    return "too sure" if lead > 0 else "less sure than it could be"


def _of_parts(found: Audit) -> list[str]:
    told = []
    for part in found.parts:
        if part.contexts < FEW:
            continue
        if part.over.low > 0:
            told.append(f"better than {part.best} for {part.name}: {_change(part.teacher, part.over.over)}")
        elif part.over.high < 0:
            told.append(f"worse than {part.best} for {part.name}: {_change(part.teacher, part.over.over)}")
    return told


def _against(best: Beside) -> str:
    return f"{best.name} is in {_share(best.hits.mean)}"


def _interval(found: Comparison) -> str:
    return f" ({_points(found.low)} to {_points(found.high)})"


def _change(own: float, other: float) -> str:
    return f"{_share(own)} against {_share(other)}"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _points(value: float) -> str:
    return f"{100 * value:+.1f} points"


def _letter(place: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place] if place < 26 else f"place {place + 1}"
