"""The candidates of a compression, on the page and on the terminal."""

from __future__ import annotations

import io

from rich.console import Console

from recdistill.compression.budget import Budget
from recdistill.compression.outcome import Outcome, Row
from recdistill.reports import compression_console, compression_table
from recdistill.reports.page import render_report

from .example import example_run

WHOLE = Row(
    name="uncompressed", kept=True, reason="what the others are compared with", ndcg=0.1, change=0.0, low=0.0, high=0.0,
    overlap=1.0, tail=0.02, tail_change=0.0, parameters=100, bytes=1_500_000, model_bytes=1_200_000, p50_ms=0.2,
    p99_ms=0.4, pareto=True,
)  # fmt: skip
INT8 = WHOLE.model_copy(
    update={
        "name": "int8", "change": -0.002, "low": -0.01, "high": 0.006, "bytes": 600_000, "model_bytes": 300_000,
        "reason": "NDCG@10 −0.20 % (−1.00 to +0.60), a close call: the interval goes beyond what may be lost",
    }
)  # fmt: skip
BROKEN = Row(name="broken", kept=False, reason="30% of the first 10 items came, 50% must", ndcg=0.01, change=-0.9)
FAILED = Row(name="failed", kept=False, reason="the model's vectors hold a number that is not finite")


def outcome(*rows: Row, picked: int | None = 1) -> Outcome:
    marked = [row.model_copy(update={"picked": at == picked}) for at, row in enumerate(rows)]
    return Outcome(model="sasrec", contexts=610, max_drop=0.005, budget=Budget(), rows=tuple(marked))


FOUND = outcome(WHOLE, INT8, BROKEN, FAILED)


def test_every_candidate_has_a_line_and_the_pick_a_sentence() -> None:
    table = compression_table(FOUND)
    assert [line.note for line in table.lines] == [
        "best for its cost",
        "picked; a close call: the interval goes beyond what may be lost",
        "undone: 30% of the first 10 items came, 50% must",
        "undone: the model's vectors hold a number that is not finite",
    ]
    ndcg, overlap, _, size, latency = table.lines[1].cells
    assert (ndcg.text, overlap.text, latency.text) == ("0.1000", "100\N{NO-BREAK SPACE}%", "0.20\N{NO-BREAK SPACE}ms")
    assert "−0.2" in ndcg.below
    assert size.below.endswith("25.0\N{NO-BREAK SPACE}%")
    assert table.lines[3].cells[0].text == "–"
    assert table.sentence.startswith("int8 was picked: vectors and encoder are 4.0 times smaller, NDCG@10 −0.2")
    assert table.sentence.endswith("3 steps were tried, 2 undone by the gate.")


def test_a_pick_is_all_the_steps_that_led_to_it() -> None:
    last = INT8.model_copy(update={"name": "deflate"})
    found = compression_table(outcome(WHOLE, INT8, BROKEN, last, picked=3))
    assert found.sentence.startswith("int8 + deflate was picked: ")


def test_other_picks_have_other_sentences() -> None:
    assert compression_table(outcome(WHOLE, INT8, picked=None)).sentence.startswith("No candidate fits the budget; 1")
    assert compression_table(outcome(WHOLE, INT8, picked=0)).sentence.startswith("The uncompressed model was picked;")


def test_the_terminal_gets_it_in_two_widths() -> None:
    shown = {}
    for width in (80, 140):
        page = io.StringIO()
        Console(file=page, width=width).print(compression_console(FOUND, width))
        shown[width] = page.getvalue()
        assert "int8" in shown[width]
        assert max(map(len, shown[width].splitlines())) <= width
    assert "30% of the first" in shown[140]
    assert "30% of the first" not in shown[80]
    assert "undone" in shown[80]
    assert "99th percentile" in shown[140]
    assert "99th percentile" not in shown[80]


def test_the_page_has_a_section_only_if_something_was_compressed() -> None:
    assert "<h2>Compression</h2>" not in render_report(example_run())
    page = render_report(example_run(), FOUND)
    section = page.partition("<h2>Compression</h2>")[2].partition("</section>")[0]
    assert "int8 was picked" in section
    assert section.count("<tr") == 5
    assert "On 610 validation users." in section
