"""Pictures on their way into a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recdistill.compression import write_bundle
from recdistill.compression.pictures import LARGEST, fingerprint
from recdistill.data.dataset import Dataset
from recdistill.errors import BundleError
from recdistill.models.popularity import Popularity
from recdistill.serving import Bundle
from recdistill.serving.place import write_archive
from tests.pictures import png
from tests.synthetic import tiny_split

SPLIT = tiny_split(n_users=20, n_items=12)


def described(folder: Path) -> Dataset:
    """A catalogue with every kind of picture that there may be in a table."""
    inside = folder / "items"
    (inside / "small").mkdir(parents=True)
    (inside / "one.png").write_bytes(png(1))
    (inside / "small" / "two.png").write_bytes(png(2))
    (inside / "script.svg").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    (inside / "large.png").write_bytes(png() + bytes(LARGEST))
    (folder / "secret.png").write_bytes(png(3))
    (inside / "link.png").symlink_to(folder / "secret.png")
    names: list[str | None] = [
        "one.png", "small/two.png", None, "script.svg", "large.png", "../secret.png", str(folder / "secret.png"),
        "link.png", "https://example.com/a.png", "gone.png", "a\0b", "",
    ]  # fmt: skip
    return replace(SPLIT.dataset, items=replace(SPLIT.dataset.items, images=names))


def test_only_pictures_inside_the_folder_come_into_the_bundle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = described(tmp_path)
    path = write_bundle(Popularity().build(SPLIT), dataset, tmp_path / "b", pictures=tmp_path / "items")
    assert "8 of 10 pictures are left out" in caplog.text
    for bundle in (Bundle.open(path), Bundle.open(write_archive(path, tmp_path / "b.zip"))):
        assert bundle.pictures is not None
        found = [bundle.pictures.of(at) for at in range(bundle.n_items)]
        assert found[:2] == [("image/png", png(1)), ("image/png", png(2))]
        assert found[2:] == [None] * 10
    assert Bundle.open(write_bundle(Popularity().build(SPLIT), dataset, tmp_path / "c")).pictures is None


def test_a_catalogue_that_names_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="the items name no pictures"):
        write_bundle(Popularity().build(SPLIT), SPLIT.dataset, tmp_path / "b", pictures=tmp_path)


def test_another_picture_is_noticed(tmp_path: Path) -> None:
    items = described(tmp_path).items
    before = fingerprint(items, tmp_path / "items")
    assert before == fingerprint(items, tmp_path / "items")
    (tmp_path / "secret.png").write_bytes(b"outside")
    assert before == fingerprint(items, tmp_path / "items")
    (tmp_path / "items" / "one.png").write_bytes(png(9, size=3))
    assert before != fingerprint(items, tmp_path / "items")
