"""What each round of asking brought, in the page and in words."""

from __future__ import annotations

from recdistill.reports.page import render_report
from recdistill.reports.results import Asking, Round
from recdistill.reports.rounds import rounds_tables, rounds_words
from tests.reports.example import example_run

FIRST = Round(
    number=1, by="random", candidates="teacher", contexts=1250, lists=1200, questions=1250, tokens=90_000, money=1.5,
    score=0.05, gain=0.01,
)  # fmt: skip
SECOND = FIRST.model_copy(update={"number": 2, "candidates": "student", "contexts": 50, "score": None, "gain": None})
ASKING = Asking(
    teacher="gpt", metric="NDCG@10", alone=0.04, currency="EUR", rounds=(FIRST, SECOND), ended="the budget is spent"
)


def test_a_line_for_each_round_and_one_for_the_student_before() -> None:
    (table,) = rounds_tables(example_run().model_copy(update={"rounds": (ASKING,)}))
    assert table.heads == ("Contexts", "Lists", "Questions", "Tokens", "EUR", "NDCG@10, validation", "Gain")
    assert [len(cells) for _, _, cells in table.lines] == [7, 7, 7]
    assert table.lines[0][2][-2:] == ("0.0400", "")
    assert table.lines[1][2] == ("1,250", "1,200", "1,250", "90,000", "1.50", "0.0500", "+0.0100")
    assert table.lines[2][1:] == (
        "by random; the student's own first items", ("50", "1,200", "1,250", "90,000", "1.50", "–", "–")
    )  # fmt: skip


def test_what_was_free_has_no_column_of_money() -> None:
    free = ASKING.model_copy(update={"rounds": (FIRST.model_copy(update={"money": 0.0}),)})
    (table,) = rounds_tables(example_run().model_copy(update={"rounds": (free,)}))
    assert "EUR" not in table.heads
    assert [len(cells) for _, _, cells in table.lines] == [6, 6]


def test_two_sentences_say_what_it_brought_and_why_it_ended() -> None:
    expected = "gpt: 1,300 contexts in 2 rounds; NDCG@10 on validation went from 0.0400 to 0.0500."
    assert rounds_words(ASKING) == f"{expected} No further round: the budget is spent."
    nothing = ASKING.model_copy(update={"rounds": (SECOND,)})
    assert "50 contexts in 1 round; NDCG@10 on validation went from 0.0400 to 0.0400." in rounds_words(nothing)


def test_the_page_shows_them_only_where_there_were_any() -> None:
    page = render_report(example_run().model_copy(update={"rounds": (ASKING,)}))
    for text in ("What each round of asking brought", "by random; candidates: teacher", "No further round: the budget"):
        assert text in page
    assert 'id="rounds"' not in render_report(example_run())
