"""The manifest that seals a store: what it holds, by whom, for which data, and the checksum of every shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from ..config import Config
from ..errors import ConfigError, KnowledgeError
from ..files import checksum, read_json, write_json

__all__ = ["Kind", "Manifest", "Shard", "check_same", "is_sealed", "read_manifest", "verify_shards"]

VERSION = 1
MANIFEST, HEADER = "manifest.json", "header.json"

Kind = Literal["rankings", "scores", "embeddings", "texts", "preferences", "weights"]
"""Every kind of knowledge."""


class Shard(Config):
    """One data file of a store."""

    name: ClassVar[str] = "shard"

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    rows: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(Config):
    """Description of a store.

    Attributes:
        version: Of the format.
        kind: What is stored.
        teacher: The teacher's name, unique within a run.
        teacher_fingerprint: Hash of its parameters and weights.
        dataset_fingerprint: Of the split (rankings), the catalogue (embeddings), or whatever the store is keyed by.
        prompt_hash: Hash of the template an LLM was asked with, or None.
        meaning: What a stored number means, for people.
        keyed_by: What a row is: ``position``, ``item``, ``user``, ``example``, ``parameter``.
        rows: Rows that the store is about; those never written are no answer.
        width: ``k`` of rankings, ``dim`` of embeddings, pairs of preferences, classes of scores, 0 of the others.
        dtype: Of the stored numbers; of texts their form.
        shards: Data files, in the order of their rows; empty until the store is sealed.
        extra: Parameters of the kind's encoding, and counts.
    """

    name: ClassVar[str] = "manifest"

    version: int = VERSION
    kind: Kind
    teacher: str
    teacher_fingerprint: str
    dataset_fingerprint: str
    prompt_hash: str | None = None
    meaning: str
    keyed_by: str
    rows: int = Field(ge=0)
    width: int = Field(ge=0)
    dtype: str
    shards: tuple[Shard, ...] = ()
    extra: dict[str, Any] = Field({})

    def short(self) -> str:
        """What is stored, by whom and about how much, in a few words."""
        return f"{self.kind} by {self.teacher!r}, {self.rows:,} {self.keyed_by}s"


def is_sealed(path: str | Path) -> bool:
    """Whether a finished store is at ``path``."""
    return (Path(path) / MANIFEST).is_file()


def read_manifest(path: Path, kind: Kind, fingerprint: str | None = None) -> Manifest:
    """Read and check the manifest of the store at ``path``.

    Raises:
        KnowledgeError: It is missing, broken, of a newer version, of another kind, or not for ``fingerprint``.
    """
    if not is_sealed(path):
        if (path / HEADER).is_file():
            raise KnowledgeError("this store is not sealed yet", where=path, hint="run the teacher again to finish it")
        raise KnowledgeError("no knowledge store is here (no manifest.json)", where=path, hint="run the teacher first")
    manifest = parse_manifest(path / MANIFEST)
    if manifest.kind != kind:
        raise KnowledgeError(f"this store holds {manifest.kind}, not {kind}", where=path)
    if fingerprint is not None and manifest.dataset_fingerprint != fingerprint:
        raise KnowledgeError(
            f"made for another dataset (fingerprint {manifest.dataset_fingerprint}, the data here have {fingerprint})",
            where=path,
            hint="teach again with the present data",
        )
    return manifest


def parse_manifest(file: Path) -> Manifest:
    """The manifest or header in one file.

    Raises:
        KnowledgeError: It is broken or of a newer version.
    """
    described = read_json(file, KnowledgeError)
    if not isinstance(described, dict) or not isinstance(described.get("version"), int):
        raise KnowledgeError("not a manifest of a knowledge store", where=file)
    if described["version"] > VERSION:
        raise KnowledgeError(
            f"format {described['version']}, this version of recdistill reads up to {VERSION}",
            where=file,
            hint="upgrade recdistill",
        )
    try:
        return Manifest(**described)
    except ConfigError as error:
        raise KnowledgeError(f"broken manifest: {error}", where=file, hint="teach again") from None


def write_manifest(file: Path, manifest: Manifest) -> None:
    """Write a manifest or header, atomically."""
    write_json(file, manifest.model_dump(mode="json"))


def check_same(found: Manifest, wanted: Manifest, path: Path) -> None:
    """Refuse to go on with a store of other parameters.

    Raises:
        KnowledgeError: Any field but ``shards`` and the counts in ``extra`` differs; the first one is named.
    """
    for key in Manifest.model_fields:
        a, b = getattr(found, key), getattr(wanted, key)
        if key == "extra":
            a = {name: value for name, value in a.items() if name in b}
        if key != "shards" and a != b:
            raise KnowledgeError(
                f"the store here has {key} {a!r}, wanted is {b!r}",
                where=path,
                hint="choose another directory, or remove this one",
            )


def verify_shards(path: Path, manifest: Manifest) -> None:
    """Compare every shard with its checksum.

    Raises:
        KnowledgeError: A shard is missing, truncated or altered.
    """
    hint = f"restore it, or remove the whole directory {path} and run the same again"
    for shard in manifest.shards:
        file = path / shard.file
        if not file.is_file():
            raise KnowledgeError("this shard is missing", where=file, hint=hint)
        if checksum(file) != shard.sha256:
            raise KnowledgeError(
                "this shard is truncated or altered (its checksum differs from the manifest)",
                where=file,
                hint=hint,
            )
