"""Runs: from a recipe to recommendations, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from recdistill.files import read_json, write_json
from recdistill.serving import Bundle

from .conftest import RECIPE, Invoke


@pytest.fixture
def run(finished: Path, here: Path) -> Path:
    """A finished run in the working directory, free to be changed."""
    shutil.copytree(finished, here / "runs" / "films")
    mark = here / "runs" / "films" / "recipe.json"
    write_json(mark, read_json(mark) | {"base": "../.."})  # the recipe that lies here is the same
    return Path("runs/films")


def test_run_prints_table_verdict_and_next_command(call: Invoke, run: Path) -> None:
    result = call("run", "films.yaml")
    assert result.exit_code == 0, result.stderr
    assert "is up to date" in result.stderr
    assert "runs/films/report.html" in result.stdout
    assert 'recdistill recommend runs/films --history "' in result.stdout


def test_next_command_works(call: Invoke, run: Path) -> None:
    line = next(line for line in call("report", run, "-o", "page.html").stdout.splitlines() if "page.html" in line)
    assert Path(line.split()[-1]).stat().st_size > 10_000
    printed = call("evaluate", run).stdout
    history = printed.partition('--history "')[2].partition('"')[0]
    assert call("recommend", run, "--history", history).exit_code == 0


def test_train_prints_validation_only(call: Invoke, run: Path) -> None:
    result = call("train", "films.yaml")
    assert result.exit_code == 0, result.stderr
    assert "ndcg@10" in result.stdout
    assert "alone" in result.stdout
    assert "distilled" in result.stdout


def test_evaluate_again_with_another_metric(call: Invoke, run: Path) -> None:
    result = call("evaluate", run, "--set", "evaluate.metric=recall@10", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["metric"].lower() == "recall@10"
    assert "teach/large took" not in result.stderr


def test_a_change_that_fails_is_not_remembered(call: Invoke, run: Path) -> None:
    assert call("evaluate", run, "--set", "data.log=gone.csv").exit_code == 2
    result = call("evaluate", run)
    assert result.exit_code == 0, result.stderr
    assert "took" not in result.stderr


def test_recommend(call: Invoke, run: Path) -> None:
    result = call("recommend", run, "--history", "Toy Story (1995); Heat (1995)", "-n", "3")
    assert result.exit_code == 0
    assert "after Toy Story (1995) · Heat (1995)" in result.stdout
    assert " ms (median of 20 calls)" in result.stdout


def test_recommend_as_json_from_the_bundle_itself(call: Invoke, run: Path) -> None:
    answer = json.loads(call("recommend", run / "bundle", "-H", "toy story", "-H", "6", "-n", "4", "--json").stdout)
    assert [item["title"] for item in answer["history"]] == ["Toy Story (1995)", "Heat (1995)"]
    assert len(answer["recommendations"]) == 4
    assert not {"1", "6"} & {item["item"] for item in answer["recommendations"]}


def test_recommend_without_history_is_what_is_popular(call: Invoke, run: Path) -> None:
    assert call("recommend", run).stdout.startswith("popular")


def test_batch(call: Invoke, run: Path) -> None:
    result = call(
        "-q", "batch", run, "people.parquet", "lists.parquet", "-n", "3", "--where", '{"not": {"items": ["50"]}}'
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "2 lists in lists.parquet\n"
    lists = pl.read_parquet("lists.parquet")
    assert lists["user"].to_list() == ["ann", "bob"]
    assert lists["items"].list.len().to_list() == [3, 3]
    assert not {"1", "6", "50"} & set(lists["items"][0])


def test_a_bundle_with_users_and_a_tower(call: Invoke, run: Path) -> None:
    result = call("run", "films.yaml", "--set", "bundle={users: true, tower: true}")
    assert result.exit_code == 0, result.stderr
    bundle = Bundle.open(run / "bundle")
    assert bundle.users is not None
    user = bundle.users.ids[0]
    assert call("recommend", run, "--user", user).stdout.startswith(f"after user {user}\n")
    told = json.loads(call("recommend", run, "--user", user, "-H", "6", "-n", "2", "--json").stdout)
    assert told["user"] == user
    assert [one["item"] for one in told["recommendations"]] == [
        one.item for one in bundle.recommend(["6"], 2, user=user)
    ]
    assert f"user 'nobody {user}' is not known" in call("recommend", run, "--user", f"nobody {user}").stderr
    bundle.add_item("new", "Toy Story 9 (2031). Animation, Comedy", title="Toy Story 9")
    assert bundle.similar("new", 3)


def test_a_bundle_in_one_file(call: Invoke, run: Path) -> None:
    result = call("export", run, "films.zip", "--to", "archive")
    assert (result.exit_code, result.stdout) == (0, "films.zip: 50 items\n")
    assert Bundle.open("films.zip").recommend() == Bundle.open(run / "bundle").recommend()


@pytest.mark.parametrize("form", ["onnx", "triton"])
def test_export(call: Invoke, run: Path, form: str) -> None:
    result = call("export", run, "models/films", "--to", form, "-n", "5")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "models/films: 50 items, lists of 5\n"
    assert Path("models/films" if form == "onnx" else "models/films/1/model.onnx").stat().st_size > 1_000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["recommend", "nowhere"], "no such run or bundle"),
        (["batch", "runs/films", "ratings.csv", "x.parquet"], "cannot be read as Parquet"),
        (["batch", "runs/films", "peeple.parquet", "x.parquet"], "no such file; did you mean 'people.parquet'"),
        (["recommend", "runs/films", "--user", "7"], "this bundle keeps no users"),
        (["batch", "runs/films", "people.parquet", "x.parquet", "--where", "{"], "--where: is no JSON"),
        (["batch", "runs/films", "people.parquet", "x.parquet", "--where", '{"category": ["Nope"]}'], "Nope"),
        (["export", "runs/films", "x.onnx", "-n", "51"], "51 items cannot be listed out of 50"),
        (["export", "runs/films", "models/a b", "--to", "triton"], "'a b' is no name"),
        (["export", "runs/films", "models/a", "--to", "triton", "--indices"], "a Triton repository speaks of ids"),
        (["recommend", "."], "is not a bundle"),
        (["recommend", "runs/films", "--history", "Toy Storry (1995)"], "did you mean 'Toy Story (1995)'"),
        (["report", "nowhere"], "results.json"),
        (["evaluate", "nowhere"], "nowhere"),
        (["run", "nowhere.yaml"], "recdistill init"),
        (["train", "films.yaml", "--set", "student"], "not of the form key=value"),
        (["run", "films.yaml", "--set", "student.model.heads=3"], "heads=3 does not divide dim=8"),
        (["run", "films.yaml", "--set", "title.deep=1"], "nothing to set"),
        (["run", "films.yaml", "--set", "data.log=ratngs.csv"], "ratngs.csv"),
        (["run", "films.yaml", "--set", "data.columns={user: usrId}", "--out", "x"], "did you mean 'userId'?"),
        (["run", "films.yaml", "--set", "title=other", "--out", "runs/films"], "holds the results of 'films'"),
        (["run", "films.yaml", "--out", "."], "is not empty and holds no run"),
        (["run", "films.yaml", "--set", "data.cleaning.min_user_events=999", "--out", "y"], "were dropped"),
    ],
)
def test_bad_input_is_one_line(call: Invoke, run: Path, arguments: list[str], says: str) -> None:
    result = call("-q", *arguments)
    assert result.exit_code == 2, result.stderr
    assert says in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "blocks: 1}\n    training: {epochs: 2}",
            "blocs: 1}",
            "films.yaml:8: teachers.0.model.blocs: unknown",
        ),
        ("type: soft-labels", "type: soft-label", "films.yaml:18"),
        ("teacher: large", "teacher: larg", "did you mean 'large'?"),
        ("epochs: 2", "epochs: two", "valid integer"),
        ("teachers:", "techers:", "did you mean 'teachers'?"),
        ("title: films", "title: films\ntitle: films", "films.yaml:2: key 'title' stands twice"),
        ("title: films", "title: [films", "not valid YAML"),
        ("type: recommender", "type: recomender", "did you mean 'recommender'?"),
        ("data:", "- data:", "films.yaml"),
    ],
)
def test_wrong_recipe_names_file_line_and_nearest_key(call: Invoke, here: Path, old: str, new: str, says: str) -> None:
    (here / "films.yaml").write_text(RECIPE.replace(old, new, 1), encoding="utf-8")
    result = call("run", "films.yaml")
    assert result.exit_code == 2, result.stderr
    assert says in result.stderr
    assert result.stderr.startswith("error: films.yaml")
    assert result.stderr.count("\n") == 1


def test_missing_extra_is_named(here: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['recdistill', 'run', 'films.yaml']\n"
        "from recdistill.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "install it with: pip install 'recdistill[train]'" in done.stderr


def test_broken_bundle(call: Invoke, run: Path) -> None:
    table = run / "bundle" / "items.npz"
    table.write_bytes(table.read_bytes()[:-10])
    result = call("recommend", run)
    assert result.exit_code == 2
    assert "items.npz" in result.stderr


def test_unfinished_run_has_no_bundle(call: Invoke, run: Path) -> None:
    shutil.rmtree(run / "bundle")
    result = call("recommend", run)
    assert result.exit_code == 2
    assert "no bundle yet" in result.stderr


def test_run_that_is_locked(call: Invoke, run: Path) -> None:
    from recdistill.stages import Stages

    with Stages(run).lock():
        before = (run / "recipe.json").read_bytes()
        result = call("run", "films.yaml", "--set", "seeds=[5]")
        assert (run / "recipe.json").read_bytes() == before
    assert result.exit_code == 2
    assert "another process" in result.stderr
