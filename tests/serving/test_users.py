"""Known users, new users, and items that came after the bundle was written."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from recdistill.compression import write_bundle
from recdistill.compression.tower import tower_targets
from recdistill.errors import BundleError, DataError
from recdistill.models.base import VectorModel
from recdistill.models.ease import EASE
from recdistill.models.fism import FISM
from recdistill.models.mf import MF
from recdistill.models.popularity import Popularity
from recdistill.models.sasrec import SASRec
from recdistill.serving import Attribute, Bundle, Category, Items, Recommendation
from recdistill.serving.bundle import Asked, _followed
from recdistill.testing import contexts_of
from tests.synthetic import tiny_split

SPLIT = tiny_split(n_users=50, n_items=60)
MODELS = {
    name: config.build(SPLIT, seed=3)
    for name, config in {
        "sasrec": SASRec(dim=8, max_length=6), "mf": MF(dim=8), "fism": FISM(dim=8), "ease": EASE(),
        "popularity": Popularity(),
    }.items()
}  # fmt: skip
NOBODY = np.zeros(0, dtype=np.int64)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bundles")
    towers = {name: name in ("sasrec", "mf", "fism") for name in MODELS}
    return {
        name: write_bundle(model, SPLIT.dataset, root / name, users=True, tower=towers[name], vectors="float32")
        for name, model in MODELS.items()
    }


def ids(found: list[Recommendation]) -> list[str]:
    return [one.item for one in found]


@pytest.mark.parametrize("name", ["sasrec", "ease", "popularity", "fism"])
def test_a_known_user_is_the_stored_history(name: str, paths: dict[str, Path]) -> None:
    bundle = Bundle.open(paths[name])
    for user in (0, 7, 49):
        history = [f"i{at}" for at in SPLIT.dataset.log[user]][-bundle.manifest.max_length :]
        assert bundle.recommend(user=f"u{user}") == bundle.recommend(history)
        more = [*history, "i5"][-bundle.manifest.max_length :]
        assert (
            ids(bundle.recommend(["i5"], user=f"u{user}", n=3))
            == [item for item in ids(bundle.recommend(more, 60)) if item not in history][:3]
        )


def test_factors_are_asked_with_the_learned_vector_until_something_new_happens(paths: dict[str, Path]) -> None:
    bundle, model = Bundle.open(paths["mf"]), MODELS["mf"]
    users = np.arange(50, dtype=np.int32)
    scores = model.score(contexts_of([[]] * 50, users.tolist()))
    for user in (0, 7, 49):
        scores[user, SPLIT.dataset.log[user]] = -np.inf
        got, _ = bundle.recommend_indices(NOBODY, 10, user=f"u{user}")
        assert len(np.intersect1d(got, np.argsort(-scores[user])[:10])) >= 9  # vectors of users are stored in int8
    history = SPLIT.dataset.log[7].astype(np.int64)
    folded = bundle.recommend_indices(np.append(history, 5), 5)
    for a, b in zip(bundle.recommend_indices(np.array([5]), 5, user="u7"), folded, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", MODELS)
def test_a_new_user_is_served_from_nothing_and_from_the_first_event(name: str, paths: dict[str, Path]) -> None:
    bundle = Bundle.open(paths[name])
    assert bundle.recommend(user="never seen") == bundle.recommend()
    assert bundle.recommend(["i3"], user="never seen") == bundle.recommend(["i3"])
    assert len(bundle.recommend(["i3"], 10)) == 10


@pytest.mark.parametrize("name", MODELS)
def test_questions_together_are_answered_as_one_by_one(name: str, paths: dict[str, Path]) -> None:
    bundle = Bundle.open(paths[name])
    asked = [
        Asked(NOBODY, user="u3"), Asked(np.array([1, 2])), Asked(NOBODY), Asked(np.array([4]), 3, user="u9"),
        Asked(np.array([9]), where=Category("topic 1")), Asked(NOBODY, user="u4", exclude_history=False),
    ]  # fmt: skip
    for one, (items, scores) in zip(asked, bundle.recommend_each(asked), strict=True):
        settings = {"user": one.user, "where": one.where, "exclude_history": one.exclude_history}
        alone = bundle.recommend_indices(one.history, one.n, **settings)
        np.testing.assert_array_equal(items, alone[0])
        np.testing.assert_allclose(scores, alone[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["sasrec", "mf", "fism"])
def test_an_item_that_came_later_is_an_item(name: str, paths: dict[str, Path]) -> None:
    bundle = Bundle.open(paths[name])
    bundle.attach("price", np.arange(60))
    bundle.search("item")
    twin = bundle.items.ids[20]
    new = bundle.add_item("new", "item number 20 about topic 1", title="Brand new", categories=["topic 1", "fresh"])
    also = bundle.add_item("also", "item number 21 about topic 1")
    assert (new, also, bundle.n_items) == (60, 61, 62)
    assert ids(bundle.recommend(["i1"], 62, where=Items("new"))) == ["new"]
    assert set(ids(bundle.recommend(["i1"], 62))) == {*(f"i{at}" for at in range(60) if at != 1), "new", "also"}
    assert ids(bundle.recommend(["i1"], 62, where=Category("fresh"))) == ["new"]
    assert ids(bundle.popular(62))[-1] in ("also", *(f"i{at}" for at in range(60)))
    assert "new" in ids(bundle.recommend(["also", twin], 62))
    assert "new" not in ids(bundle.recommend(["new", twin], 62))
    assert len(bundle.similar("new", 61)) == 61
    assert ids(bundle.search("brand"))[0] == "new"
    assert bundle.recommend(["Brand new"], 1) == bundle.recommend(["new"], 1)
    assert "new" not in ids(bundle.recommend(["i1"], 62, where=Attribute("price", at_least=0)))
    bundle.attach("price", {"new": 3})
    assert "new" in ids(bundle.recommend(["i1"], 62, where=Attribute("price", at_least=0)))
    scores = bundle.score(contexts_of([[1], [60]]))
    assert scores.shape == (2, 62)
    items, best = bundle.recommend_indices(np.array([1]), 62, exclude_history=False)
    np.testing.assert_allclose(scores[0, items], best, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["sasrec", "mf", "fism"])
def test_the_tower_gives_what_the_model_has(name: str, paths: dict[str, Path]) -> None:
    """Texts that say all there is to say: the fitted vectors are near the learned ones, and nearer than the mean."""
    bundle = Bundle.open(paths[name])
    assert bundle.tower is not None
    model = MODELS[name]
    assert isinstance(model, VectorModel)
    targets = tower_targets(model)
    assert bundle.tower.embed(["", "zzz unheard of"]).tolist() == [bundle.tower.mean.tolist()] * 2
    assert len(bundle.tower.mean) == targets.shape[1] == bundle.scorer.text_width
    assert "tower_explains" in bundle.manifest.checks


def test_questions_go_on_while_items_are_added(paths: dict[str, Path]) -> None:
    bundle, wrong = Bundle.open(paths["sasrec"]), []

    def ask() -> None:
        try:
            for _ in range(150):
                found = bundle.recommend(["i1"], 200, where=Category("topic 1") | Items("i7"))
                assert "i7" in ids(found)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for at in range(100):
        bundle.add_item(f"n{at}", "item about topic 1", categories=["topic 1"])
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(bundle.recommend(["i1"], 200, where=Category("topic 1"))) == 12 + 100


def test_what_cannot_be_added_is_refused(paths: dict[str, Path]) -> None:
    bundle = Bundle.open(paths["sasrec"])
    with pytest.raises(DataError, match="'i3' is in the catalogue already"):
        bundle.add_item("i3", "item number")
    with pytest.raises(DataError, match="no word of 'unheard of' is known"):
        bundle.add_item("x", "unheard of")
    with pytest.raises(BundleError, match="no text tower"):
        Bundle.open(paths["ease"]).add_item("x", "item number")
    with pytest.raises(BundleError, match="has no item vectors"):
        write_bundle(MODELS["ease"], SPLIT.dataset, paths["ease"].parent / "x", tower=True)


def test_broken_users_and_towers_are_refused(paths: dict[str, Path]) -> None:
    for file, match in (
        ("users.npz", "cannot be read"), ("tower.npz", "cannot be read"), ("user_ends.npy", "expected"),
        ("tower_vectors.npy", "expected"),
    ):  # fmt: skip
        path = paths["sasrec"] / file
        whole = path.read_bytes()
        if file.endswith("npz"):
            path.write_bytes(b"?" * len(whole))
        else:
            array = np.load(path)
            np.save(path, array.reshape(-1, 1) if array.ndim == 1 else array.ravel())
            path.write_bytes(path.read_bytes().ljust(len(whole), b"\0")[: len(whole)])
        manifest = json.loads((paths["sasrec"] / "manifest.json").read_text())
        if path.stat().st_size == manifest["files"][file]["bytes"]:
            with pytest.raises(BundleError, match=match):
                Bundle.open(paths["sasrec"], verify=False)
        path.write_bytes(whole)
    Bundle.open(paths["sasrec"])


def test_a_stored_history_of_items_that_do_not_exist(paths: dict[str, Path]) -> None:
    path = paths["popularity"] / "user_items.npy"
    whole = path.read_bytes()
    items = np.load(path)
    items[:] = 60
    np.save(path, items)
    with pytest.raises(BundleError, match="names items that do not exist"):
        Bundle.open(paths["popularity"], verify=False).recommend(user="u1")
    path.write_bytes(whole)


@pytest.mark.parametrize(
    ("kept", "new", "whole"),
    [
        ([1, 2, 3], [2, 3, 4], [1, 2, 3, 4]),
        ([1, 2, 3], [1, 2, 3], [1, 2, 3]),
        ([1, 2, 1, 2], [1, 2, 1, 2, 5], [1, 2, 1, 2, 5]),
        ([1, 2], [3], [1, 2, 3]),
        ([1, 2, 3], [2, 4], [1, 2, 3, 2, 4]),
        ([1, 2, 3], [2], [1, 2, 3, 2]),
        ([], [1], [1]),
        ([1], [], [1]),
    ],
)
def test_events_that_are_told_twice_count_once(kept: list[int], new: list[int], whole: list[int]) -> None:
    arrays = (np.array(events, dtype=np.int64) for events in (kept, new))
    assert _followed(*arrays).tolist() == whole
