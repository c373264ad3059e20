from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recdistill.compression import write_bundle
from recdistill.data.sequences import Sequences
from recdistill.errors import BundleError, DataError
from recdistill.models.ease import EASE
from recdistill.models.mf import MF
from recdistill.models.popularity import Popularity
from recdistill.models.sasrec import SASRec
from recdistill.serving import Asked, Bundle, Diversity, Items, write_archive
from tests.synthetic import contexts_of, tiny_split

SPLIT = tiny_split(n_users=50, n_items=300)
MODELS = {"sasrec": SASRec(dim=8, max_length=6), "mf": MF(dim=8), "ease": EASE(), "popularity": Popularity()}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bundles")
    return {name: write_bundle(config.build(SPLIT), SPLIT.dataset, root / name) for name, config in MODELS.items()}


@pytest.fixture
def path(paths: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the SASRec bundle, to break."""
    return Path(shutil.copytree(paths["sasrec"], tmp_path / "b"))


@pytest.mark.parametrize("name", MODELS)
def test_recommendations_are_the_best_scores_without_history_and_denied(name: str, paths: dict[str, Path]) -> None:
    bundle = Bundle.open(paths[name])
    history, deny = ["i3", "Item 7", "i9"], ["i11"]
    got = bundle.recommend(history, 12, deny=deny)
    scores = bundle.score(contexts_of([[3, 7, 9]]))[0]
    scores[[3, 7, 9, 11]] = -np.inf
    expected = np.argsort(-scores, kind="stable")[:12]
    np.testing.assert_allclose([r.score for r in got], scores[expected], rtol=1e-4, atol=1e-5)
    assert not {r.item for r in got} & {"i3", "i7", "i9", "i11"}
    assert all(r.title == f"Item {r.item[1:]}" for r in got)


@pytest.mark.parametrize("name", MODELS)
def test_several_questions_together_are_answered_as_each_alone(name: str, paths: dict[str, Path]) -> None:
    bundle = Bundle.open(paths[name])
    pairs = Diversity(per_category=2, pool=30)
    asked = [
        Asked(np.array([3, 7, 9]), 12),
        Asked(np.zeros(0, dtype=np.int64), 5),
        Asked(np.array([5]), 4, exclude_history=False, deny=np.array([1, 2])),
        Asked(np.array([8, 9]), 300, where=Items("i1", "i9", "i20"), diversity=pairs),
    ]
    together = bundle.recommend_each(asked)
    for one, (items, scores) in zip(asked, together, strict=True):
        alone = bundle.recommend_indices(
            one.history, one.n, exclude_history=one.exclude_history, deny=one.deny,
            where=one.where, diversity=one.diversity,
        )  # fmt: skip
        assert items.tolist() == alone[0].tolist()
        np.testing.assert_allclose(scores, alone[1], rtol=1e-4, atol=1e-5)
    assert bundle.recommend_each([]) == []


def test_the_fingerprint_is_of_the_content(paths: dict[str, Path], path: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(path)
    assert Bundle.open(write_archive(path, tmp_path / "one.bundle")).fingerprint == bundle.fingerprint
    assert Bundle.open(paths["mf"]).fingerprint != bundle.fingerprint


def test_the_history_may_come_back_if_asked(paths: dict[str, Path]) -> None:
    bundle = Bundle.open(paths["popularity"])
    best = bundle.recommend([], 1)[0].item
    assert bundle.recommend([best], 1, exclude_history=False)[0].item == best
    assert bundle.recommend([best], 1)[0].item != best


@pytest.mark.parametrize("name", MODELS)
def test_an_empty_history_gets_the_popular_items(name: str, paths: dict[str, Path]) -> None:
    bundle = Bundle.open(paths[name])
    counts = np.bincount(SPLIT.dataset.log.items, minlength=300)
    items, _ = bundle.recommend_indices(np.array([], dtype=np.int64), 5)
    assert counts[items].tolist() == np.sort(counts)[::-1][:5].tolist()
    np.testing.assert_array_equal(bundle.score(contexts_of([[]]))[0], counts)


def test_only_the_newest_events_are_read(paths: dict[str, Path]) -> None:
    bundle = Bundle.open(paths["sasrec"])
    long, short = np.arange(20), np.arange(14, 20)
    for a, b in zip(bundle.recommend_indices(long), bundle.recommend_indices(short, deny=long), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("name", ["sasrec", "mf", "ease"])
def test_similar_items(name: str, paths: dict[str, Path]) -> None:
    bundle = Bundle.open(paths[name])
    found = bundle.similar("Item 20", 5)
    assert len(found) == 5
    assert "i20" not in [r.item for r in found]
    assert [r.score for r in found] == sorted((r.score for r in found), reverse=True)


def test_popularity_knows_no_similar_items(paths: dict[str, Path]) -> None:
    with pytest.raises(BundleError, match="knows no similar items"):
        Bundle.open(paths["popularity"]).similar("i1")


def test_no_contexts_give_no_scores(paths: dict[str, Path]) -> None:
    assert Bundle.open(paths["sasrec"]).score(contexts_of([])).shape == (0, 300)
    assert len(Bundle.open(paths["ease"]).score(contexts_of([]))) == 0


def test_size_and_unknown_names(paths: dict[str, Path]) -> None:
    bundle = Bundle.open(paths["sasrec"])
    assert bundle.size_bytes == sum(p.stat().st_size for p in paths["sasrec"].iterdir())
    assert bundle.n_items == 300
    with pytest.raises(DataError, match="no item is called"):
        bundle.recommend(["no such thing at all"])


def test_serving_needs_no_torch(paths: dict[str, Path]) -> None:
    code = (
        "import sys; from recdistill.serving import Bundle; "
        f"Bundle.open({str(paths['sasrec'])!r}).recommend(['i1']); "
        "sys.exit(','.join({'torch', 'polars', 'onnx', 'scipy', 'recdistill.models'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- broken bundles: each is one clear line ------------------------------------------------------------------


def _seal(path: Path, **changes: object) -> None:
    """Change the manifest and give it a right checksum again: what a careful forger would do."""
    from recdistill.serving.manifest import _digest

    body = json.loads((path / "manifest.json").read_text())
    body.pop("sha256")
    body |= changes
    (path / "manifest.json").write_text(json.dumps({**body, "sha256": _digest(body)}))


def _refused(path: Path, match: str, *, verify: bool = True) -> None:
    with pytest.raises(BundleError, match=match) as caught:
        Bundle.open(path, verify=verify)
    assert "\n" not in str(caught.value)


def test_a_directory_that_is_no_bundle(path: Path, tmp_path: Path) -> None:
    _refused(tmp_path / "nothing", "no such bundle")
    _refused(tmp_path, r"no manifest\.json")
    (path / "manifest.json").write_text("{}")
    _refused(path, "not the manifest of a recdistill bundle")
    (path / "manifest.json").write_text("{")
    _refused(path, "cannot be read as JSON")


def test_a_newer_version(path: Path) -> None:
    _seal(path, version=99)
    _refused(path, "bundle format 99, this version reads 2; upgrade recdistill")
    _seal(path, version=1)
    _refused(path, "bundle format 1, this version reads 2; write the bundle again")


def test_a_changed_manifest(path: Path) -> None:
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"n_items": 300', '"n_items": 299'))
    _refused(path, "was changed after it was written")


@pytest.mark.parametrize("name", ["vectors.npy", "encoder.onnx", "items.npz", "scales.npy", "card.json"])
def test_files_that_are_flipped_truncated_or_gone(path: Path, name: str) -> None:
    file = path / name
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    _refused(path, "was changed after the bundle was written")
    file.write_bytes(whole[:-3])
    _refused(path, "bytes instead of")
    file.unlink()
    _refused(path, "is missing")


def _resized(path: Path, name: str, content: bytes) -> None:
    """Replace a file and its record, so that only its content is wrong."""
    (path / name).write_bytes(content)
    body = json.loads((path / "manifest.json").read_text())
    files = body["files"] | {name: {"bytes": len(content), "sha256": ""}}
    _seal(path, files=files)


def test_contents_that_are_wrong_inside(path: Path) -> None:
    original = {p.name: p.read_bytes() for p in path.iterdir()}
    for name, match in (
        ("vectors.npy", "cannot be read"),
        ("items.npz", "cannot be read"),
        ("encoder.onnx", "cannot be loaded"),
    ):
        _resized(path, name, b"nonsense")
        _refused(path, match, verify=False)
        for other, content in original.items():
            (path / other).write_bytes(content)
    np.save(path / "scales.npy", np.ones(7, dtype=np.float32))
    _resized(path, "scales.npy", (path / "scales.npy").read_bytes())
    _refused(path, r"holds float32 \(7,\), expected \(300,\)", verify=False)


def test_pickles_are_never_read(path: Path) -> None:
    np.save(path / "vectors.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    _resized(path, "vectors.npy", (path / "vectors.npy").read_bytes())
    _refused(path, "cannot be read", verify=False)


def test_unknown_kinds_wrong_counts_and_escapes(path: Path) -> None:
    _seal(path, kind="oracle")
    _refused(path, "unknown kind 'oracle'")
    _seal(path, kind="sequence", n_items=7)
    _refused(path, "lists 300 items instead of 7")
    _seal(path, n_items=300, files={"../manifest.json": {"bytes": 1, "sha256": ""}})
    _refused(path, "names a file outside")


def test_neighbours_that_do_not_exist(paths: dict[str, Path], tmp_path: Path) -> None:
    path = Path(shutil.copytree(paths["ease"], tmp_path / "b"))
    neighbours = np.load(path / "neighbours.npy")
    neighbours[0, 0] = 300
    np.save(path / "neighbours.npy", neighbours)
    _resized(path, "neighbours.npy", (path / "neighbours.npy").read_bytes())
    _refused(path, "names items that do not exist", verify=False)


def test_batches_and_single_histories_agree(paths: dict[str, Path]) -> None:
    rows = [list(range(at, at + 1 + at % 9)) for at in range(260)]
    bundle = Bundle.open(paths["sasrec"])
    together = bundle.score(contexts_of(rows))
    for row in (0, 5, 255, 259):
        alone = bundle.score(contexts_of([rows[row]]))[0]
        np.testing.assert_allclose(together[row], alone, atol=1e-5)
    assert isinstance(contexts_of(rows).history, Sequences)
