"""Curves of the loss terms and of what they weigh."""

from __future__ import annotations

from recdistill.reports import ReportData
from recdistill.reports.figures import lines
from recdistill.reports.learning import learning
from recdistill.reports.page import render_report
from recdistill.reports.results import Curve, Listened, ListenedPart
from tests.reports.example import example_run


def run(*curves: Curve) -> ReportData:
    return ReportData(title="t", rows=(), curves=curves)


def curve(run: str, term: str, *values: float | None) -> Curve:
    return Curve(run=run, term=term, epochs=tuple(range(1, len(values) + 1)), values=values)


def test_validation_comes_first_and_a_weight_that_changes_is_drawn() -> None:
    titles = [chart.title for chart in learning(example_run())]
    assert titles == ["NDCG@10", "Loss: cross-entropy", "Loss: soft labels", "Weights, distilled"]


def test_a_weight_that_stays_is_said_and_not_drawn() -> None:
    same = run(
        curve("distilled", "loss: a", 3, 2), curve("distilled", "weight: a", 0.5, 0.5),
        curve("alone", "loss: a", 3, 2), curve("alone", "weight: a", 0.5, 0.5),
    )  # fmt: skip
    (chart,) = learning(same)
    assert chart.caption.endswith("before its weight, which is 0.5.")
    other = run(*same.curves[:3], curve("alone", "weight: a", 1, 1))
    assert learning(other)[0].caption.endswith("which is 0.5 (distilled); 1 (alone).")
    changing = run(*same.curves[:3], curve("alone", "weight: a", 1, 0))
    first, weights = learning(changing)
    assert first.caption.endswith("which is 0.5 (distilled); changing (alone), see below.")
    assert weights.title == "Weights, alone"
    assert weights.body == (("a", "1.0000", "1.0000", "0.0000"),)


def test_results_without_weights_say_nothing_about_them() -> None:
    (chart,) = learning(run(curve("distilled", "loss: a", 3, 2)))
    assert chart.caption.endswith("before its weight.")
    assert chart.key == ()


def test_the_distilled_student_comes_first_and_every_line_has_its_own_dashes() -> None:
    runs = ("alone", "a", "b", "c", "d", "distilled", "e", "f")
    (chart,) = learning(run(*(curve(name, "ndcg", 0.1, 0.2) for name in runs)))
    assert [key.label for key in chart.key] == ["distilled", "alone", "a", "b", "c", "d"]
    assert len({key.dash for key in chart.key}) == 6
    assert [line[0] for line in chart.body] == ["distilled", "alone", "a", "b", "c", "d", "e", "f"]
    assert chart.key[0].colour == "var(--accent)"


def test_a_line_without_values_has_no_dot() -> None:
    (chart,) = learning(run(curve("distilled", "ndcg", 0.1), curve("alone", "ndcg", None)))
    assert chart.body[1] == ("alone", "–", "–", "–")
    assert lines("t", "c", [], best=True).body == ()


def test_a_teacher_that_fell_silent_is_said() -> None:
    part = ListenedPart(name="tail", positions=1200, answered=1.0, listed=0.25, first=1.0, weight=0.4)
    heard = Listened(term="soft-labels", teacher="large", parts=(part,), silent_from=7, why="the schedule ended")
    page = render_report(example_run().model_copy(update={"listened": (heard,)}))
    assert "Silent from epoch 7 on: the schedule ended." in page
    assert "<td>0.40</td>" in page
    assert "1,200" in page
    assert "Silent from" not in render_report(example_run())


def test_terms_are_told_apart_by_their_teachers() -> None:
    terms = {"soft-labels": ("big",), "soft-labels#2": ("self",), "several": ("big", "near")}
    curves = [curve("distilled", f"{what}: {term}", 3, 2) for term in terms for what in ("loss", "weight")]
    curves += [curve("distilled", "weight: task", 1, 0)]
    heard = [Listened(term=term, teacher=name, parts=()) for term, names in terms.items() for name in names]
    charts = learning(
        run(*curves, curve("distilled", "loss: task", 3, 2)).model_copy(update={"listened": tuple(heard)})
    )
    titles = [chart.title for chart in charts]
    assert titles[:4] == [
        "Loss: soft-labels, big", "Loss: soft-labels#2, self", "Loss: several, big and near", "Loss: task",
    ]  # fmt: skip
    assert "soft-labels#2, self" in str(charts[-1])
