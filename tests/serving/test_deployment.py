from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.compression import write_bundle
from recdistill.errors import BundleError, RunError
from recdistill.models.popularity import Popularity
from recdistill.serving.deployment import Deployment, Home, Variant
from tests.synthetic import tiny_split

HERE = Path("b")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    split = tiny_split()
    for name in ("run/bundle", "run/second", "third"):
        write_bundle(Popularity().build(split), split.dataset, tmp_path / name)
    return Home.of(tmp_path / "run")


def test_a_run_and_a_bundle_have_a_home(home: Home, tmp_path: Path) -> None:
    assert home.path == tmp_path / "run" / "serving"
    assert home.current() == Deployment(0, (Variant("main", tmp_path / "run" / "bundle"),))
    beside = Home.of(tmp_path / "third")
    assert (beside.path, beside.bundle) == (tmp_path / "third.serving", tmp_path / "third")
    with pytest.raises(RunError, match="no such run or bundle"):
        Home.of(tmp_path / "nothing")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "recipe.json").touch()
    with pytest.raises(RunError, match="no bundle yet"):
        Home.of(tmp_path / "unfinished")


def test_publishing_and_going_back(home: Home, tmp_path: Path) -> None:
    stamp = home.stamp()
    second = Variant("main", tmp_path / "run" / "second")
    assert home.publish([second], "newer").number == 1
    assert home.stamp() != stamp
    assert home.current().variants[0].bundle.resolve() == second.bundle
    third = Variant("b", tmp_path / "third", 0.25)
    assert home.publish([second, third, Variant("c", tmp_path / "third", shadow=True)], "a trial").number == 2
    now = home.current()
    assert (now.variants[1].share, now.variants[2].shadow, now.reason) == (0.25, True, "a trial")
    assert [variant.name for variant in now.shadows] == ["c"]
    back = home.roll_back()
    assert (back.number, len(back.variants), back.reason) == (3, 1, "rolled back")
    assert home.roll_back("again").variants[0].bundle.resolve() == home.bundle.resolve()
    with pytest.raises(RunError, match="no earlier"):
        home.roll_back()
    assert home.current().number == 4


def test_a_run_that_was_moved_serves_the_same(home: Home, tmp_path: Path) -> None:
    home.publish([Variant("main", tmp_path / "run" / "second")])
    shutil.move(tmp_path / "run", tmp_path / "elsewhere")
    moved = Home.of(tmp_path / "elsewhere").current()
    assert moved.variants[0].bundle.resolve() == tmp_path / "elsewhere" / "second"


def test_what_cannot_be_served_is_not_published(home: Home, tmp_path: Path) -> None:
    (tmp_path / "third" / "bias.npy").write_bytes(b"x")
    with pytest.raises(BundleError):
        home.publish([Variant("main", tmp_path / "third")])
    with pytest.raises(BundleError):
        home.publish([Variant("main", tmp_path / "nothing")])
    for variants in (
        [], [Variant("a b", HERE)], [Variant("a", HERE), Variant("a", HERE)], [Variant("a", HERE, shadow=True)],
        [Variant("a", HERE), Variant("b", HERE, 0.7), Variant("c", HERE, 0.4)],
        [Variant("a", HERE), Variant("b", HERE, -0.1)],
    ):  # fmt: skip
        with pytest.raises(RunError):
            Deployment(1, tuple(variants))
    assert home.current().number == 0


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"version": 2, "now": {}, "before": []}', '{"version": 1, "now": {}, "before": []}']
)
def test_a_file_that_is_no_deployment_is_refused(home: Home, text: str) -> None:
    home.path.mkdir()
    (home.path / "deployment.json").write_text(text)
    with pytest.raises(RunError, match=r"deployment\.json"):
        home.current()


def test_a_bundle_replaced_in_place_is_seen(home: Home) -> None:
    stamp = home.stamp()
    split = tiny_split(seed=1)
    write_bundle(Popularity().build(split), split.dataset, home.bundle)
    assert home.stamp() != stamp


def test_only_so_many_are_kept(home: Home) -> None:
    for _ in range(25):
        home.publish([Variant("main", home.bundle)])
    assert len(json.loads((home.path / "deployment.json").read_text())["before"]) == 20


def test_users_are_shared_out_as_asked() -> None:
    trial = Deployment(
        1, (Variant("a", HERE), Variant("b", HERE, 0.3), Variant("s", HERE, shadow=True), Variant("c", HERE, 0.1))
    )
    counts = Counter(trial.variant_of(f"user {k}").name for k in range(10_000))
    assert counts["b"] == pytest.approx(3_000, abs=200)
    assert counts["c"] == pytest.approx(1_000, abs=150)
    assert counts["a"] + counts["b"] + counts["c"] == 10_000
    assert trial.variant_of(None).name == "a"


@given(who=st.text(), shares=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)))
def test_whoever_has_the_challenger_keeps_it_when_its_share_grows(who: str, shares: tuple[float, float]) -> None:
    small, large = sorted(shares)
    trial = Deployment(1, (Variant("a", HERE), Variant("b", HERE, small)))
    grown = replace(trial, variants=(trial.variants[0], Variant("b", HERE, large)))
    if trial.variant_of(who).name == "b":
        assert grown.variant_of(who).name == "b"


def test_what_came_in_between_is_not_overwritten(home: Home, tmp_path: Path) -> None:
    before = home.current().number
    assert home.served == home.bundle
    home.publish([Variant("main", tmp_path / "third")])
    with pytest.raises(RunError, match="deployment 1 came while its successor of 0 was made"):
        home.publish([Variant("main", tmp_path / "run" / "second")], after=before)
    assert home.served.resolve() == tmp_path / "third"
    assert home.publish([Variant("main", tmp_path / "run" / "second")], after=1).number == 2
