"""Who wins for which users."""

from __future__ import annotations

from recdistill.reports import ReportData
from recdistill.reports.results import Comparison
from recdistill.reports.winners import contenders, winners, winners_notes
from tests.reports.example import example_run

DISTILLED, TEACHER = "SASRec 32 distilled", "SASRec 256 + MiniLM"


def said(data: ReportData) -> list[str]:
    return [note.replace("\N{NO-BREAK SPACE}", " ") for note in winners_notes(data)]


def in_slice(part: str, mean: float, than: str = TEACHER) -> Comparison:
    metric = f"NDCG@10/{part}"
    return Comparison(better=DISTILLED, than=than, metric=metric, difference=mean, low=mean - 0.01, high=mean + 0.01)


def test_four_stand_side_by_side_in_every_part() -> None:
    data = example_run()
    assert [row.name for row in contenders(data)] == [TEACHER, "SASRec 32", DISTILLED, "EASE"]
    metric, best = winners(data)
    assert [key.label for key in metric.key] == [row.name for row in contenders(data)]
    assert metric.head == ("Model", "head", "tail", "cold")
    assert [line[0] for line in best.body] == ["all", "head", "tail", "cold"]
    assert best.head[-2:] == ("several", "nobody")
    caption = best.caption.replace("\N{NO-BREAK SPACE}", " ")
    assert "For 66 % of all users none lists anything that was taken, for 8 % several are equally good." in caption


def test_words_name_the_parts_where_the_interval_leaves_zero_out() -> None:
    data = example_run()
    more = (in_slice("head", 0.02), in_slice("tail", -0.05), in_slice("cold", 0.5))
    notes = said(data.model_copy(update={"comparisons": (*data.comparisons, *more)}))
    assert notes == [
        "Against SASRec 256 + MiniLM, the distilled student is better on head items (+18.2 %, 95 % interval +9.1 % to "
        "+27.3 %); worse on tail items (−250.0 %, 95 % interval −300.0 % to −200.0 %).",
        "Against EASE, the distilled student is better overall (+9.6 %, 95 % interval +6.9 % to +12.3 %).",
    ]


def test_what_cannot_be_told_is_said_so() -> None:
    data = example_run().model_copy(update={"comparisons": (in_slice("head", 0.001),)})
    assert said(data) == ["The distilled student cannot be told from SASRec 256 + MiniLM, overall or on any part."]
    assert said(data.model_copy(update={"rows": ()})) == []


def test_results_from_before_have_no_second_chart() -> None:
    data = example_run()
    assert [chart.title for chart in winners(data.model_copy(update={"wins": ()}))] == ["NDCG@10 by part of the users"]
    assert winners(data.model_copy(update={"wins": (), "slices": ()})) == []
