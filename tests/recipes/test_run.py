"""A recipe from files to bundle and report; what is done is not done again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from recdistill.errors import DataError, RunError
from recdistill.models import load_model
from recdistill.recipes import load_recipe, run_recipe
from recdistill.recipes.load import recipe_of_run
from recdistill.recipes.run import Run
from recdistill.reports import ReportData
from recdistill.reports.results import Comparison
from recdistill.serving import Bundle


@pytest.fixture(scope="module")
def finished(films: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReportData]:
    directory = tmp_path_factory.mktemp("runs") / "films"
    return directory, run_recipe(load_recipe(films / "films.yaml"), directory)


def done(directory: Path) -> dict[str, set[str]]:
    """Finished stages: name to keys."""
    found: dict[str, set[str]] = {}
    for mark in (directory / "stages").rglob("done.json"):
        name = mark.parent.parent.relative_to(directory / "stages").as_posix()
        found.setdefault(name, set()).add(mark.parent.name)
    return found


def written(directory: Path) -> dict[Path, int]:
    """Every file but the lock and the mark, with the time it was written."""
    files = (file for file in directory.rglob("*") if file.name not in (".lock", "recipe.json"))
    return {file: file.stat().st_mtime_ns for file in files}


def test_the_table_has_every_role(finished: tuple[Path, ReportData]) -> None:
    data = finished[1]
    roles = [row.role for row in data.rows]
    assert roles.count("teacher") == 3
    assert data.rows[0].name == "both"  # the main teacher first
    assert {"alone", "distilled", "served", "baseline"} <= set(roles)
    by_role = {row.role: row for row in data.rows}
    assert by_role["distilled"].seeds == 2
    assert set(by_role["distilled"].spread) == set(by_role["distilled"].intervals)
    assert by_role["baseline"].spread == {}
    assert by_role["served"].latency_ms is not None
    assert by_role["served"].bytes == Bundle.open(finished[0] / "bundle").size_bytes
    assert {curve.term for curve in data.curves if curve.run == "distilled"} >= {"loss: soft-labels", "NDCG@10"}
    pairs = {(c.better, c.than) for c in data.comparisons}
    assert ("student distilled", "student alone") in pairs
    assert ("student served", "student distilled") in pairs
    assert len(data.examples) == 2
    assert data.data is not None
    assert data.data.read >= data.data.kept > 0


def test_an_ablation_stands_beside_both_students(finished: tuple[Path, ReportData]) -> None:
    directory, data = finished
    part = next(row for row in data.rows if row.role == "ablation")
    assert (part.name, part.part, part.note) == ("student, start-only", "start-only", "taught by large")
    assert part.seeds == 2
    whole = next(row for row in data.rows if row.role == "distilled")
    assert (part.transfer_ratio is None) == (whole.transfer_ratio is None)
    assert part.overlap is not None
    of_part = {curve.term for curve in data.curves if curve.run == "start-only"}
    assert of_part == {"loss: cross-entropy", "weight: cross-entropy", "NDCG@10"}
    compared = {c.metric for c in data.comparisons if (c.better, c.than) == (part.name, "student alone")}
    assert {(a.row, a.part) for a in data.agreements} == {
        (row, place) for row in ("student distilled", "student alone", part.name)
        for place in ("", *(found.name for found in data.slices))
    }  # fmt: skip
    assert [w.part for w in data.wins] == ["", *(found.name for found in data.slices)]
    assert set(data.wins[0].best) == {"both", "student alone", "student distilled", "item-knn (tuned)"}
    assert data.item_map is not None
    assert data.item_map.teacher == "large (of both)"  # linear has no vectors
    assert {found.row for found in data.item_map.likeness} == {"student distilled", "student alone", part.name}
    both = ("student distilled", "student alone")
    assert compared == {"NDCG@10", *(f"NDCG@10/{found.name}" for found in data.slices)}
    assert compared == {c.metric for c in data.comparisons if (c.better, c.than) == both}
    tail = next(found for found in data.slices if found.name == "tail")
    c = next(c for c in data.comparisons if (c.better, c.metric) == (part.name, "NDCG@10/tail"))
    assert c.difference == pytest.approx(tail.values[part.name] - tail.values["student alone"])
    assert "Knowledge of start-only alone:" in (directory / "report.html").read_text(encoding="utf-8")


def test_a_training_reads_only_the_knowledge_that_it_names(finished: tuple[Path, ReportData], films: Path) -> None:
    run = Run(load_recipe(films / "films.yaml"), finished[0])
    known = {kind: [s.name for s in run.knowledge_for(spec)] for kind, spec in run.recipe.student.trainings.items()}
    assert known == {"alone": [], "distilled": ["teach/large", "teach/both"], "start-only": ["teach/large"]}
    ablation = run.recipe.student.ablations["start-only"]
    with_text = ablation.model_copy(update={"parameters": {"text": "linear"}})
    assert [s.name for s in run.knowledge_for(with_text)] == ["teach/linear", "teach/large"]


def test_the_bundle_recommends(finished: tuple[Path, ReportData]) -> None:
    bundle = Bundle.open(finished[0] / "bundle")
    answer = bundle.recommend(["Toy Story (1995)"], n=3)
    assert len(answer) == 3
    assert "Toy Story (1995)" not in [r.title for r in answer]


def test_a_second_run_does_nothing(finished: tuple[Path, ReportData], films: Path) -> None:
    directory, data = finished
    before = written(directory)
    run = Run(load_recipe(films / "films.yaml"), directory)
    stage = run.results()
    run.publish(stage)
    assert all(s.cached for s in run.stages.finished)
    assert "split" not in vars(run)  # not even the data are loaded
    assert before == written(directory)
    assert ReportData.read(directory / "results.json") == data


def test_another_temperature_asks_the_teacher_nothing(finished: tuple[Path, ReportData], films: Path) -> None:
    directory = finished[0]
    before = done(directory)
    changed = load_recipe(films / "films.yaml", ("student.distilled.objectives.1.temperature=3.0",))
    run_recipe(changed, directory)
    after = done(directory)
    new = {name: len(keys - before.get(name, set())) for name, keys in after.items()}
    assert {name for name, n in new.items() if n} == {"train/distilled", "bundle", "evaluate", "showcase"}
    assert new["train/distilled"] == 2
    assert len(list((directory / "earlier").glob("*/results.json"))) == 1  # what was there is kept
    run_recipe(load_recipe(films / "films.yaml"), directory)  # and back, for the other tests


def test_the_bundle_is_compared_with_the_seed_that_it_is_made_of(
    finished: tuple[Path, ReportData], films: Path
) -> None:
    directory, data = finished
    best = Run(load_recipe(films / "films.yaml"), directory).served.info["seed"]

    def of_bundle(found: ReportData) -> list[Comparison]:
        return [c for c in found.comparisons if c.better == "student served"]

    for seeds in ([1, 0], [best]):  # the stage of the bundle is there already
        found = run_recipe(load_recipe(films / "films.yaml", (f"seeds={seeds}",)), directory)
        assert of_bundle(found) == of_bundle(data)
    run_recipe(load_recipe(films / "films.yaml"), directory)  # and back, for the other tests


def test_baselines_are_those_asked_for_and_all_of_them_tuned(films: Path, tmp_path: Path) -> None:
    start, day = 1_500_000_000, 86_400
    old = [(u, f"old {(u + i) % 8}", start + i) for u in range(24) for i in range(4)]
    new = [(u, f"new {(u + i) % 9}", start + 99 * day + i) for u in range(24) for i in range(3)]  # now popular
    pl.DataFrame(old + new, schema=["user", "item", "time"], orient="row").write_csv(tmp_path / "log.csv")
    settings = (f"data={{log: {tmp_path / 'log.csv'}}}", "evaluate.baselines=[popularity]")
    run = Run(load_recipe(films / "films.yaml", settings), tmp_path / "run")
    assert list(run.baselines.info) == ["popularity"]
    assert run.baselines.info["popularity"]["half_life_days"] == 7
    assert load_model(run.baselines.path / "popularity").config.model_dump() == run.baselines.info["popularity"]


def test_an_old_page_never_stands_beside_new_results(
    finished: tuple[Path, ReportData], films: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished[0], tmp_path / "run")
    run = Run(load_recipe(films / "films.yaml"), tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()  # killed between the two
    (tmp_path / "run" / "report.html").write_text("old")
    run.publish(run.results())
    assert (tmp_path / "run" / "report.html").read_text(encoding="utf-8") != "old"
    assert ReportData.read(tmp_path / "run" / "results.json").rows == finished[1].rows


def test_a_directory_of_something_else_is_refused(films: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    recipe = load_recipe(films / "films.yaml")
    with pytest.raises(RunError, match="not empty and holds no run"):
        run_recipe(recipe, tmp_path / "mine")
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    with Run(recipe, tmp_path / "other").claimed():
        pass
    with (
        pytest.raises(RunError, match="holds the results of 'films', not of 'books'"),
        Run(recipe.replace(title="books"), tmp_path / "other").claimed(),
    ):
        pass


def test_only_a_recipe_that_worked_is_remembered(films: Path, tmp_path: Path) -> None:
    first, second = (load_recipe(films / "films.yaml", (f"seeds=[{seed}]",)) for seed in (3, 4))
    mark = tmp_path / "run" / "recipe.json"
    with suppress(ZeroDivisionError), Run(first, tmp_path / "run").claimed():
        assert mark.exists()  # killed now, the directory is known for a run
        1 / 0  # noqa: B018
    with suppress(ZeroDivisionError), Run(second, tmp_path / "run").claimed():
        1 / 0  # noqa: B018
    assert recipe_of_run(tmp_path / "run").seeds == [3]
    with Run(first, tmp_path / "run").stages.lock():
        with pytest.raises(RunError, match="another process"), Run(second, tmp_path / "run").claimed():
            pass
        assert recipe_of_run(tmp_path / "run").seeds == [3]
    with Run(second, tmp_path / "run").claimed():
        pass
    assert recipe_of_run(tmp_path / "run").seeds == [4]


def test_missing_data_file(films: Path, tmp_path: Path) -> None:
    recipe = load_recipe(films / "films.yaml", ("data.log=nothing.csv",))
    with pytest.raises(DataError, match=r"nothing\.csv: no such file"):
        run_recipe(recipe, tmp_path / "run")


def test_killed_at_any_moment_and_run_again_gives_the_same(
    finished: tuple[Path, ReportData], films: Path, tmp_path: Path
) -> None:
    code = (
        "import sys, torch; torch.set_num_threads(1); from recdistill.recipes import load_recipe, run_recipe; "
        "run_recipe(load_recipe(sys.argv[1]), sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(films / "films.yaml"), str(tmp_path / "run")]
    stages = 0
    for wanted in (1, 3, 6):  # kill as soon as so many stages are done
        process = subprocess.Popen(command, start_new_session=True)
        while process.poll() is None and stages < wanted:
            time.sleep(0.01)
            stages = sum(len(keys) for keys in done(tmp_path / "run").values())
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True)
    rows = [json.loads((path / "results.json").read_text())["rows"] for path in (tmp_path / "run", finished[0])]
    kept = [[(row["name"], row["metrics"], row["parameters"]) for row in some] for some in rows]
    assert kept[0] == kept[1]
