"""What a bundle says about itself, and the check that its files are the ones it was sealed with.

A bundle is a directory::

    manifest.json        this record; written last
    items.parquet        id, title, categories and popularity of each item
    vectors.npy, scales.npy   item vectors, see tables.py                  (sequence, fading, fold-in)
    codes.npy, codebooks.npy  in their place: product quantisation
    bias.npy             float32, one for each item                        (where the model has one)
    encoder.onnx         vectors of a history → context vector             (sequence)
    seen_vectors.npy, …  the same for items of a history                   (fading)
    gram.npy             float32 [dim, dim], the part of a fold-in that is the same for everyone
    neighbours.npy, weights.npy   int [n_items, n], and like vectors.npy [n_items, n]   (item-to-item)
    ages.npy             float32, weight of an event by its age            (item-to-item; fading: by length and age)
    card.json, card.md   the model card
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import BundleError
from ..files import checksum, read_json, write_json

__all__ = ["VERSION", "Kind", "Manifest", "load_array"]

FORMAT = "recdistill-bundle"
VERSION = 1
_NAME = "manifest.json"
_AGAIN = "write the bundle again"

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

    def write(self, directory: Path) -> None:
        """Seal a directory: write the record of this and of every file that is there."""
        present = sorted(p for p in directory.iterdir() if p.name != _NAME)
        files = {p.name: {"bytes": p.stat().st_size, "sha256": checksum(p)} for p in present}
        body = {"format": FORMAT, "version": VERSION, **asdict(self), "files": files}
        write_json(directory / _NAME, {**body, "sha256": _digest(body)})

    @classmethod
    def read(cls, directory: Path, *, verify: bool = True) -> Manifest:
        """Read the record and check every file against it.

        Args:
            directory: The bundle.
            verify: Also compare checksums; sizes are always compared.

        Raises:
            BundleError: No bundle, another version, or a file that is missing, truncated or changed.
        """
        body = _body(directory)
        manifest = cls(**{f.name: body[f.name] for f in fields(cls)})
        for name, expected in manifest.files.items():
            if Path(name).name != name:
                raise BundleError(f"names a file outside the bundle, {name!r}", where=directory / _NAME, hint=_AGAIN)
            _check_file(directory / name, expected, verify)
        return manifest


def load_array(path: Path, shape: tuple[int, ...], *kinds: Any) -> npt.NDArray[Any]:
    """Read a ``.npy`` file that must have this shape (-1: any size) and one of these types; never unpickles.

    Raises:
        BundleError: It is no such file.
    """
    try:
        array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BundleError(f"cannot be read ({error})", where=path, hint=_AGAIN) from None
    fits = array.ndim == len(shape) and all(want in (-1, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits or array.dtype not in [np.dtype(kind) for kind in kinds]:
        raise BundleError(f"holds {array.dtype} {array.shape}, expected {shape}", where=path, hint=_AGAIN)
    return array


def _body(directory: Path) -> dict[str, Any]:
    """The JSON of the manifest, known to be ours, of this version, and unchanged."""
    if not (directory / _NAME).is_file():
        what = "is not a bundle, it has no manifest.json" if directory.is_dir() else "no such bundle"
        raise BundleError(what, where=directory, hint="give a run directory such as runs/movies, or the bundle in it")
    body = read_json(directory / _NAME, BundleError)
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise BundleError("is not the manifest of a recdistill bundle", where=directory / _NAME)
    if body.get("version") != VERSION:
        raise BundleError(
            f"bundle format {body.get('version')!r}, this version reads {VERSION}",
            where=directory,
            hint="upgrade recdistill",
        )
    if body.pop("sha256", None) != _digest(body) or {f.name for f in fields(Manifest)} - set(body):
        raise BundleError("was changed after it was written", where=directory / _NAME, hint=_AGAIN)
    return body


def _check_file(path: Path, expected: Mapping[str, Any], verify: bool) -> None:
    if not path.is_file():
        raise BundleError("file of the bundle is missing", where=path, hint=_AGAIN)
    if (size := path.stat().st_size) != expected["bytes"]:
        raise BundleError(
            f"has {size:,} bytes instead of {expected['bytes']:,}", where=path, hint="copy the bundle again"
        )
    if verify and checksum(path) != expected["sha256"]:
        raise BundleError("was changed after the bundle was written", where=path, hint="copy the bundle again")


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
