"""``data`` and ``init`` on good and bad files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from recdistill.cli.options import roles
from recdistill.errors import ConfigError
from recdistill.recipes import load_recipe
from recdistill.recipes.init import draft
from recdistill.testing import tiny_split

from .conftest import Invoke


def test_data_of_files(call: Invoke) -> None:
    result = call("data", "ratings.csv", "movies.csv")
    assert result.exit_code == 0
    assert "user = userId, item = movieId, time = timestamp, rating = rating" in result.stdout
    assert "{title}. {genres}" in result.stdout


def test_data_of_a_recipe_tells_the_split(call: Invoke) -> None:
    result = call("data", "films.yaml", "--json")
    told = json.loads(result.stdout)
    assert told["rows_read"] == told["rows_kept"]
    assert (told["split"], told["test_contexts"]) == ("leave-last-out", told["users"])
    assert "training events" in call("data", "films.yaml").stdout


def test_data_counts_bad_rows_and_keeps_them(call: Invoke, here: Path) -> None:
    with (here / "ratings.csv").open("a", encoding="utf-8") as file:
        file.write(",1,3.0,964980499\n5,424242,3.0,964980499\n")
    result = call("data", "ratings.csv", "movies.csv", "--quarantine", "bad.csv")
    assert result.exit_code == 0
    assert "1 × " in result.stdout
    assert "bad.csv" in result.stdout
    assert len((here / "bad.csv").read_text(encoding="utf-8").splitlines()) == 3


def test_columns_can_be_said(call: Invoke, here: Path) -> None:
    text = (here / "ratings.csv").read_text(encoding="utf-8")
    (here / "odd.csv").write_text(text.replace("userId,movieId", "a,b"), encoding="utf-8")
    result = call(
        "data", "odd.csv", "movies.csv", "--column", "user=a", "--column", "item=b", "--item-column", "title=title"
    )
    assert "user = a, item = b" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rating.csv"], "did you mean 'ratings.csv'?"),
        (["ratings.csv", "movies.csv", "more.csv"], "stands alone"),
        (["ratings.csv", "--set", "a=b"], "--set goes with a recipe"),
        (["films.yaml", "--column", "user=a"], "change it with --set"),
        (["ratings.csv", "--column", "user"], "not of the form ROLE=COLUMN"),
        (["ratings.csv", "--column", "usr=userId"], "did you mean 'user'?"),
        (["ratings.csv", "--column", "user=userid"], "did you mean 'userId'?"),
    ],
)
def test_data_bad_input(call: Invoke, arguments: list[str], says: str) -> None:
    result = call("data", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_missing_column_names_the_nearest(call: Invoke, here: Path) -> None:
    (here / "log.csv").write_text("userId,thing_id\nx,y\n", encoding="utf-8")
    result = call("data", "log.csv")
    assert result.exit_code == 2
    assert "no column looks like the item (there are: userId, thing_id)" in result.stderr


def test_init_writes_a_recipe_that_is_valid(call: Invoke, here: Path) -> None:
    result = call("init", "ratings.csv", "movies.csv")
    assert result.exit_code == 0
    assert "recdistill run movies.yaml" in result.stdout
    recipe = load_recipe(here / "movies.yaml")
    assert (recipe.title, recipe.data.log, recipe.data.text) == ("movies", "ratings.csv", "{title}. {genres}")
    assert recipe.main_teacher() == "large"
    trainings = [recipe.teachers[-1].training, *(arm.training for arm in recipe.student.trainings.values())]
    assert all(1 < training.batch < 100 for training in trainings)  # the default would be one step an epoch


def test_a_log_without_time_is_said(call: Invoke, here: Path) -> None:
    (here / "plain.csv").write_text("user,item\na,1\na,2\nb,1\n", encoding="utf-8")
    assert "no column says when: the order of rows counts" in call("data", "plain.csv").stdout
    assert "no column says when" not in call("data", "ratings.csv").stdout
    assert call("init", "plain.csv").exit_code == 0
    assert "# tests on the last row of each user" in (here / "plain.yaml").read_text(encoding="utf-8")
    assert call("init", "ratings.csv", "-o", "timed.yaml").exit_code == 0
    assert "# tests on the newest event of each user" in (here / "timed.yaml").read_text(encoding="utf-8")


def test_init_never_overwrites_unasked(call: Invoke, here: Path) -> None:
    (here / "movies.yaml").write_text("mine", encoding="utf-8")
    result = call("init", "ratings.csv", "movies.csv")
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert (here / "movies.yaml").read_text(encoding="utf-8") == "mine"
    assert call("init", "ratings.csv", "movies.csv", "--force").exit_code == 0


def test_init_elsewhere_writes_paths_from_there(call: Invoke, here: Path) -> None:
    assert call("init", "ratings.csv", "-o", "sub/films.yaml").exit_code == 0
    values = yaml.safe_load((here / "sub/films.yaml").read_text(encoding="utf-8"))
    assert (values["title"], values["data"]["log"]) == ("ratings", "../ratings.csv")
    assert [teacher["type"] for teacher in values["teachers"]] == ["recommender"]
    load_recipe(here / "sub/films.yaml")


def test_init_of_the_embedded_data(call: Invoke, here: Path) -> None:
    assert call("init", "movielens-small").exit_code == 0
    assert load_recipe(here / "movielens-small.yaml").data.log == "movielens-small"


def test_odd_names_make_a_valid_title(call: Invoke, here: Path) -> None:
    (here / "my log: 1.csv").write_bytes((here / "ratings.csv").read_bytes())
    assert call("init", "my log: 1.csv").exit_code == 0
    assert load_recipe(here / "my-log-1.yaml").title == "my-log-1"


def test_large_data_get_sampled_softmax_and_one_seed(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    dataset = tiny_split().dataset
    facts = {"rows_kept": 1, "rows_read": 1, "time_from": "2020"}
    object.__setattr__(dataset, "report", facts)
    monkeypatch.setattr("recdistill.recipes.init._MANY_EVENTS", 10)
    monkeypatch.setattr("recdistill.recipes.init._MANY_ITEMS", 10)
    (here / "big.yaml").write_text(draft(dataset, "ratings.csv", "movies.csv", here).text, encoding="utf-8")
    recipe = load_recipe(here / "big.yaml")
    assert recipe.seeds == [0]
    assert recipe.model_dump(mode="json")["data"]["split"]["type"] == "global-temporal"
    assert recipe.student.distilled.training.negatives == recipe.teachers[-1].training.negatives == 4096
    assert recipe.data.cleaning.min_item_events == 5


def test_roles() -> None:
    assert roles(None) == {}
    assert roles(["user=a=b"]) == {"user": "a=b"}
    with pytest.raises(ConfigError, match="ROLE=COLUMN"):
        roles(["user="])
