from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from recdistill.errors import RunError
from recdistill.reports import ReportData, console_table, write_report
from recdistill.reports.drawing import LABEL_PLACES, place_labels
from recdistill.reports.page import render_report
from recdistill.reports.results import Curve, Example, Row, Suggestion
from recdistill.reports.table import comparison_table
from tests.reports.example import example_run


class _Outline(HTMLParser):
    """Open tags, ids and visible text; fails on tags that are closed in the wrong order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "link"):
            self.open.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(example_run())


def test_the_page_is_whole_and_has_every_section(page: str) -> None:
    outline = _Outline(page)
    sections = [
        "comparison",
        "choice",
        "arrived",
        "cost",
        "slices",
        "map",
        "curves",
        "examples",
        "data",
        "time",
        "reproduce",
    ]
    assert [name for name in outline.ids if name in sections] == sections
    for text in (
        "Distillation pays",
        "distilled, 5 seeds (± 0.0012 between them)",
        "dropped: duplicate event",
        "recdistill run movies.yaml",
        "Aliens (1986)",
        "touches zero",
    ):
        assert text in outline.text


def test_the_page_needs_no_network(page: str) -> None:
    links = [link for link in re.findall(r"https?://[^\"'<\s]+", page) if "www.w3.org" not in link]
    assert links == []
    assert "default-src 'none'" in page
    for tag in ("<script", "<link", "<img", "@import", "url("):
        assert tag not in page


def test_charts_take_the_colours_of_the_page_and_have_a_table(page: str) -> None:
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert len(figures) == 13
    for figure in figures:
        assert "<svg" in figure
        assert "As a table" in figure
        for drawn in re.findall(r"<svg.*?</svg>", figure, re.DOTALL):
            assert re.findall(r'(?:fill|stroke)="(?:#|rgb)', drawn) == []
            assert "var(--" in drawn or 'class="map"' in drawn  # whose colours are in the style of the page
    assert "prefers-color-scheme: dark" in page


def test_what_comes_from_outside_is_escaped() -> None:
    evil = "<script>alert('x')</script> & \"co\" 🎬"
    data = example_run()
    rows = (*data.rows, Row(name=evil, role="baseline", metrics={"NDCG@10": 0.05}))
    example = Example(history=(evil,), target=evil, lists={evil: (Suggestion(title=evil),)})
    text = render_report(data.model_copy(update={"title": evil, "rows": rows, "examples": (example,)}))
    assert "<script" not in text
    _Outline(text)


def test_an_empty_run_still_gives_a_page() -> None:
    outline = _Outline(render_report(ReportData(title="nothing yet", rows=())))
    assert "There is nothing to judge yet" in outline.text
    assert "comparison" not in outline.ids


def test_rows_with_gaps() -> None:
    rows = (
        Row(name="a", role="alone", metrics={"NDCG@10": 0.1}),
        Row(name="t", role="teacher", metrics={}),
        Row(name="d", role="distilled", metrics={"NDCG@10": 0.2}, bytes=10, latency_ms=1),
    )
    curves = (
        Curve(run="distilled", term="loss: x", epochs=(1, 2), values=(None, 1.0)),
        Curve(run="a", term="v", epochs=(), values=()),
    )
    data = ReportData(title="gaps", rows=rows, curves=curves)
    outline = _Outline(render_report(data))
    assert "cost" not in outline.ids
    assert "curves" in outline.ids
    assert [line.row.name for line in comparison_table(data).lines] == ["t", "a", "d"]


def test_names_with_the_same_beginning_keep_their_own_lines() -> None:
    names = ["a very long name of a student, alone", "a very long name of a student, distilled"]
    roles = ("alone", "distilled")
    rows = tuple(Row(name=n, role=r, metrics={"NDCG@10": 0.1}) for n, r in zip(names, roles, strict=True))
    text = render_report(ReportData(title="t", rows=rows))
    assert text.count("a very long name of…") == 2


def test_the_json_form_survives(tmp_path: Path) -> None:
    data = example_run()
    data.write(tmp_path / "results.json")
    assert ReportData.read(tmp_path / "results.json") == data


def test_the_page_goes_to_a_file_or_into_a_directory(tmp_path: Path) -> None:
    data = ReportData(title="nothing yet", rows=())
    (tmp_path / "out").mkdir()
    assert write_report(data, tmp_path / "out") == tmp_path / "out" / "report.html"
    assert write_report(data, tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "Invalid JSON"),
        ('{"title": "t"}', "rows: Field required"),
        ('{"title": "t", "rows": [{"name": "a", "role": "pupil", "metrics": {}}]}', "rows.0.role"),
        ('{"title": "t", "rows": [], "extra": 1}', "extra: Extra inputs"),
    ],
)
def test_a_wrong_json_names_the_place(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RunError, match=message) as caught:
        ReportData.read(path)
    assert "\n" not in str(caught.value)


def test_the_terminal_shows_the_same_table() -> None:
    out = io.StringIO()
    Console(file=out, width=160).print(console_table(example_run()))
    text = out.getvalue()
    for part in ("SASRec 32 distilled", "0.0835 *", "0.0782 – 0.0842", "0.57", "student alone", "52"):
        assert part in text


def test_the_best_includes_what_cannot_be_told_from_it() -> None:
    data = example_run(baseline=0.0813)
    table = comparison_table(data.model_copy(update={"rows": tuple(r for r in data.rows if r.role != "teacher")}))
    best = {line.row.name for line in table.lines if line.cells[0].best}
    assert best == {"EASE", "SASRec 32 distilled"}
    assert [column.label for column in table.columns][:2] == ["NDCG@10", "HR@10"]


def test_a_comparison_reads_both_ways() -> None:
    data = example_run()
    student, ease = (next(r for r in data.rows if r.name == name) for name in ("SASRec 32 distilled", "EASE"))
    forth, back = data.comparison(student, ease), data.comparison(ease, student)
    assert forth is not None
    assert back is not None
    assert (back.difference, back.low, back.high) == (-forth.difference, -forth.high, -forth.low)
    assert data.comparison(ease, next(r for r in data.rows if r.name == "Popularity")) is None


def test_labels_do_not_lie_on_each_other() -> None:
    spots = [(60.0 * (at % 3), 40.0 * (at // 3)) for at in range(6)]
    marks = [(x - 8, y - 8, x + 8, y + 8) for x, y in spots]
    places = place_labels(spots, marks, ["name"] * 6, (250, 190))
    found = {(spot, LABEL_PLACES[at]) for spot, at in zip(spots, places, strict=True)}
    assert len(found) == 6


def test_a_narrow_terminal_keeps_names_and_numbers_whole() -> None:
    out = io.StringIO()
    data = example_run()
    Console(file=out, width=80).print(console_table(data, 80))
    shown = out.getvalue()
    assert "…" not in shown
    for row in data.rows:
        assert row.name in shown
        assert f"{row.metrics[data.metric]:.4f}" in shown
