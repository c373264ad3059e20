from __future__ import annotations

from typing import Any

import pytest

from recdistill.reports import judge
from recdistill.reports.results import Listened, ListenedPart, ReportData
from tests.reports.example import difference, example_run, row


def _data(
    distilled: float, *more: Any, low: float | None = None, teacher: float | None = 0.09, **fields: Any
) -> ReportData:
    """Student alone at 0.08 and distilled; ``low``: lower end of the interval of the gain."""
    gain = distilled - 0.08
    rows = [
        row("alone", "alone", 0.08, seeds=5),
        row("distilled", "distilled", distilled, seeds=fields.pop("seeds", 5), parameters=1_000),
        *more,
    ]
    rows += [row("teacher", "teacher", teacher, parameters=50_000)] if teacher else []
    paired = (difference("distilled", "alone", gain, gain - low),) if low is not None else ()
    comparisons = paired + fields.pop("comparisons", ())
    return ReportData(title="t", rows=tuple(rows), comparisons=comparisons, **fields)


def _text(data: ReportData) -> str:
    sentence: str = judge(data).sentence
    return sentence.replace("\N{NO-BREAK SPACE}", " ")


def test_good_news() -> None:
    verdict = judge(_data(0.088, row("EASE", "baseline", 0.07), low=0.006))
    assert verdict.tone == "good"
    assert _text(_data(0.088, row("EASE", "baseline", 0.07), low=0.006)) == (
        "Distillation pays: the student ranks 10.0 % better than alone, "
        "keeps 80 % of the teacher’s lead and is 50 times smaller."
    )
    assert verdict.warnings == ()


def test_a_student_may_overtake_its_teacher() -> None:
    assert "overtakes its teacher" in _text(_data(0.095, low=0.01))


def test_without_sizes_the_sentence_is_shorter() -> None:
    data = _data(0.088, low=0.006, teacher=None)
    assert _text(data) == "Distillation pays: the student ranks 10.0 % better than alone."
    assert any("No teacher was measured" in warning for warning in judge(data).warnings)


def test_an_interval_that_touches_zero_is_no_gain() -> None:
    data = _data(0.082, low=-0.001)
    assert _text(data) == "No gain that can be told from chance: distilled and alone differ by +2.5 % NDCG@10."
    assert judge(data).tone == "mixed"


def test_equal_means_without_an_interval_are_no_gain() -> None:
    assert _text(_data(0.08)).endswith("differ by 0.0 % NDCG@10.")


def test_harm_is_called_harm() -> None:
    data = _data(0.07, low=-0.012)
    assert _text(data) == "Distillation hurts here: the student is worse than the same student alone (−12.5 % NDCG@10)."
    assert judge(data).tone == "bad"


def test_a_better_baseline_takes_the_headline() -> None:
    data = _data(0.088, row("EASE", "baseline", 0.1), row("item-kNN", "baseline", 0.05), low=0.006)
    assert _text(data) == "Distillation helps (+10.0 % NDCG@10 over the student alone), but EASE is still better."
    assert [w for w in judge(data).warnings if "EASE beats" in w]
    assert not [w for w in judge(data).warnings if "item-kNN" in w]


def test_a_baseline_that_cannot_be_told_apart_is_a_warning() -> None:
    paired = (difference("EASE", "distilled", 0.001),)
    data = _data(0.088, row("EASE", "baseline", 0.089), low=0.006, comparisons=paired)
    assert judge(data).tone == "good"
    assert any("EASE cannot be told from the distilled student" in warning for warning in judge(data).warnings)


def test_a_teacher_without_a_lead_has_no_transfer_ratio() -> None:
    verdict = judge(_data(0.088, low=0.006, teacher=0.075))
    fact = next(fact for fact in verdict.facts if fact.label == "Transfer ratio")
    assert (fact.value, fact.tone) == ("–", "mixed")
    assert any("has no lead to pass on" in warning for warning in verdict.warnings)
    assert "teacher’s lead" not in verdict.sentence


@pytest.mark.parametrize(("distilled", "tone"), [(0.0885, "good"), (0.083, "mixed"), (0.078, "bad")])
def test_the_transfer_ratio_from_the_means(distilled: float, tone: str) -> None:
    fact = next(fact for fact in judge(_data(distilled, low=0.0)).facts if fact.label == "Transfer ratio")
    assert fact.value == f"{(distilled - 0.08) / 0.01:.2f}".replace("-", "−")
    assert fact.tone == tone


def test_chance_and_luck_are_named() -> None:
    assert any("may be chance" in warning for warning in judge(_data(0.09)).warnings)
    assert any("One seed only" in warning for warning in judge(_data(0.09, low=0.005, seeds=1)).warnings)
    assert any("No baseline was measured" in warning for warning in judge(_data(0.09)).warnings)


def test_a_lossy_bundle_is_named() -> None:
    data = _data(0.09, row("bundle", "served", 0.085, bytes=1_000_000, latency_ms=0.1), low=0.005)
    fact = next(fact for fact in judge(data).facts if fact.label == "Bundle")
    assert fact.value.replace("\N{NO-BREAK SPACE}", " ") == "1.00 MB · 0.10 ms"
    assert fact.tone == "mixed"
    assert any("loses 5.6" in warning for warning in judge(data).warnings)


def test_without_size_and_latency_the_metric_is_shown() -> None:
    fact = judge(_data(0.09, row("bundle", "served", 0.09), low=0.005)).facts[-1]
    assert fact.value == "0.0900"


@pytest.mark.parametrize(("note", "advice"), [("int8 bundle", "try float16"), ("float32 bundle", "not served as it")])
def test_advice_on_a_bundle_that_loses(note: str, advice: str) -> None:
    data = _data(0.09, row("bundle", "served", 0.08, note=note), low=0.005)
    assert any(advice in warning for warning in judge(data).warnings)


def test_a_student_below_popularity_is_hardly_trained() -> None:
    warnings = judge(_data(0.09, row("popularity (tuned)", "baseline", 0.085), low=0.005)).warnings
    assert "hardly trained" in warnings[0]
    data = _data(0.09, row("popularity (tuned)", "baseline", 0.085), low=0.005)
    assert judge(data).tone == "mixed"
    assert _text(data) == (
        "Distillation helps (+12.5 % NDCG@10), but over a student that is hardly trained: alone it is below popularity."
    )
    assert not any("hardly" in w for w in judge(_data(0.09, row("popularity", "baseline", 0.05), low=0.005)).warnings)


def _heard(answered: float, teacher: str = "llm") -> Listened:
    part = ListenedPart(name="all", positions=10_016, answered=answered, first=answered, weight=answered)
    return Listened(term="soft-labels", teacher=teacher, parts=(part,))


def test_no_gain_from_a_teacher_that_hardly_spoke_says_so() -> None:
    heard = (_heard(60 / 10_016), _heard(60 / 10_016), _heard(1.0, "ease"))
    found = [w for w in judge(_data(0.081, low=-0.001, listened=heard)).warnings if "has an answer" in w]
    assert len(found) == 1
    assert found[0].startswith("llm has an answer in 60 of 10,016 places that the student learns from: too few")
    for data in (_data(0.09, low=0.005, listened=heard), _data(0.081, low=-0.001, listened=(_heard(0.06),))):
        assert not any("has an answer" in warning for warning in judge(data).warnings)


def test_nothing_to_judge() -> None:
    data = ReportData(title="t", rows=(row("alone", "alone", 0.1),))
    assert _text(data) == "There is nothing to judge yet: the student distilled was not measured."
    assert judge(ReportData(title="t", rows=())).sentence.startswith(
        "There is nothing to judge yet: the student alone and"
    )


def test_a_metric_of_zero_is_no_division() -> None:
    data = ReportData(title="t", rows=(row("a", "alone", 0.0), row("d", "distilled", 0.1)))
    assert judge(data).tone == "good"


def test_the_example_reads_well() -> None:
    assert _text(example_run()) == (
        "Distillation pays: the student ranks 12.3 % better than alone, "
        "keeps 79 % of the teacher’s lead and is 13 times smaller."
    )
