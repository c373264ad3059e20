"""The verdict: one sentence from the numbers, the same words for good news and bad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from . import words
from .for_whom import notes
from .results import Comparison, ReportData, Row

__all__ = ["Fact", "Verdict", "judge"]

Tone = Literal["good", "mixed", "bad"]

_SELDOM = 0.05
"""Share of the positions below which a teacher's silence, and not its word, may be why nothing was gained."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A number that stands behind the sentence."""

    label: str
    value: str
    note: str
    tone: Tone = "good"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the numbers say.

    Attributes:
        sentence: For people in a hurry.
        tone: ``good``: distillation pays; ``mixed``: something else is better, or nobody can tell; ``bad``.
        facts: The numbers behind it.
        warnings: What a reader must know before believing the sentence.
    """

    sentence: str
    tone: Tone
    facts: tuple[Fact, ...] = ()
    warnings: tuple[str, ...] = ()


def judge(data: ReportData) -> Verdict:
    """Judge a run by its main metric.

    A difference counts only if its interval excludes zero. Distillation pays if the distilled student is better than
    the same student alone *and* no baseline is better than it.
    """
    distilled, alone = data.of_role("distilled"), data.of_role("alone")
    if distilled is None or alone is None:
        missing = " and ".join(n for n, row in (("alone", alone), ("distilled", distilled)) if row is None)
        return Verdict(f"There is nothing to judge yet: the student {missing} was not measured.", "mixed")
    gain = _difference(data, distilled, alone)
    sentence, tone = _sentence(data, distilled, alone, gain)
    facts = (
        _gain_fact(data, gain, alone, distilled),
        *_transfer(data, distilled, alone),
        *_baseline(data, distilled),
        *_served(data, distilled),
    )
    return Verdict(sentence, tone, facts, tuple(_warnings(data, distilled, alone)))


def _sentence(data: ReportData, distilled: Row, alone: Row, gain: Comparison) -> tuple[str, Tone]:
    share = words.signed_percent(_relative(gain.difference, alone, data))
    baseline = data.of_role("baseline")
    if gain.sign < 0:
        return (
            f"Distillation hurts here: the student is worse than the same student alone ({share} {data.metric}).",
            "bad",
        )
    if gain.sign == 0:
        return f"No gain that can be told from chance: distilled and alone differ by {share} {data.metric}.", "mixed"
    if baseline is not None and _difference(data, distilled, baseline).sign < 0:
        return (
            f"Distillation helps ({share} {data.metric} over the student alone), but {baseline.name} is still better.",
            "mixed",
        )
    if _below_popularity(data, alone):
        said = f"Distillation helps ({share} {data.metric}), but over a student that is hardly trained"
        return f"{said}: alone it is below popularity.", "mixed"
    tail = _keeps(data, distilled, alone)
    return f"Distillation pays: the student ranks {share.lstrip('+')} better than alone{tail}.", "good"


def _keeps(data: ReportData, distilled: Row, alone: Row) -> str:
    """What the good news ends with: the teacher's lead, and how much smaller the student is."""
    teacher, parts = data.of_role("teacher"), []
    ratio = _ratio(data, distilled, alone)
    if ratio is not None:
        parts.append("overtakes its teacher" if ratio > 1 else f"keeps {words.percent(ratio)} of the teacher’s lead")
    if (
        teacher is not None
        and teacher.parameters
        and distilled.parameters
        and teacher.parameters > distilled.parameters
    ):
        parts.append(f"is {words.times(teacher.parameters / distilled.parameters)} times smaller")
    return "".join(f"{' and' if at == len(parts) - 1 else ','} {part}" for at, part in enumerate(parts))


def _gain_fact(data: ReportData, gain: Comparison, alone: Row, distilled: Row) -> Fact:
    low, high = (words.signed_percent(_relative(x, alone, data)) for x in (gain.low, gain.high))
    seeds = f"{distilled.seeds} seeds" if distilled.seeds > 1 else "1 seed"
    known = data.comparison(distilled, alone) is not None
    note = (
        f"{data.metric}, {seeds}, {words.INTERVAL} {low} to {high}" if known else f"{data.metric}, {seeds}, no interval"
    )
    tone: Tone = "good" if gain.sign > 0 else "bad" if gain.sign < 0 else "mixed"
    return Fact("Gain over alone", words.signed_percent(_relative(gain.difference, alone, data)), note, tone)


def _transfer(data: ReportData, distilled: Row, alone: Row) -> list[Fact]:
    teacher = data.of_role("teacher")
    if teacher is None:
        return []
    ratio = _ratio(data, distilled, alone)
    if ratio is None:
        return [
            Fact(
                "Transfer ratio",
                words.NONE,
                f"not defined: {teacher.name} is not better than the student alone",
                "mixed",
            )
        ]
    note = "of the teacher’s lead arrived; 1 is all of it"
    if distilled.transfer_interval is not None:
        low, high = distilled.transfer_interval
        note += f"; interval {low:.2f} to {high:.2f}"
    return [
        Fact(
            "Transfer ratio",
            f"{ratio:.2f}".replace("-", "−"),
            note,
            "good" if ratio >= 0.8 else "mixed" if ratio > 0 else "bad",
        )
    ]


def _baseline(data: ReportData, distilled: Row) -> list[Fact]:
    baseline = data.of_role("baseline")
    if baseline is None:
        return []
    lead = _difference(data, distilled, baseline)
    tone: Tone = "good" if lead.sign > 0 else "bad" if lead.sign < 0 else "mixed"
    value = words.signed_percent(_relative(lead.difference, baseline, data))
    return [
        Fact(
            "Against the best baseline",
            value,
            f"{baseline.name}, {data.metric} {words.metric(baseline.metrics[data.metric])}",
            tone,
        )
    ]


def _served(data: ReportData, distilled: Row) -> list[Fact]:
    served = data.of_role("served")
    if served is None:
        return []
    loss = _relative(_difference(data, served, distilled).difference, distilled, data)
    parts = [text for text in (words.size(served.bytes), words.latency(served.latency_ms)) if text != words.NONE]
    note = f"as served, {words.signed_percent(loss)} {data.metric} against the trained student"
    return [
        Fact(
            "Bundle",
            " · ".join(parts) or words.metric(served.metrics[data.metric]),
            note,
            "mixed" if loss < -0.01 else "good",
        )
    ]


def _warnings(data: ReportData, distilled: Row, alone: Row) -> list[str]:
    found, teacher, served = [], data.of_role("teacher"), data.of_role("served")
    if teacher is None:
        hint = " What a language model's answers are worth is said by recdistill audit." if data.asked else ""
        found.append(f"No teacher was measured, so nobody knows how much of its knowledge arrived.{hint}")
    elif teacher.metrics[data.metric] <= alone.metrics[data.metric]:
        hint = "it has no lead to pass on, look for a better teacher"
        found.append(f"{teacher.name} is not better than the student alone: {hint}.")
    if _difference(data, distilled, alone).sign <= 0:
        found += _seldom_heard(data)
    baselines = [row for row in data.rows if row.role == "baseline" and data.metric in row.metrics]
    if _below_popularity(data, alone):
        hint = "try more epochs, a smaller batch or another learning rate before believing anything here"
        found.insert(0, f"The student alone is below popularity, so it is hardly trained: {hint}.")
    for row in baselines:
        lead = _difference(data, distilled, row)
        if lead.sign <= 0:
            verb = "beats" if lead.sign < 0 else "cannot be told from"
            found.append(f"{row.name} {verb} the distilled student: a model without any distillation would do as well.")
    if not baselines:
        found.append("No baseline was measured: item-kNN or EASE may be better than all of this.")
    if data.comparison(distilled, alone) is None:
        found.append("The gain has no interval: it may be chance.")
    elif distilled.seeds == 1:
        found.append("One seed only: the interval knows about users, not about luck in training.")
    if served is not None:
        loss = _relative(_difference(data, served, distilled).difference, distilled, data)
        if loss < -0.01:
            why = "try float16" if served.note.startswith("int8") else "it is not served as it was trained"
            found.append(f"The served bundle loses {words.percent(-loss, 1)} of {data.metric}; {why}.")
    return [*found, *notes(data)]


def _below_popularity(data: ReportData, alone: Row) -> bool:
    """Whether the student alone does not even reach popularity, if that was measured."""
    rows = (row for row in data.rows if row.role == "baseline" and row.name.startswith("popularity"))
    popular = next((row.metrics[data.metric] for row in rows if data.metric in row.metrics), None)
    return popular is not None and alone.metrics[data.metric] < popular


def _seldom_heard(data: ReportData) -> list[str]:
    """Teachers that left an answer in so few places that a mean over all users can hardly show it."""
    told: dict[str, str] = {}
    for heard in data.listened:
        whole = next((part for part in heard.parts if part.name == "all"), None)
        if whole is None or whole.answered is None or whole.answered >= _SELDOM:
            continue
        places = f"{words.count(round(whole.answered * whole.positions))} of {words.count(whole.positions)} places"
        why = "too few to show in a mean over all users, so this does not say what its word is worth"
        told[heard.teacher] = f"{heard.teacher} has an answer in {places} that the student learns from: {why}."
    return list(told.values())


def _difference(data: ReportData, better: Row, than: Row) -> Comparison:
    """The paired difference, or that of the means without an interval (low = difference = high)."""
    known = data.comparison(better, than)
    if known is not None:
        return known
    plain = better.metrics[data.metric] - than.metrics[data.metric]
    return Comparison(better=better.name, than=than.name, metric=data.metric, difference=plain, low=plain, high=plain)


def _relative(difference: float, base: Row, data: ReportData) -> float:
    value = base.metrics[data.metric]
    return difference / value if value > 0 else 0.0


def _ratio(data: ReportData, distilled: Row, alone: Row) -> float | None:
    """The transfer ratio as measured, or from the means; None where the teacher has no lead."""
    teacher = data.of_role("teacher")
    if teacher is None or teacher.metrics[data.metric] <= alone.metrics[data.metric]:
        return None
    if distilled.transfer_ratio is not None:
        return distilled.transfer_ratio
    own = distilled.metrics[data.metric] - alone.metrics[data.metric]
    return own / (teacher.metrics[data.metric] - alone.metrics[data.metric])
