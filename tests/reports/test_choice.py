"""What the objectives were chosen from."""

from __future__ import annotations

from recdistill.reports import ReportData
from recdistill.reports.choice import choice_note, choice_table
from recdistill.reports.page import render_report
from recdistill.reports.results import Candidate
from tests.reports.example import example_run


def test_the_best_candidate_comes_first_and_unfinished_ones_last() -> None:
    data = example_run()
    table = choice_table(data.model_copy(update={"choice": data.choice[::-1]}))
    assert table is not None
    assert table.heads == ("NDCG@10, validation", "Epochs", "Time")
    assert [candidate.name for candidate, _ in table.lines] == ["soft labels", "RRD", "DCD"]
    assert table.lines[0][1][:2] == ("0.0791", "30")
    assert table.lines[2][1][:2] == ("–", "–")


def test_the_reason_is_said_and_shown() -> None:
    data = example_run()
    assert choice_note(data) == "The student is taught by soft labels: the best on validation."
    page = render_report(data)
    for text in ("How the objectives were chosen", "soft labels (chosen)", "stopped: beyond the time budget"):
        assert text in page


def test_where_nothing_was_chosen_there_is_no_section() -> None:
    data = example_run().model_copy(update={"choice": ()})
    assert choice_table(data) is None
    assert choice_note(data) == ""
    assert 'id="choice"' not in render_report(data)
    undecided = ReportData(title="t", rows=(), choice=(Candidate(name="a", chosen=True),))
    assert choice_note(undecided) == "The student is taught by a."
