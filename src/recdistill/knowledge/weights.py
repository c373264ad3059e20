"""Tensors to start a student from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from ..errors import KnowledgeError
from ..files import atomic_directory, checksum
from .manifest import (
    MANIFEST,
    Kind,
    Manifest,
    Shard,
    check_same,
    is_sealed,
    read_manifest,
    verify_shards,
    write_manifest,
)

__all__ = ["WeightsStore"]

_FILE = "shard-00000.safetensors"


class WeightsStore:
    """A teacher's tensors by name, in one safetensors file.

    Attributes:
        path: Its directory.
        manifest: Its description.
    """

    kind: ClassVar[Kind] = "weights"

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.manifest.short()}>"

    @classmethod
    def write(
        cls, path: str | Path, teacher: str, teacher_fingerprint: str, fingerprint: str,
        tensors: Mapping[str, npt.NDArray[Any]], meaning: str = "parameters of a fitted model",
        extra: Mapping[str, Any] | None = None,
    ) -> Self:  # fmt: skip
        """Write tensors, atomically; a store of the same teacher and data that is there already is kept.

        Args:
            path: Directory of the store.
            teacher: The teacher's name.
            teacher_fingerprint: Hash of its parameters and weights.
            fingerprint: Of the split it was fitted to.
            tensors: By parameter name.
            meaning: What they are.
            extra: JSON-like, goes into the manifest: ``model`` is what the model was made of.

        Raises:
            KnowledgeError: The directory holds another store, or other files.
        """
        from safetensors.numpy import save_file

        path = Path(path)
        header = Manifest(
            kind="weights", teacher=teacher, teacher_fingerprint=teacher_fingerprint, dataset_fingerprint=fingerprint,
            meaning=meaning, keyed_by="parameter", rows=len(tensors), width=0, dtype="as trained",
            extra=dict(extra or {}),
        )  # fmt: skip
        if is_sealed(path):
            check_same(read_manifest(path, cls.kind), header, path)
            return cls.open(path)
        if path.exists() and any(path.iterdir()):
            raise KnowledgeError("not empty and not a knowledge store", where=path, hint="choose another place")
        with atomic_directory(path) as part:
            save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, part / _FILE)
            shard = Shard(file=_FILE, rows=len(tensors), sha256=checksum(part / _FILE))
            write_manifest(part / MANIFEST, header.replace(shards=(shard,)))
        return cls.open(path, verify=False)

    @classmethod
    def open(cls, path: str | Path, fingerprint: str | None = None, verify: bool = True) -> Self:
        """Open a store.

        Args:
            path: Its directory.
            fingerprint: Of the data it must have been made for; None to take any.
            verify: Compare the file with its checksum first.

        Raises:
            KnowledgeError: It is missing, broken, of a newer version, or made for other data.
        """
        path = Path(path)
        manifest = read_manifest(path, cls.kind, fingerprint)
        if verify:
            verify_shards(path, manifest)
        return cls(path, manifest)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """All tensors by name.

        Raises:
            KnowledgeError: The file cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        out: dict[str, npt.NDArray[Any]] = {}
        for shard in self.manifest.shards:
            try:
                out |= load_file(self.path / shard.file)
            except (OSError, SafetensorError) as error:
                raise KnowledgeError(
                    f"cannot be read ({error})", where=self.path / shard.file, hint="teach again"
                ) from None
        return out
