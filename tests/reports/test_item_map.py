"""The map of both item spaces: what is drawn, what it is called, and how it is reached without a mouse."""

from __future__ import annotations

import re
from typing import Any

import pytest

from recdistill.reports import ReportData
from recdistill.reports.item_map import item_map, item_map_notes
from recdistill.reports.page import render_report
from recdistill.reports.results import ItemMap, MapItem
from tests.reports.example import estimate, example_run


def with_map(**changes: Any) -> ReportData:
    data = example_run()
    assert data.item_map is not None
    return data.model_copy(update={"item_map": data.item_map.model_copy(update=changes)})


def drawing(data: ReportData) -> str:
    return item_map(data)[0].svg


def points(svg: str, kind: str = "") -> list[tuple[float, float]]:
    """Places of marks in one of the planes."""
    marks = re.findall(r"<use( class=\"s\")? href=\"#m\d\d\" x=\"([\d.]+)\" y=\"([\d.]+)\"", svg)
    return [(float(x), float(y)) for side, x, y in marks if ("s" in side) == (kind == "s")]


def test_every_item_stands_in_both_planes() -> None:
    svg = drawing(example_run())
    here, there = points(svg), points(svg, "s")
    assert len(here) == len(there) == 6
    assert all(0 <= x <= 300 and 24 <= y <= 324 for x, y in here)
    assert all(340 <= x <= 640 and 24 <= y <= 324 for x, y in there)
    # the longest way across fills a plane, up to its edges; both planes have one scale
    both = [*here, *((x - 340, y) for x, y in there)]
    assert max(max(axis) - min(axis) for axis in zip(*both, strict=True)) == pytest.approx(276, abs=0.2)


def test_up_is_up() -> None:
    low, high = (
        MapItem(title=str(y), events=1, teacher=(0.0, y), student=(0.0, y), near_teacher=("x",)) for y in (0.0, 1.0)
    )
    found = points(drawing(with_map(items=(low, high))))
    assert found[0][1] > found[1][1]


def test_marked_items_can_be_reached_by_keyboard_and_say_what_they_are() -> None:
    svg = drawing(example_run())
    assert svg.count('tabindex="0"') == 4
    assert svg.count('tabindex="-1" aria-hidden="true"') == 2
    said = "Aliens (1986) · Action · 200 events; near it for the teacher: Alien (1979); Blade Runner (1982); for the"
    assert f'aria-label="{said}' in svg
    assert svg.count('class="tip"') == 6


def test_the_table_names_the_neighbours() -> None:
    (chart,) = item_map(example_run())
    assert chart.head[2:] == ("Nearest for SASRec 256 + MiniLM", "Nearest for SASRec 32 distilled")
    assert chart.body[0] == (
        "Aliens (1986)", "Action", "Alien (1979); Blade Runner (1982)", "Blade Runner (1982); Die Hard (1988)",
    )  # fmt: skip
    assert len(chart.body) == 4


def test_groups_have_marks_of_their_own_and_the_others_come_last() -> None:
    (chart,) = item_map(example_run())
    assert [key.label for key in chart.key] == ["Action", "Comedy", "Horror", "other"]
    assert len({(key.colour, key.shape) for key in chart.key}) == 4
    assert chart.key[-1].shape == "dot"


def test_titles_are_escaped_and_long_ones_cut() -> None:
    evil = MapItem(title='<script>"&' + "x" * 100, events=1, teacher=(0, 0), student=(0, 0), near_teacher=("<b>",))
    svg = drawing(with_map(items=(evil,)))
    assert "<script" not in svg
    assert "<b>" not in svg
    assert "x…" in svg


def test_a_map_without_groups_or_with_nothing_in_it() -> None:
    item = MapItem(title="a", events=3, teacher=(1, 1), student=(1, 1))
    (chart,) = item_map(with_map(items=(item,)))
    assert [key.label for key in chart.key] == ["items"]
    assert ">a · 3 events<" in chart.svg
    assert item_map(with_map(items=())) == []
    none = example_run().model_copy(update={"item_map": None})
    assert item_map(none) == []
    assert item_map_notes(none) == []
    assert 'id="map"' not in render_report(none)


def test_the_likeness_is_said_as_far_as_the_interval_carries_it() -> None:
    def said(data: ReportData) -> list[str]:
        return [note.replace("\N{NO-BREAK SPACE}", " ") for note in item_map_notes(data)]

    near, cka = said(example_run())
    assert near == (
        "Of the 10 items nearest to an item for SASRec 256 + MiniLM, 35 % are so for the distilled student, up from "
        "20 % alone (+15.0 points, 95 % interval +14.0 to +16.0; at random: 0.1 %)."
    )
    assert cka == (
        "Linear CKA, 1 for equal spaces and 0 for unrelated ones: 0.31 alone, 0.52 (0.50 to 0.53 over seeds) "
        "distilled, over 9,000 items."
    )
    known = example_run().item_map
    assert isinstance(known, ItemMap)
    alone, distilled = known.likeness
    unclear = with_map(likeness=(alone, distilled.model_copy(update={"gained": estimate(0.001), "cka": None})))
    assert "and 20 % for the student alone; the difference can be chance (at random: 0.1 %)." in said(unclear)[0]
    assert "not defined distilled" in said(unclear)[1]
    worse = with_map(likeness=(alone, distilled.model_copy(update={"gained": estimate(-0.1)})))
    assert ", down from 20 % alone (−10.0 points" in said(worse)[0]
    assert said(with_map(likeness=(alone,))) == []
