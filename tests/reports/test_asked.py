"""What was asked of language models, in the page."""

from __future__ import annotations

from recdistill.reports.asked import HEADS, asked_lines
from recdistill.reports.page import render_report
from recdistill.reports.results import Asked
from tests.reports.example import example_run

GPT = Asked(
    teacher="gpt", model="big-1", questions={"answered": 1900, "refused": 60, "unparsable": 40}, requests=2100,
    tokens_in=250_000, tokens_out=2_000, seconds=75.0, money="1.50 EUR", twice=1,
)  # fmt: skip


def test_a_line_says_what_became_of_the_questions_and_what_they_cost() -> None:
    (line,) = asked_lines(example_run().model_copy(update={"asked": (GPT,)}))
    assert (line.teacher, line.model, len(line.cells)) == ("gpt", "big-1", len(HEADS))
    shown = tuple(cell.replace("\N{NO-BREAK SPACE}", " ") for cell in line.cells)
    assert shown == ("2,000", "1,900 (95 %)", "2,100", "250,000", "2,000", "1 min 15 s", "1.50 EUR")
    assert line.notes[0] == "gpt: without an answer are 60 that were refused and 40 whose answer cannot be read."
    assert line.notes[1].startswith("gpt: 1 question was with the server when a process died, and sent again; ")


def test_what_is_not_known_is_a_dash() -> None:
    free = GPT.model_copy(update={"questions": {}, "requests": None, "money": "", "twice": 0})
    (line,) = asked_lines(example_run().model_copy(update={"asked": (free,)}))
    assert (line.cells[0], line.cells[1], line.cells[2], line.cells[-1]) == ("0", "–", "–", "–")
    assert line.notes == ()


def test_the_page_shows_it_only_where_a_model_was_asked() -> None:
    page = render_report(example_run().model_copy(update={"asked": (GPT,)}))
    for text in ("What the language models were asked", "big-1", "1.50 EUR", "without an answer are 60"):
        assert text in page
    assert 'id="asked"' not in render_report(example_run())
