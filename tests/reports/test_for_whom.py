"""For whom knowledge helps, hurts or cannot be told from nothing, in plain words."""

from __future__ import annotations

import json
from pathlib import Path

from recdistill.reports import ReportData, console_table, judge
from recdistill.reports.charts import charts_of
from recdistill.reports.for_whom import FEW, notes, slice_table
from recdistill.reports.page import render_report
from recdistill.reports.results import Comparison, Slice
from recdistill.reports.table import comparison_table
from tests.reports.example import difference, example_run, row

ALONE, DISTILLED, PART = "student alone", "student distilled", "student, llm-only"
CONTEXTS = {"head": 400, "tail": 200, "cold": FEW - 1, "short": 300, "long": FEW}


def run(effects: dict[str, float], distilled: dict[str, float] | None = None, **more: float) -> ReportData:
    """Differences from alone by slice, with intervals of ± 0.002; alone has 0.1 overall and 0.05 in slices."""
    rows = [row("teacher", "teacher", 0.2), row(ALONE, "alone", 0.1), row(DISTILLED, "distilled", 0.12)]
    pairs = [difference(DISTILLED, ALONE, 0.02)]
    if effects:
        rows.append(row(PART, "ablation", 0.1 + effects[""], part="llm-only"))
        pairs.append(difference(PART, DISTILLED, more.get("lead", effects[""] - 0.02)))
    for name, found in ((PART, effects), (DISTILLED, distilled or {})):
        pairs += [_in_slice(difference(name, ALONE, mean), part) for part, mean in found.items()]
    slices = (
        Slice(name=part, contexts=n, values={r.name: more.get("base", 0.05) for r in rows})
        for part, n in CONTEXTS.items()
    )
    return ReportData(title="t", rows=tuple(rows), comparisons=tuple(pairs), slices=tuple(slices))


def _in_slice(found: Comparison, part: str) -> Comparison:
    return found.model_copy(update={"metric": f"{found.metric}/{part}"}) if part else found


def said(data: ReportData) -> list[str]:
    return [note.replace("\N{NO-BREAK SPACE}", " ") for note in notes(data)]


MIXED = {"": 0.001, "head": 0.0, "tail": 0.006, "cold": -0.03, "short": 0.001, "long": -0.004}


def test_an_ablation_helps_hurts_or_cannot_be_told() -> None:
    assert said(run(MIXED)) == [
        "Knowledge of llm-only alone: helps on tail items (+12.0 %, 95 % interval +8.0 % to +16.0 %); "
        "hurts on long histories (−8.0 %, 95 % interval −12.0 % to −4.0 %); "
        "cannot be told from nothing overall, on head items and on short histories; "
        "too few users to tell on cold items (19)."
    ]


def test_good_and_bad_throughout() -> None:
    good = dict.fromkeys(MIXED, 0.01) | {"": 0.01}
    assert said(run(good))[0].startswith(
        "Knowledge of llm-only alone: helps overall (+10.0 %, 95 % interval +8.0 % to +12.0 %), on head items (+20.0 %"
    )
    bad = {part: -mean for part, mean in good.items()}
    assert "helps" not in said(run(bad))[0]
    assert "hurts overall (−10.0 %" in said(run(bad))[0]


def test_a_part_that_beats_the_whole_is_named() -> None:
    assert said(run(dict.fromkeys(MIXED, 0.03), lead=0.012))[1] == (
        "llm-only alone is better than all of the knowledge together: "
        "overall (+10.0 %, 95 % interval +8.3 % to +11.7 %)."
    )


def test_the_distilled_student_is_named_only_where_it_is_worse() -> None:
    assert said(run({}, {"head": 0.02, "short": 0.001, "cold": -0.03})) == []
    assert said(run({}, {"head": 0.02, "tail": -0.0045, "long": -0.01})) == [
        "The distilled student is worse than alone on tail items (−9.0 %, 95 % interval −13.0 % to −5.0 %) "
        "and on long histories (−20.0 %, 95 % interval −24.0 % to −16.0 %)."
    ]


def test_where_the_student_alone_finds_nothing_the_difference_stands_as_it_is() -> None:
    assert "on tail items (+0.0060, 95 % interval +0.0040 to +0.0080)" in said(run(MIXED, base=0.0))[0]


def test_the_notes_are_warnings_of_the_verdict_and_stand_on_the_page() -> None:
    data = run(MIXED, {"tail": -0.0045, "head": 0.001})
    assert judge(data).warnings[-2:] == tuple(notes(data))
    page = render_report(data).replace("\N{NO-BREAK SPACE}", " ")
    for text in (*said(data), "Differences", "−13.0 % to −5.0 %", "too few users", "<tr class"):
        assert text in page
    assert "NDCG@10/tail" not in page  # differences in slices stand with the slices only
    assert '<tr class="ablation">' in page


def test_the_table_in_slices_has_gaps_where_nothing_was_compared() -> None:
    table = slice_table(run(MIXED, {"tail": -0.0045}))
    assert table is not None
    assert table.pairs == ((DISTILLED, ALONE), (PART, ALONE))
    lines = {name: [cell.text.replace("\N{NO-BREAK SPACE}", " ") for cell in cells] for name, _, cells in table.lines}
    assert lines["tail"] == ["−9.0 %", "+12.0 %"]
    assert lines["head"] == ["–", "0.0 %"]
    assert slice_table(run({})) is None


def test_an_ablation_comes_after_distilled_and_is_muted() -> None:
    data = run(MIXED)
    assert [line.row.role for line in comparison_table(data).lines] == ["teacher", "alone", "distilled", "ablation"]
    name = list(console_table(data).columns[0].cells)[-1]
    assert str(name) == PART
    assert getattr(name, "style", None) == "dim"
    assert PART in {line[0] for line in charts_of(data)["comparison"][0].body}


def test_results_from_before_ablations_still_load(tmp_path: Path) -> None:
    old = json.loads(example_run().model_dump_json())
    for found in old["rows"]:
        del found["part"]
    (tmp_path / "results.json").write_text(json.dumps(old))
    data = ReportData.read(tmp_path / "results.json")
    assert data == example_run()
    assert notes(data) == []
    assert slice_table(data) is None
    assert slice_table(ReportData(title="t", rows=())) is None
    assert notes(ReportData(title="t", rows=())) == []


def test_an_ablation_without_comparisons_says_nothing() -> None:
    data = run(MIXED)
    assert notes(data.model_copy(update={"comparisons": ()})) == []
