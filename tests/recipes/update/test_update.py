"""From events to a bundle that is served, or to a reason why not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from recdistill.cli.app import app
from recdistill.compression.card import write_card
from recdistill.errors import RunError
from recdistill.recipes import load_recipe, run_recipe
from recdistill.recipes.compressing import compress_run
from recdistill.recipes.load import recipe_of_run
from recdistill.recipes.run import Run
from recdistill.recipes.schema import CompressionSpec
from recdistill.recipes.update import Updating, update
from recdistill.recipes.update.gate import forgets
from recdistill.serving import Bundle, Items
from recdistill.serving.arrivals import Arrival, Arrivals
from recdistill.serving.deployment import Home
from recdistill.serving.feedback import Event, open_store
from recdistill.serving.http.live import Live
from recdistill.serving.http.meters import Meters

RECIPE = """\
title: films
data: {log: ratings.csv, items: movies.csv}
teachers:
  - {id: linear, type: recommender, model: {type: slist, l2: 10}, k: 10}
student:
  model: {type: sasrec, dim: 8, blocks: 1, max_length: 8}
  alone: {objectives: [cross-entropy], training: {epochs: 1}}
  distilled:
    objectives: [{type: soft-labels, temperature: 1.0}]
    training: {epochs: 2, lr: 0.02, batch: 64}
evaluate: {baselines: [popularity], examples: 1}
bundle: {tower: true, users: true, showcase: 2}
"""
SMALLER = """\
compression:
  steps: [int8, deflate]
  gate: {max_drop: 90%, max_tail_drop: 99%, min_overlap: 0}
"""
GENTLE = Updating(min_events=20, min_judged=1, epochs=2)
EAGER = Updating(min_events=20, min_judged=1, epochs=30, lr_scale=1.0, max_drop=0.99, task=1.0)


@pytest.fixture(scope="module")
def made(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (films / "update.yaml").write_text(RECIPE, encoding="utf-8")
    directory = tmp_path_factory.mktemp("update") / "films"
    run_recipe(load_recipe(films / "update.yaml"), directory)
    return directory


@pytest.fixture
def run(made: Path, tmp_path: Path, films: Path) -> Path:
    return copied(made, tmp_path / "run", films)


@pytest.fixture
def small(made: Path, tmp_path: Path, films: Path) -> Path:
    """The same run, with a recipe that compresses."""
    run = copied(made, tmp_path / "small", films)
    (films / "smaller.yaml").write_text(RECIPE + SMALLER, encoding="utf-8")
    run_recipe(load_recipe(films / "smaller.yaml"), run)
    return run


def copied(made: Path, place: Path, films: Path) -> Path:
    shutil.copytree(made, place)
    mark = place / "recipe.json"
    body = json.loads(mark.read_text())
    mark.write_text(json.dumps(body | {"base": os.path.relpath(films, place)}))
    return place


def send(run: Path, histories: dict[str, list[str]], begin: int = 0) -> None:
    home = Home.of(run)
    home.path.mkdir(exist_ok=True)
    store = open_store(None, home.events)
    rows = [(user, item) for user, items in histories.items() for item in items]
    store.add([Event(f"e{begin + n}", *row, "click", 1.6e9 + begin + n) for n, row in enumerate(rows)])
    store.close()


def fashion(run: Path, n: int = 20) -> dict[str, list[str]]:
    """Four items follow each other in a ring, from anywhere: easy to learn, and not known before."""
    items = list(Bundle.open(run / "bundle").items.ids[-4:])
    return {f"stranger {at}": items[at % 4 :] + items[: at % 4] for at in range(n)}


def liked(run: Path, n: int = 20) -> dict[str, list[str]]:
    """What the served bundle would have recommended itself."""
    bundle = Bundle.open(run / "bundle")
    first = list(bundle.items.ids[:n])
    return {f"fan {item}": [item, bundle.recommend([item], 1)[0].item] for item in first}


def tried(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "serving" / "updates.jsonl").read_text().splitlines()]


def test_new_events_are_learned_and_served(run: Path) -> None:
    send(run, fashion(run))
    found = update(run, EAGER)
    assert found.outcome == "published", found.reason
    assert found.new_events == 80
    verdict = found.verdict
    assert verdict is not None
    assert verdict.fresh_after > verdict.fresh_before
    assert found.drift["items"]["moved"]
    home = Home.of(run)
    now = home.current()
    assert (now.number, now.variants[0].name) == (1, "main")
    assert (
        now.variants[0].bundle.resolve() == found.bundle.resolve() == (home.path / "releases/000001/bundle").resolve()
    )
    bundle = Bundle.open(found.bundle)
    assert bundle.tower is not None
    assert bundle.card["update"] == {"events": 80, "until": 80}
    *before, last = fashion(run, 1)["stranger 0"]
    assert last in [one.item for one in bundle.recommend(before, 3)]
    assert bundle.popularity[-1] == Bundle.open(run / "bundle").popularity[-1] + 20
    assert not (home.path / "updating").exists()
    again = update(run, EAGER)  # nothing is learned twice
    assert (again.outcome, again.new_events) == ("waits", 0)
    send(run, {f"late {at}": values for at, values in enumerate(fashion(run, 10).values())}, begin=80)
    third = update(run, EAGER)
    assert third.new_events == 40
    assert third.outcome in ("published", "refused")
    assert [line["outcome"] for line in tried(run)] == ["published", "waits", third.outcome]
    home.roll_back()
    if third.outcome == "refused":
        assert home.current().variants[0].bundle.resolve() == (run / "bundle").resolve()
        assert update(run, Updating(min_events=1000)).new_events == 120  # what was undone can be learned again


def test_a_gate_that_fails_leaves_everything_as_it_was(run: Path) -> None:
    send(run, liked(run))
    before = Home.of(run).current()
    found = update(run, GENTLE.replace(min_gain=1e9))
    assert found.outcome == "refused"
    assert "learns nothing" in found.reason
    assert Home.of(run).current() == before
    assert not (run / "serving" / "releases").exists()
    assert tried(run)[0]["reason"] == found.reason
    assert tried(run)[0]["gate"]["fresh_before"] > 0
    settings = ["-smin_events=20", "-smin_judged=1", "-smin_gain=1e9"]
    asked = CliRunner().invoke(app, ["update", str(run), *settings])
    assert asked.exit_code == 1
    assert "refused: it learns nothing" in asked.stdout
    assert update(run, Updating(min_events=10_000)).new_events == 40  # taken up by the next


def test_losses_that_are_allowed_one_by_one_are_stopped_together(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    send(run, fashion(run))
    found = update(run, EAGER)
    assert found.outcome == "published", found.reason
    first = found.verdict
    assert first is not None
    assert first.old_reference == first.old_before
    record = found.bundle.parent / "update.json"
    body = json.loads(record.read_text())
    assert body["reference"]["value"] == first.old_before
    best = 1.25 * first.old_after  # as if the updates until here had lost a fifth, each of them a little
    record.write_text(json.dumps(body | {"reference": body["reference"] | {"value": best}}))
    standing_still = EAGER.replace(lr_scale=1e-9, epochs=1)
    send(run, {f"late {at}": items for at, items in enumerate(fashion(run).values())}, begin=80)
    before = Home.of(run).current()
    found = update(run, standing_still.replace(max_drop=0.1))  # no worse than what is served
    assert found.outcome == "refused"
    assert found.reason.startswith("it would forget: with the updates before it, ndcg@10 on validation goes from")
    second = found.verdict
    assert second is not None
    assert second.old_reference == best
    assert second.old_after >= second.old_before * 0.9
    assert Home.of(run).current() == before
    found = update(run, standing_still.replace(max_drop=0.5))  # allowed, and the reference is handed on
    assert found.outcome == "published", found.reason
    assert "no epoch was better on validation: the student stays" in caplog.text
    assert json.loads((found.bundle.parent / "update.json").read_text())["reference"]["value"] == best


def test_a_reference_of_other_data_is_not_compared_with(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    send(run, fashion(run))
    record = update(run, EAGER).bundle.parent / "update.json"
    body = json.loads(record.read_text())
    body["reference"] = {"of": ["recall@20", body["reference"]["of"][1]], "value": 1.0}
    record.write_text(json.dumps(body))
    send(run, {f"late {at}": items for at, items in enumerate(fashion(run).values())}, begin=80)
    verdict = update(run, EAGER).verdict
    assert verdict is not None
    assert verdict.old_reference == verdict.old_before
    assert "counted from here on" in caplog.text


@given(st.lists(st.floats(0.9, 1.1), max_size=50), st.floats(0, 0.05))
def test_whatever_passes_the_loss_is_bounded(steps: list[float], max_drop: float) -> None:
    now = 0.4
    for step in steps:
        if not forgets("ndcg@10", 0.4, now, now * step, max_drop):
            assert now * step >= now * (1 - max_drop)
            now *= step
    assert now >= 0.4 * (1 - max_drop)


def test_it_waits_until_there_is_something_to_judge_by(run: Path) -> None:
    send(run, {f"once {at}": [item] for at, item in enumerate(Bundle.open(run / "bundle").items.ids[:20])})
    found = update(run, GENTLE)
    assert (found.outcome, found.reason) == ("waits", "0 of 20 new events are for the gate alone, 1 are waited for")
    assert not (run / "serving" / "updating").exists()
    assert not (run / "serving" / "deployment.json").exists()


def check_compressed(bundle: Bundle) -> None:
    assert bundle.manifest.precision == "int8"
    assert any(file.endswith(".z") for file in bundle.place.sizes)
    assert bundle.card["compression"]["steps"] == ["int8", "deflate"]
    assert bundle.tower is not None


def test_a_compressed_bundle_with_a_tower_stays_one(small: Path) -> None:
    home, before = Home.of(small), Bundle.open(small / "bundle")
    check_compressed(before)
    Arrivals(home.arrivals, 10).add(Arrival("new", "A comedy with new", "New!", ("Comedy",)), before)
    send(small, fashion(small))
    found = update(small, EAGER)
    assert found.outcome == "published", found.reason
    after = Bundle.open(found.bundle)
    check_compressed(after)
    *history, last = fashion(small, 1)["stranger 0"]
    assert last in [one.item for one in after.recommend(history, 3)]
    assert after.recommend(user="stranger 1", n=1)  # users are kept, and new ones are among them
    served = Live(home, Meters(), new_items=10).now.main  # what a server opens
    assert [one.item for one in served.recommend(history, 1, where=Items("new"))] == ["new"]


def test_what_was_compressed_by_the_command_stays_compressed(run: Path) -> None:
    recipe = recipe_of_run(run)
    spec = CompressionSpec(steps=["int8", "deflate"], gate={"max_drop": 0.9, "max_tail_drop": 0.99, "min_overlap": 0})
    compress_run(recipe, run, spec, publish=True)
    check_compressed(Bundle.open(run / "bundle"))
    send(run, fashion(run))
    found = update(run, EAGER)
    assert found.outcome == "published", found.reason
    check_compressed(Bundle.open(found.bundle))


def test_nothing_changes_when_no_candidate_fits_the_budget(run: Path) -> None:
    card = run / "bundle"
    bundle = Bundle.open(card)
    told = bundle.card | CompressionSpec(steps=["deflate"], under="1kB").noted()
    write_card(card, told, told.pop("bundle"))
    replace(bundle.manifest, files={}).write(card)
    send(run, fashion(run))
    before = Home.of(run).current()
    found = update(run, EAGER)
    assert found.outcome == "refused"
    assert "no candidate fits the budget" in found.reason
    assert Home.of(run).current() == before
    assert tried(run)[0]["gate"] is None


def test_the_command_waits_for_enough_events(run: Path) -> None:
    asked = CliRunner().invoke(app, ["update", str(run), "--json"])
    assert asked.exit_code == 0, asked.output
    told = json.loads(asked.stdout)
    assert told["outcome"] == "waits"
    assert told["reason"] == "0 new events, 100 are waited for"
    wrong = CliRunner().invoke(app, ["update", str(run), "-s", "replays=3"])
    assert wrong.exit_code == 2
    assert "did you mean 'replay'" in wrong.stderr


def test_the_teacher_can_be_asked_about_new_events(run: Path) -> None:
    send(run, fashion(run))
    found = update(run, EAGER.replace(ask_teacher=True, remember=0.0))
    assert found.outcome == "published", found.reason


def test_an_update_never_trains_a_run_that_is_not_finished(run: Path) -> None:
    shutil.rmtree(next((run / "stages" / "train" / "distilled").iterdir()))
    send(run, fashion(run))
    with pytest.raises(RunError, match="'train/distilled' is not done"):
        update(run, GENTLE)


def test_killed_at_any_moment_it_can_be_started_again(run: Path) -> None:
    send(run, fashion(run))
    code = "from recdistill.cli import main; main()"
    settings = ["min_events=20", "min_judged=1", "epochs=30", "lr_scale=1.0", "max_drop=0.99"]
    command = [sys.executable, "-c", code, "update", str(run), *(f"-s{setting}" for setting in settings)]
    for sign in ("updating/*/knowledge", "updating/*/fit/*"):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list((run / "serving").glob(sign)):
            time.sleep(0.005)
        with suppress(ProcessLookupError):  # it was done before
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    home = Home.of(run)
    found = update(run, EAGER)
    assert found.outcome in ("published", "waits")  # it may have been done before it was killed
    assert home.current().number == 1
    assert [path.name for path in (home.path / "releases").iterdir()] == ["000001"]


def test_only_students_that_read_histories(made: Path, films: Path, tmp_path: Path) -> None:
    recipe = load_recipe(films / "update.yaml", ("student.model={type: mf, dim: 4}", "bundle.tower=false"))
    run_recipe(recipe, tmp_path / "mf")
    send(tmp_path / "mf", fashion(tmp_path / "mf"))
    with pytest.raises(RunError, match="numbers of each user"):
        update(tmp_path / "mf", GENTLE)
    assert Run(recipe, tmp_path / "mf").recipe.student.model.name == "mf"
