"""Results of a made-up run, with every part of a report filled in."""

from __future__ import annotations

import math
from typing import Any

from recdistill.reports.results import (
    Agreement,
    Candidate,
    Comparison,
    Curve,
    DataReport,
    Estimate,
    Example,
    ItemMap,
    Likeness,
    MapItem,
    ReportData,
    Reproduce,
    Row,
    Slice,
    Stage,
    Suggestion,
    Wins,
)

_METRIC = "NDCG@10"


def row(name: str, role: Any, value: float, **more: Any) -> Row:
    """A row with both metrics and intervals of ± 0.003."""
    metrics = {_METRIC: value, "HR@10": value * 1.9}
    intervals = {key: (mean - 0.003, mean + 0.003) for key, mean in metrics.items()}
    return Row(name=name, role=role, metrics=metrics, intervals=intervals, **more)


def difference(better: str, than: str, mean: float, room: float = 0.002) -> Comparison:
    """A paired difference with its interval."""
    return Comparison(better=better, than=than, metric=_METRIC, difference=mean, low=mean - room, high=mean + room)


def example_run(distilled: float = 0.0812, baseline: float = 0.0741, teacher: float = 0.0835) -> ReportData:
    """Teacher, student alone (0.0723), distilled, served, three baselines."""
    rows = (
        row("SASRec 256 + MiniLM", "teacher", teacher, parameters=4_310_000, bytes=17_240_000, latency_ms=3.4),
        row("Text encoder alone", "teacher", 0.031, parameters=3_740_000, bytes=7_500_000, latency_ms=1.1),
        row("SASRec 32", "alone", 0.0723, seeds=5, parameters=341_000, bytes=1_364_000, latency_ms=0.81, overlap=0.31),
        row(
            "SASRec 32 distilled",
            "distilled",
            distilled,
            seeds=5,
            parameters=341_000,
            bytes=1_364_000,
            latency_ms=0.81,
            overlap=0.52,
            transfer_ratio=(distilled - 0.0723) / (teacher - 0.0723),
            transfer_interval=(0.61, 1.02),
            spread={_METRIC: 0.00123},
        ),
        row(
            "int8 bundle",
            "served",
            distilled - 0.0003,
            parameters=341_000,
            bytes=572_000,
            latency_ms=0.12,
            overlap=0.51,
        ),
        row("EASE", "baseline", baseline, parameters=94_000_000, bytes=3_900_000, latency_ms=0.35, overlap=0.28),
        row("item-kNN", "baseline", 0.0688, parameters=974_200, bytes=2_900_000, latency_ms=0.30, overlap=0.26),
        row("Popularity", "baseline", 0.0214, parameters=9_742, bytes=190_000, latency_ms=0.02, overlap=0.05),
    )
    runs = (("alone", 0.0723, 0.0), ("distilled", distilled, 0.4))
    comparisons = (
        difference("SASRec 32 distilled", "SASRec 32", distilled - 0.0723),
        difference("SASRec 32 distilled", "EASE", distilled - baseline),
        difference("SASRec 32 distilled", "item-kNN", distilled - 0.0688),
        difference("int8 bundle", "SASRec 32 distilled", -0.0003, 0.0004),
    )
    return ReportData(
        title="MovieLens latest-small",
        rows=rows,
        comparisons=comparisons,
        curves=tuple(_curves(runs)),
        slices=_slices(),
        agreements=tuple(_agreements()),
        wins=tuple(_wins()),
        item_map=_item_map(),
        choice=_choice(),
        examples=_examples(),
        data=DataReport(
            name="ml-latest-small",
            read=100_836,
            kept=98_204,
            dropped={"duplicate event": 12, "fewer than 3 events": 2_620},
            users=610,
            items=9_742,
            split="leave-last-out",
            parts={"training events": 96_984, "validation users": 610, "test users": 610},
            licence="Licence: see the README of GroupLens.",
        ),
        stages=(
            Stage(name="data", seconds=0.8, cached=True),
            Stage(name="teach: text encoder", seconds=34.0),
            Stage(name="teach: SASRec 256", seconds=121.0),
            Stage(name="train alone (5 seeds)", seconds=64.0),
            Stage(name="train distilled (5 seeds)", seconds=71.0),
            Stage(name="evaluate", seconds=6.2),
            Stage(name="bundle", seconds=1.1),
        ),
        reproduce=Reproduce(
            recipe="data:\n  read: movielens\nstudent:\n  model: sasrec\n  dim: 32\n",
            commands=("pip install 'recdistill[demo]==0.1.0'", "recdistill run movies.yaml"),
            versions={"recdistill": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
            fingerprints={"dataset": "1f2e3d4c5b6a7988", "split": "99aabbccddeeff00"},
            hardware="2 cores, 8 GB memory",
        ),
    )


def _curves(runs: Any) -> Any:
    epochs = tuple(float(e) for e in range(1, 31))
    for run, top, shift in runs:
        values = tuple(top * (1 - math.exp(-e / 6)) for e in epochs)
        yield Curve(
            run=run,
            term="NDCG@10",
            epochs=epochs,
            values=values,
            low=tuple(v * 0.96 for v in values),
            high=tuple(v * 1.03 for v in values),
        )
        yield Curve(
            run=run,
            term="loss: cross-entropy",
            epochs=epochs,
            values=tuple(6 + shift + 3 * math.exp(-e / 5) for e in epochs),
        )
        yield Curve(run=run, term="weight: cross-entropy", epochs=epochs, values=(0.5,) * len(epochs))
    soft = tuple(2 + 2 * math.exp(-e / 7) for e in epochs)
    yield Curve(run="distilled", term="loss: soft labels", epochs=epochs, values=soft)
    fading = tuple(max(1 - e / 20, 0.0) for e in epochs)
    yield Curve(run="distilled", term="weight: soft labels", epochs=epochs, values=fading)


def estimate(value: float, room: float = 0.01) -> Estimate:
    """With an interval of ± ``room``."""
    return Estimate(value=value, low=value - room, high=value + room)


def _agreements() -> Any:
    for row, overlap in (("SASRec 32", 0.31), ("SASRec 32 distilled", 0.52)):
        for part, contexts in (("", 610), ("head", 402), ("tail", 191), ("cold", 17)):
            yield Agreement(
                row=row,
                part=part,
                contexts=contexts,
                k=10,
                overlap=estimate(overlap - 0.1 * (part == "tail")),
                gained=None if row == "SASRec 32" else estimate(0.0 if part == "tail" else 0.21),
                both=estimate(0.031, 0.002),
                own=estimate(0.012, 0.002),
                missed=estimate(0.019, 0.002),
                left=estimate(0.007, 0.003),
                behind=estimate(0.12 - overlap / 10),
                ahead=estimate(0.04 + overlap / 20),
                lead=estimate(-0.08 + overlap * 0.15),
            )


def _wins() -> Any:
    names = ("SASRec 256 + MiniLM", "SASRec 32", "SASRec 32 distilled", "EASE")
    for part, contexts in (("", 610), ("head", 402), ("tail", 191), ("cold", 17)):
        best = {name: estimate(0.05 + 0.01 * at) for at, name in enumerate(names)}
        yield Wins(part=part, contexts=contexts, best=best, several=estimate(0.08), nobody=estimate(0.66))


def _item_map() -> ItemMap:
    films = (
        "Aliens (1986)",
        "Alien (1979)",
        "Blade Runner (1982)",
        "Die Hard (1988)",
        "Annie Hall (1977)",
        "Manhattan",
    )
    groups = ("Action", "Horror", "Action", "Action", "Comedy", "other")
    items = tuple(
        MapItem(
            title=title,
            group=group,
            events=200 - 30 * at,
            teacher=(math.cos(at), math.sin(at)),
            student=(math.cos(at + 0.2), 0.8 * math.sin(at)),
            near_teacher=films[1:3] if at < 4 else (),
            near_student=films[2:4] if at < 4 else (),
        )
        for at, (title, group) in enumerate(zip(films, groups, strict=True))
    )
    likeness = (
        Likeness(row="SASRec 32", cka=0.31, neighbours=estimate(0.2)),
        Likeness(
            row="SASRec 32 distilled", cka=0.52, cka_range=(0.5, 0.53), neighbours=estimate(0.35), gained=estimate(0.15)
        ),
    )
    return ItemMap(
        teacher="SASRec 256 + MiniLM", student="SASRec 32 distilled", kept=(0.31, 0.24), items=items,
        measured=9_000, k=10, likeness=likeness,
    )  # fmt: skip


def _choice() -> tuple[Candidate, ...]:
    return (
        Candidate(name="soft labels", about="cross-entropy + soft labels", score=0.0791, epochs=30, seconds=71.0,
                  chosen=True, reason="the best on validation"),
        Candidate(name="RRD", about="cross-entropy + rrd", score=0.0774, epochs=28, seconds=83.0),
        Candidate(name="DCD", seconds=12.0, reason="stopped: beyond the time budget"),
    )  # fmt: skip


def _slices() -> tuple[Slice, ...]:
    names = ("SASRec 256 + MiniLM", "SASRec 32", "SASRec 32 distilled", "EASE")
    parts = (
        ("head", "target among the 20 % most popular items", 402, 0.11),
        ("tail", "target among the other items", 191, 0.02),
        ("cold", "target without a training event", 17, 0.004),
    )
    return tuple(
        Slice(
            name=name,
            meaning=meaning,
            contexts=n,
            values=dict(zip(names, (v, v * 0.8, v * 0.95, v * 0.9), strict=True)),
            intervals=dict.fromkeys(names, (v * 0.7, v * 1.1)),
        )
        for name, meaning, n, v in parts
    )


def _examples() -> tuple[Example, ...]:
    films = (
        "Aliens (1986)",
        "Blade Runner (1982)",
        "Die Hard (1988)",
        "Indiana Jones and the Last Crusade (1989)",
        "Back to the Future (1985)",
    )
    hit = tuple(Suggestion(title=t, hit=t.startswith("Aliens")) for t in films)
    return (
        Example(
            history=("Alien (1979)", "Terminator, The (1984)", "Predator (1987)"),
            target="Aliens (1986)",
            lists={
                "SASRec 256 + MiniLM": hit,
                "SASRec 32": tuple(Suggestion(title=t) for t in films[1:]),
                "SASRec 32 distilled": hit,
            },
        ),
    )
