"""How the numbers of a bundle are stored."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from pydantic import Field

from ..config import Config
from ..errors import ConfigError, nearest
from .product import check_parts
from .quantise import Precision

__all__ = ["EncoderForm", "Storage", "VectorForm", "storage_of"]

VectorForm = Literal["float32", "float16", "int8", "int4", "pq"]
EncoderForm = Literal["float32", "float16", "int8", "int4", "dynamic", "static"]
_WIDTH = 4
"""Dimensions that share a byte in a product quantiser, at least, unless somebody says otherwise."""


class Storage(Config):
    """How the numbers of a bundle are stored; each field is about another part of it."""

    name: ClassVar[str] = "storage"

    vectors: VectorForm = Field(
        "int8", description="item vectors, or the entries of an item-to-item matrix; pq: product quantisation"
    )
    parts: int | None = Field(None, ge=1, description="of pq: bytes for an item; None: one for four dimensions")
    encoder: EncoderForm | None = Field(
        None,
        description="matrices of the encoder; dynamic, static: computed in 8 bits; None: as vectors, int8 with pq",
    )
    neighbours: int = Field(100, ge=1, description="entries kept of each row of an item-to-item matrix")
    deflate: bool = Field(False, description="compress every file on disk, without a loss")

    @property
    def encoder_form(self) -> EncoderForm:
        """The form of the encoder."""
        return self.encoder or ("int8" if self.vectors == "pq" else self.vectors)

    def parts_of(self, width: int) -> int:
        """Parts of a vector of some width in a product quantiser.

        Raises:
            ConfigError: They do not divide the width.
        """
        parts = self.parts or next(parts for parts in range(max(width // _WIDTH, 1), 0, -1) if width % parts == 0)
        check_parts(parts, width)
        return parts

    @property
    def entries(self) -> Precision:
        """The precision of an item-to-item matrix, whose rows are no vectors that share codewords."""
        return "int8" if self.vectors == "pq" else self.vectors


def storage_of(vectors: str | Storage) -> Storage:
    """The storage that a word stands for.

    Raises:
        ConfigError: There is no such form; the nearest is named.
    """
    if isinstance(vectors, Storage):
        return vectors
    known = get_args(VectorForm)
    if vectors not in known:
        hint = nearest(vectors, known)
        raise ConfigError(f"vectors cannot be stored as {vectors!r}", key=("vectors",), hint=hint)
    return Storage(vectors=vectors)
