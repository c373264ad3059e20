"""Everything a run measures on the test part, and the form it takes in the report."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from ..compression.served import ServedModel
from ..evaluation import Evaluation, evaluate
from ..models import RankingModel, load_model
from ..reports import results as report
from ..serving import Bundle
from .arrival import agreements, wins
from .comparisons import ALONE, DISTILLED, SERVED, best_baseline, comparisons, shown, transfer_interval
from .item_map import item_map, teacher_space
from .task_results import task_results
from .teach import load_ranker
from .told import asked_in_rounds, asked_of_models, candidates, listened

if TYPE_CHECKING:
    from ..stages import Stage
    from .run import Run

__all__ = ["curves", "measure"]

_BEYOND = ("coverage", "gini", "novelty", "diversity")
_LISTED = 5
_TIMED = 300
_PACKAGES = (
    "recdistill",
    "numpy",
    "torch",
    "transformers",
    "sentence-transformers",
    "onnxruntime",
    "polars",
    "pyarrow",
)


def measure(run: Run, path: Path) -> None:
    """Evaluate all models of a run on the test part, once, and write ``results.json``.

    Args:
        run: Its stages before this one are done.
        path: The file to write.
    """
    trainings = run.trainings
    models, roles = _models(run, trainings)
    main = run.recipe.main_teacher()
    result = evaluate(models, run.split, "test", run.recipe.evaluate.k, teacher=main,
                      exclude_history=run.recipe.exclude_history)  # fmt: skip
    metric = run.recipe.evaluate.metric
    bundle = Bundle.open(run.served.path / "bundle")
    choice, choice_metric = candidates(run)
    data = report.ReportData(
        title=run.recipe.title,
        metric=shown(metric),
        rows=tuple(_row(result, name, role, run, bundle) for name, role in roles.items()),
        comparisons=tuple(comparisons(result, roles, metric, run.recipe.seeds.index(run.served.info["seed"]))),
        curves=tuple(curves(trainings)),
        item_map=_item_map(run, models),
        slices=tuple(_slices(result, roles, metric)),
        agreements=tuple(agreements(result, roles, metric)),
        wins=tuple(wins(result, _contenders(result, roles, metric), metric)),
        choice=tuple(choice),
        choice_metric=choice_metric,
        asked=tuple(asked_of_models(run)),
        rounds=tuple(asked_in_rounds(run)),
        listened=tuple(listened(run.settled("distilled"), trainings["distilled"])),
        tasks=tuple(task_results(run)),
        examples=tuple(_examples(run, result, main)),
        data=_data(run),
        stages=tuple(report.Stage(name=s.name, seconds=s.seconds, cached=s.cached) for s in run.stages.finished),
        reproduce=_reproduce(run),
    )
    data.write(path)


def _models(
    run: Run, trainings: Mapping[str, Sequence[Stage]]
) -> tuple[dict[str, Sequence[RankingModel]], dict[str, report.Role]]:
    """Every model to compare, by name of its row, and the roles of the rows in the order of the table."""
    places = {stage.name.removeprefix("teach/"): stage.path for stage in run.taught}
    models: dict[str, Sequence[RankingModel]] = {}
    roles: dict[str, report.Role] = {}
    main, latest_first = run.recipe.main_teacher(), run.recipe.teachers[::-1]
    for spec in sorted(latest_first, key=lambda spec: spec.id != main):  # the main teacher first of all
        if spec.ranks and run.recipe.task_of(spec) == run.recipe.student.task:
            models[spec.id], roles[spec.id] = [load_ranker(run.recipe, spec.id, places)], "teacher"
    for teacher in run.recipe.student.distilled.live:
        places_beside = [stage.path / "beside" / teacher.id for stage in trainings["distilled"]]
        if all(place.exists() for place in places_beside):
            models[teacher.id], roles[teacher.id] = [load_model(place) for place in places_beside], "teacher"
    for name, (kind, role) in _trained(run).items():
        models[name], roles[name] = [load_model(stage.path / "model") for stage in trainings[kind]], role
    models[SERVED], roles[SERVED] = [ServedModel(run.served.path / "bundle")], "served"
    for name in run.recipe.evaluate.baselines:
        if (run.baselines.path / name).exists():
            models[f"{name} (tuned)"], roles[f"{name} (tuned)"] = [load_model(run.baselines.path / name)], "baseline"
    return models, roles


def _trained(run: Run) -> dict[str, tuple[str, report.Role]]:
    """The student's trainings by name of their row: what the run calls each, and its role."""
    parts: dict[str, tuple[str, report.Role]] = {
        f"student, {kind}": (kind, "ablation") for kind in run.recipe.student.ablations
    }
    return {DISTILLED: ("distilled", "distilled"), **parts, ALONE: ("alone", "alone")}


def _row(result: Evaluation, name: str, role: report.Role, run: Run, bundle: Bundle) -> report.Row:
    metric = run.recipe.evaluate.metric
    names = dict.fromkeys([metric, *(f"{m}@{k}" for k in result.k for m in ("ndcg", "recall", "hr"))])
    intervals = {m: result.interval(m, name) for m in names}
    taught = role in ("distilled", "ablation", "served") and result.teacher is not None
    transfer = result.transfer(name, ALONE, metric).ratio if taught else None
    between = _transfer_interval(result, name, metric) if transfer is not None else None
    beyond = {f"{m}@{result.k[len(result.k) // 2]}": m for m in _BEYOND}
    lists = {key: result.mean(key, name) for key in beyond}
    parameters = result.parameters[name]
    return report.Row(
        name=name,
        role=role,
        metrics={shown(m): found.mean for m, found in intervals.items()}
        | {k: v for k, v in lists.items() if np.isfinite(v)},
        intervals={shown(m): (found.low, found.high) for m, found in intervals.items()},
        seeds=len(result.ranked[name]),
        parameters=parameters,
        bytes=bundle.size_bytes if role == "served" else 4 * parameters,
        latency_ms=_latency(bundle, result) if role == "served" else None,
        spread={shown(m): found.spread for m, found in intervals.items() if found.spread is not None},
        transfer_ratio=transfer,
        transfer_interval=between,
        overlap=None
        if result.teacher is None or name == result.teacher
        else result.mean(f"overlap@{min(10, result.k[-1])}", name),
        note=_note(run, name, role),
        part=_trained(run)[name][0] if role == "ablation" else "",
    )


def _transfer_interval(result: Evaluation, name: str, metric: str) -> tuple[float, float] | None:
    own, alone, teacher = (result.values(metric, row) for row in (name, ALONE, result.teacher))
    return transfer_interval(own, alone, teacher, result.contexts.users)


def _note(run: Run, name: str, role: report.Role) -> str:
    if role == "served":
        numbers = Bundle.open(run.served.path / "bundle", verify=False).manifest.precision
        smaller = "" if run.recipe.compression is None else ", compressed"
        return f"{numbers} bundle of seed {run.served.info['seed']}{smaller}, without torch"
    if role == "teacher":
        if any(teacher.id == name for teacher in run.recipe.student.distilled.live):
            return "learned beside the student"
        weights = next(s for s in run.taught if s.name == f"teach/{name}").info.get("weights", {})
        return ", ".join(f"{weight:.2f} {member}" for member, weight in weights.items())
    if role == "ablation":
        spec = run.recipe.student.ablations[_trained(run)[name][0]]
        return "taught by " + (", ".join(s.name.removeprefix("teach/") for s in run.knowledge_for(spec)) or "nobody")
    return ""


def _latency(bundle: Bundle, result: Evaluation) -> float:
    """Median milliseconds of one recommendation from the bundle, by history, one thread."""
    histories = result.contexts.history
    times = []
    for row in range(min(_TIMED, len(histories))):
        start = time.perf_counter()
        bundle.recommend_indices(histories[row], 10)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def curves(trainings: Mapping[str, Sequence[Stage]]) -> Iterable[report.Curve]:
    """Every term over the epochs of each training: mean and range of its seeds; closed forms have no epochs."""
    for kind, stages in trainings.items():
        histories = [stage.info["history"] for stage in stages]
        for term in _terms(histories):
            series = [_series(history, term) for history in histories]
            length = max(len(values) for values in series)
            padded = np.full((len(series), length), np.nan)
            for row, values in zip(padded, series, strict=True):
                row[: len(values)] = values
            known = ~np.isnan(padded).all(axis=0)
            if known.any():
                at = padded[:, known]
                yield report.Curve(
                    run=kind,
                    term=term,
                    epochs=tuple((np.flatnonzero(known) + 1.0).tolist()),
                    values=tuple(np.nanmean(at, axis=0).tolist()),
                    low=tuple(np.nanmin(at, axis=0).tolist()),
                    high=tuple(np.nanmax(at, axis=0).tolist()),
                )


def _terms(histories: Iterable[Sequence[Mapping[str, Any]]]) -> list[str]:
    """What was written down in any epoch: a term that is warmed up is missing from the first ones."""
    records = [record for history in histories for record in history]
    losses = dict.fromkeys(name for record in records for name in record["loss"])
    valid = sorted({name for record in records for name in record.get("valid", {})})
    by_term = [f"{what}: {name}" for what in ("loss", "weight") for name in losses]
    return by_term + [shown(name) for name in valid]


def _series(history: Sequence[Mapping[str, Any]], term: str) -> list[float]:
    """A term by epoch; NaN where it was not measured or had no weight."""
    if term.startswith("loss: "):
        name = term.removeprefix("loss: ")
        return [record["loss"].get(name, np.nan) if record["weight"].get(name) else np.nan for record in history]
    if term.startswith("weight: "):
        return [_weight(record, term.removeprefix("weight: ")) for record in history]
    return [next((v for k, v in record.get("valid", {}).items() if shown(k) == term), np.nan) for record in history]


def _weight(record: Mapping[str, Any], name: str) -> float:
    """What a term counted in the end: its scheduled weight, times the factor that followed the terms if any did."""
    return float(record["weight"].get(name, np.nan)) * float(record.get("balance", {}).get(name, 1.0))


def _slices(result: Evaluation, roles: Mapping[str, str], metric: str) -> Iterable[report.Slice]:
    for name, part in result.slices.items():
        if not part.size:
            continue
        found = {row: result.interval(f"{metric}/{name}", row) for row in roles}
        yield report.Slice(
            name=name,
            meaning=part.about,
            contexts=part.size,
            values={row: value.mean for row, value in found.items()},
            intervals={row: (value.low, value.high) for row, value in found.items()},
        )


def _contenders(result: Evaluation, roles: Mapping[str, report.Role], metric: str) -> list[str]:
    """The rows that the report puts side by side."""
    names = (result.teacher, ALONE, DISTILLED, best_baseline(result, roles, metric))
    return [name for name in names if name is not None]


def _item_map(run: Run, models: Mapping[str, Sequence[RankingModel]]) -> report.ItemMap | None:
    teacher = teacher_space(run, models)
    if teacher is None:
        return None
    students = {name: models[name] for name in _trained(run)}
    return item_map(run.split, teacher, students, run.recipe.seeds.index(run.served.info["seed"]))


def _examples(run: Run, result: Evaluation, main: str | None) -> Iterable[report.Example]:
    """Users spread over the test contexts, half of them users whom the distilled student serves better than alone."""
    contexts, items = result.contexts, run.split.dataset.items
    gain = result.values("ndcg@10", DISTILLED)[0] - result.values("ndcg@10", ALONE)[0] if result.k[-1] >= 10 else None
    wanted = run.recipe.evaluate.examples
    order = np.arange(len(contexts)) if gain is None else np.argsort(-np.nan_to_num(gain), kind="stable")
    best = order[len(order) // 20 :: max(len(order) // 40, 1)][: wanted // 2]
    spread = np.linspace(0, len(contexts) - 1, wanted - len(best)).astype(int)
    for row in (*best, *spread):
        targets = set(contexts.targets[int(row)].tolist())
        names = [name for name in (main, ALONE, DISTILLED) if name is not None]
        lists = {
            name: tuple(
                report.Suggestion(title=items.title(item), hit=item in targets)
                for item in result.ranked[name][0][row][:_LISTED].tolist()
                if item >= 0
            )
            for name in names
        }
        history = tuple(items.title(item) for item in contexts.history[int(row)][-8:].tolist())
        first = contexts.targets[int(row)]
        yield report.Example(history=history, target=items.title(int(first[0])) if len(first) else None, lists=lists)


def _data(run: Run) -> report.DataReport:
    split, found = run.split, run.split.dataset.report
    return report.DataReport(
        name=split.dataset.name,
        read=int(found.get("rows_read", split.dataset.log.n_events)),
        kept=split.dataset.log.n_events,
        dropped={str(reason): int(count) for reason, count in found.get("dropped", {}).items()},
        users=split.n_users,
        items=split.n_items,
        split=split.method,
        parts={
            "training events": split.train.n_events,
            "validation events": split.valid.targets.n_events,
            "test events": split.test.targets.n_events,
            "test contexts": len(split.test),
        },
        licence=str(found.get("licence", "")),
    )


def _reproduce(run: Run) -> report.Reproduce:
    text = yaml.safe_dump(run.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return report.Reproduce(
        recipe=text,
        commands=(f"recdistill run {run.recipe.title}.yaml",),
        versions={name: version(name) for name in _PACKAGES if _installed(name)}
        | {"python": platform.python_version()},
        fingerprints={"split": run.split.fingerprint, "catalogue": run.split.dataset.items.fingerprint},
        hardware=f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
    )


def _installed(package: str) -> bool:
    from importlib.metadata import PackageNotFoundError

    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
