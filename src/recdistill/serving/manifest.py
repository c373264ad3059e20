"""What a bundle says about itself, and the check that its files are the ones it was sealed with.

``docs/bundle-format.md`` describes every file. A bundle is a directory, or the same files in one archive::

    manifest.json        this record; written last
    items.npz            id, title, categories, popularity and trend of each item
    vectors.npy, scales.npy   item vectors, see tables.py                    (sequence, fading, fold-in)
    codes.npy, codebooks.npy  in their place: product quantisation
    bias.npy             float32, one for each item                          (where the model has one)
    encoder.onnx         vectors of a history → context vector               (sequence)
    seen_vectors.npy …   the vectors of items of a history                   (fading)
    gram.npy             float32 [dim, dim], the part of a fold-in that is the same for everyone
    neighbours.npy, weights.npy   int [n_items, n], and like vectors.npy [n_items, n]   (item-to-item)
    ages.npy             float32, weight of an event by its age              (item-to-item; fading: by length and age)
    card.json, card.md   the model card
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import BundleError
from ..files import checksum, write_json
from .place import PACKED, Place, is_plain

__all__ = ["VERSION", "Kind", "Manifest", "load_array", "read_array"]

FORMAT = "recdistill-bundle"
VERSION = 2
_NAME = "manifest.json"
_AGAIN = "write the bundle again"
_COPY = "copy the bundle again"
_LONGEST_HEADER = 4096

Kind = Literal["sequence", "fading", "fold-in", "item-to-item", "popularity"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The record in ``manifest.json``.

    Attributes:
        kind: How a history becomes scores; see ``serving/scorers.py``.
        model: Name of the model it was made from, as in a recipe.
        n_items: Catalogue size.
        dim: Width of item vectors (0 where there are none).
        max_length: Longest history that is read, in events.
        precision: How item vectors are stored: ``float32``, ``float16``, ``int8``, ``int4`` or ``pq``.
        parameters: Numbers that the model needs to score.
        fingerprints: Of the data it was made from.
        checks: How near it came to the model when it was written.
        files: Size in bytes and SHA-256 of every other file.
    """

    kind: Kind
    model: str
    n_items: int
    dim: int
    max_length: int
    precision: str
    parameters: int
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    checks: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether there is such a file, as it is or compressed."""
        return name in self.files or f"{name}{PACKED}" in self.files

    def write(self, directory: Path) -> None:
        """Seal a directory: write the record of this and of every file that is there."""
        present = sorted(p for p in directory.iterdir() if p.name != _NAME)
        files = {p.name: {"bytes": p.stat().st_size, "sha256": checksum(p)} for p in present}
        body = {"format": FORMAT, "version": VERSION, **asdict(self), "files": files}
        write_json(directory / _NAME, {**body, "sha256": _digest(body)})

    @classmethod
    def read(cls, place: Place, *, verify: bool = True) -> Manifest:
        """Read the record and check every file against it.

        Args:
            place: The bundle.
            verify: Also compare checksums; sizes are always compared.

        Raises:
            BundleError: No bundle, another version, or a file that is missing, truncated or changed.
        """
        body = _body(place)
        manifest = cls(**{f.name: body[f.name] for f in fields(cls)})
        sizes = place.sizes
        for name, expected in manifest.files.items():
            if not is_plain(name):
                raise BundleError(f"names a file outside the bundle, {name!r}", where=place.where(_NAME), hint=_AGAIN)
            _check_file(place, name, sizes.get(name), expected, verify)
        return manifest


def load_array(place: Place, name: str, shape: tuple[int, ...], *kinds: Any) -> npt.NDArray[Any]:
    """Map a ``.npy`` file that must have this shape (-1: any size) and one of these types; never unpickles.

    The array is a read-only view of the mapped file: nothing is read before it is used.

    Raises:
        BundleError: It is no such file.
    """
    array = read_array(place, name)
    fits = array.ndim == len(shape) and all(want in (-1, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits or array.dtype not in [np.dtype(kind) for kind in kinds]:
        raise BundleError(f"holds {array.dtype} {array.shape}, expected {shape}", where=place.where(name), hint=_AGAIN)
    return array


def read_array(place: Place, name: str) -> npt.NDArray[Any]:
    """Map a ``.npy`` file of whatever shape and plain type.

    Raises:
        BundleError: It is no such file.
    """
    try:
        return _mapped_array(place.whole(name))
    except (OSError, KeyError, ValueError, EOFError, TypeError) as error:
        raise BundleError(f"cannot be read ({error})", where=place.where(name), hint=_AGAIN) from None


def _mapped_array(data: memoryview) -> npt.NDArray[Any]:
    head = BytesIO(data[:_LONGEST_HEADER])
    version = np.lib.format.read_magic(head)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the format")
    shape, by_columns, kind = readers[version](head)
    if by_columns or kind.hasobject:
        raise ValueError("no plain array of numbers, row by row")
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(data, kind, count, head.tell()).reshape(shape)


def _body(place: Place) -> dict[str, Any]:
    """The JSON of the manifest, known to be ours, of this version, and unchanged."""
    if not place.path.exists() or _NAME not in place.sizes:
        what = "is not a bundle, it has no manifest.json" if place.path.exists() else "no such bundle"
        raise BundleError(what, where=place.path, hint="give a run directory such as runs/movies, or the bundle in it")
    where = place.where(_NAME)
    try:
        body = json.loads(bytes(place.read(_NAME)))
    except (ValueError, OSError, RecursionError) as problem:
        raise BundleError(f"cannot be read as JSON ({problem})", where=where, hint=_COPY) from None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise BundleError("is not the manifest of a recdistill bundle", where=where)
    if body.get("version") != VERSION:
        older = isinstance(body.get("version"), int) and body["version"] < VERSION
        raise BundleError(
            f"bundle format {body.get('version')!r}, this version reads {VERSION}",
            where=place.path,
            hint=_AGAIN if older else "upgrade recdistill",
        )
    if body.pop("sha256", None) != _digest(body) or not _well_formed(body):
        raise BundleError("was changed after it was written", where=where, hint=_AGAIN)
    return body


_TYPES: dict[str, type] = {
    **dict.fromkeys(("kind", "model", "precision"), str),
    **dict.fromkeys(("n_items", "dim", "max_length", "parameters"), int),
    **dict.fromkeys(("fingerprints", "checks", "files"), dict),
}


def _well_formed(body: Mapping[str, Any]) -> bool:
    """Whether every field is there and of its type, counts are not negative, and every file has its record."""
    if not all(type(body.get(name)) is kind for name, kind in _TYPES.items()):
        return False
    if any(body[name] < 0 for name, kind in _TYPES.items() if kind is int):
        return False
    return all(isinstance(entry, dict) and {"bytes", "sha256"} <= set(entry) for entry in body["files"].values())


def _check_file(place: Place, name: str, size: int | None, expected: Mapping[str, Any], verify: bool) -> None:
    where = place.where(name)
    if size is None:
        raise BundleError("file of the bundle is missing", where=where, hint=_AGAIN)
    if size != expected["bytes"]:
        raise BundleError(f"has {size:,} bytes instead of {expected['bytes']!s}", where=where, hint=_COPY)
    if verify and hashlib.sha256(place.read(name)).hexdigest() != expected["sha256"]:
        raise BundleError("was changed after the bundle was written", where=where, hint=_COPY)


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
