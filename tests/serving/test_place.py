"""Directory and archive: the same bundle, read where it lies."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.compression import write_bundle
from recdistill.errors import BundleError
from recdistill.models.sasrec import SASRec
from recdistill.serving import Bundle
from recdistill.serving.manifest import load_array, read_array
from recdistill.serving.place import Archive, Folder, Place, write_archive
from tests.synthetic import tiny_split

SPLIT = tiny_split()
NAMES = st.text("abcXYZ09_.-é", min_size=1, max_size=8).filter(lambda name: not name.startswith("."))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = write_bundle(SASRec(dim=8).build(SPLIT), SPLIT.dataset, tmp_path_factory.mktemp("b") / "bundle")
    return path


@pytest.fixture
def archive(bundle: Path, tmp_path: Path) -> Path:
    return write_archive(bundle, tmp_path / "bundle.zip")


@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=5))
def test_every_file_comes_back_at_a_multiple_of_64_bytes(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    whole = write_archive(folder, tmp_path_factory.mktemp("archive") / "a.zip")
    for place in (Place.open(folder), Place.open(whole)):
        assert {name: bytes(place.read(name)) for name in place.sizes} == files
        assert dict(place.sizes) == {name: len(content) for name, content in files.items()}
    data = whole.read_bytes()
    assert all(any(data[at:].startswith(content) for at in range(0, len(data) + 1, 64)) for content in files.values())


def test_an_archive_answers_as_the_directory_does(bundle: Path, archive: Path) -> None:
    one, other = Bundle.open(bundle), Bundle.open(archive)
    assert one.recommend(["i1", "i2"]) == other.recommend(["i1", "i2"])
    assert one.card == other.card
    assert one.size_bytes == other.size_bytes < archive.stat().st_size
    assert sorted(p.name for p in archive.parent.iterdir()) == ["bundle.zip"]


def test_equal_directories_give_equal_archives(bundle: Path, archive: Path, tmp_path: Path) -> None:
    assert write_archive(bundle, tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def test_any_tool_can_unpack_it(bundle: Path, archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        opened.extractall(tmp_path / "unpacked")
    assert Bundle.open(tmp_path / "unpacked").recommend([]) == Bundle.open(bundle).recommend([])


def test_what_is_mapped_survives_a_replaced_bundle(bundle: Path, archive: Path) -> None:
    opened = Bundle.open(archive)
    before = opened.recommend(["i3"])
    write_archive(bundle.parent / "bundle", archive)
    archive.unlink()
    assert opened.recommend(["i3"]) == before


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive_is_refused(archive: Path, share: float) -> None:
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BundleError, match="was cut off"):
        Bundle.open(archive)


@given(st.data())
def test_an_archive_with_a_changed_byte_is_refused_or_answers_the_same(
    tmp_path_factory: pytest.TempPathFactory, bundle: Path, data: st.DataObject
) -> None:
    path = write_archive(bundle, tmp_path_factory.mktemp("changed") / "a.zip")
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    # dates and other fields that nobody reads, and the bytes between the files, change nothing
    with contextlib.suppress(BundleError):
        assert Bundle.open(path).recommend(["i1"]) == Bundle.open(bundle).recommend(["i1"])


@pytest.mark.parametrize("name", ["../manifest.json", "/etc/passwd", "a/b", "a\\b", "C:x", ".hidden", "folder/"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(name, b"x")
    with pytest.raises(BundleError, match="names a file outside the bundle"):
        Place.open(tmp_path / "a.zip")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_compressed_and_doubled_members_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", b"x" * 1000)
    with pytest.raises(BundleError, match="recdistill export --to archive"):
        Place.open(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        file.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("a", b"2")
    with pytest.raises(BundleError, match="two files of one name"):
        Place.open(tmp_path / "b.zip")


def test_other_files_are_no_bundles(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(BundleError, match="neither a bundle nor an archive of one"):
        Bundle.open(tmp_path / "text.txt")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("readme", b"x")
    with pytest.raises(BundleError, match=r"is not a bundle, it has no manifest\.json"):
        Bundle.open(tmp_path / "other.zip")


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=3), st.sampled_from([np.int8, np.float16, np.float32, np.uint16])
)
def test_arrays_are_mapped_as_they_were_saved(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], kind: type
) -> None:
    folder = tmp_path_factory.mktemp("arrays")
    array: np.ndarray = np.arange(int(np.prod(shape))).reshape(shape).astype(kind)
    np.save(folder / "a.npy", array)
    for place in (Folder(folder), Archive(write_archive(folder, folder.parent / f"{folder.name}.zip"))):
        mapped = load_array(place, "a.npy", tuple(-1 for _ in shape), kind)
        np.testing.assert_array_equal(mapped, array)
        assert not mapped.flags.writeable


def test_arrays_by_columns_and_of_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "columns.npy", np.asfortranarray(np.ones((3, 2), np.float32)))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with (tmp_path / "three.npy").open("wb") as file:
        np.lib.format.write_array(file, np.ones(2), version=(3, 0))
    (tmp_path / "short.npy").write_bytes((tmp_path / "columns.npy").read_bytes()[:-1])
    for name in ("columns", "objects", "three", "short", "gone"):
        with pytest.raises(BundleError, match="cannot be read"):
            read_array(Folder(tmp_path), f"{name}.npy")


def test_files_that_were_compressed_one_by_one_are_read_alike(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "plain.npy").write_bytes(b"as it is")
    (folder / "vectors.npy.z").write_bytes(zlib.compress(b"0123456789" * 100))
    place = Place.open(folder)
    assert bytes(place.whole("plain.npy")) == b"as it is"
    assert bytes(place.whole("vectors.npy")) == b"0123456789" * 100


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"nonsense", "cannot be unpacked"),
        (zlib.compress(bytes(10_000_000)), "unpacks to more than 64 times its size"),
        (zlib.compress(bytes(range(256)) * 9)[:-9], "is cut off"),
    ],
)
def test_a_file_that_cannot_be_unpacked_is_refused(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "vectors.npy.z").write_bytes(content)
    with pytest.raises(BundleError, match=match):
        Place.open(tmp_path).whole("vectors.npy")
