"""Pictures of items inside a bundle: small files, one behind the other, each given out as it lies.

``pictures.bin`` holds them, ``pictures.npy`` (int64 ``[n_items + 1]``) says where each begins and ends; an item without
one has no bytes. What a picture is, its first bytes say; formats that can hold a script, such as SVG, are none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import BundleError
from .manifest import load_array
from .place import Place

__all__ = ["Pictures", "kind_of"]

FILE, ENDS = "pictures.bin", "pictures.npy"
_KINDS = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"ftypavif", 4, "image/avif"),
)


def kind_of(picture: bytes | memoryview) -> str | None:
    """The media type of a PNG, JPEG, GIF, WebP or AVIF by its first bytes; None for anything else."""
    start = bytes(picture[:16])
    return next((kind for sign, at, kind in _KINDS if start[at : at + len(sign)] == sign), None)


class Pictures:
    """The pictures of a bundle.

    Args:
        data: All of them, mapped.
        ends: int64 ``[n_items + 1]``, see above.
    """

    def __init__(self, data: memoryview, ends: npt.NDArray[np.int64]) -> None:
        self._data, self._ends = data, ends

    @classmethod
    def open(cls, place: Place, n_items: int) -> Pictures | None:
        """The pictures of a bundle, or None if it has none.

        Raises:
            BundleError: Its files are broken.
        """
        if FILE not in place.sizes:
            return None
        ends = load_array(place, ENDS, (n_items + 1,), np.int64)
        if ends[0] != 0 or ends[-1] != place.sizes[FILE] or (np.diff(ends) < 0).any():
            raise BundleError(f"does not fit {FILE}", where=place.where(ENDS), hint="write the bundle again")
        return cls(place.read(FILE), ends)

    def of(self, index: int) -> tuple[str, bytes] | None:
        """Media type and bytes of an item's picture; None where there is none, such as of an item that came later."""
        if not 0 <= index < len(self._ends) - 1:
            return None
        picture = self._data[self._ends[index] : self._ends[index + 1]]
        kind = kind_of(picture)
        return None if kind is None else (kind, bytes(picture))

    @staticmethod
    def write(directory: Path, pictures: list[bytes]) -> None:
        """Write both files: a picture for each item, no bytes where there is none."""
        np.save(directory / ENDS, np.cumsum([0, *map(len, pictures)], dtype=np.int64))
        with (directory / FILE).open("wb") as file:
            file.writelines(pictures)
