"""What arrived of the teacher, in charts and in sentences that intervals carry."""

from __future__ import annotations

from typing import Any

import pytest

from recdistill.reports import ReportData
from recdistill.reports.arrived import arrived, arrived_notes
from recdistill.reports.page import render_report
from tests.reports.example import estimate, example_run

DISTILLED = "SASRec 32 distilled"


def said(data: ReportData) -> list[str]:
    return [note.replace("\N{NO-BREAK SPACE}", " ") for note in arrived_notes(data)]


def with_agreement(**changes: Any) -> ReportData:
    """The example with other numbers of the distilled student over all users."""
    data = example_run()
    found = [
        a.model_copy(update=changes) if (a.row, a.part) == (DISTILLED, "") else a for a in data.agreements
    ]  # fmt: skip
    return data.model_copy(update={"agreements": tuple(found)})


def test_overlap_before_and_after_stands_in_words() -> None:
    moved, still, worth, ahead = said(example_run())
    assert moved == (
        "52 % of the teacher’s first 10 are among those of the distilled student, up from 31 % alone "
        "(+21.0 points, 95 % interval +20.0 to +22.0)."
    )
    assert still == "They did not clearly come closer on tail items."  # of 17 cold users nothing is said
    assert worth == (
        "Of the items that both list, 3.1 % were taken; of those that only the student lists, 1.2 %; of those that "
        "only the teacher lists, 1.9 %. Where they differ, the teacher is right more often "
        "(+0.7 points, 95 % interval +0.4 to +1.0): there is more to learn."
    )
    assert ahead == (
        "SASRec 256 + MiniLM ranks better for 7 % of the users, the distilled student for 7 %, and for the others both "
        "are equally good; the difference can be chance."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gained": estimate(0.005)}, "31 % among those of the student alone; the difference can be chance."),
        ({"gained": estimate(-0.1)}, "down from 31 % alone (−10.0 points, 95 % interval −11.0 to −9.0)."),
        ({"left": estimate(0.005)}, "Where they differ, neither is clearly right more often."),
        ({"left": estimate(-0.02)}, "the student is right more often (−2.0 points, 95 % interval −3.0 to −1.0): more"),
        ({"lead": estimate(0.02)}, "and for the others both are equally good."),
    ],
)
def test_only_what_the_interval_carries_is_claimed(changes: dict[str, Any], words: str) -> None:
    assert words in " ".join(said(with_agreement(**changes)))


def test_equal_lists_have_no_items_of_one_side_only() -> None:
    data = with_agreement(own=None, missed=None, left=None)
    assert "Of the items" not in " ".join(said(data))
    inside = arrived(data)[1]
    assert inside.body[1][2] == "–"
    assert inside.body[0][2] != "–"


def test_the_charts_have_both_students_in_every_part() -> None:
    overlap, inside, ahead = arrived(example_run())
    assert overlap.head == ("Users", "SASRec 32", DISTILLED)
    assert [line[0] for line in overlap.body] == ["all", "head", "tail", "cold"]
    text = overlap.body[0][2].replace("\N{NO-BREAK SPACE}", " ")
    assert text == "52.0 % (51.0 % – 53.0 %)"
    assert [line[0] for line in inside.body] == ["both lists", "the student’s only", "the teacher’s only"]
    assert ahead.title == "Where SASRec 256 + MiniLM is ahead"


def test_without_a_teacher_or_numbers_there_is_no_section() -> None:
    data = example_run()
    for poorer in (
        data.model_copy(update={"agreements": ()}),
        data.model_copy(update={"rows": tuple(row for row in data.rows if row.role != "teacher")}),
    ):
        assert arrived(poorer) == []
        assert arrived_notes(poorer) == []
    assert 'id="arrived"' not in render_report(data.model_copy(update={"agreements": ()}))
