"""What a bundle keeps of known users: their histories, and their vectors where the model learned some."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import BundleError
from .catalogue import load_arrays
from .manifest import Manifest, load_array
from .place import Place
from .strings import Strings

__all__ = ["Users"]

Floats = npt.NDArray[np.float32]
_FILE = "users.npz"


class Users:
    """Known users of a bundle; histories and vectors are mapped, not read.

    Args:
        place: The bundle.
        manifest: Its manifest.

    Raises:
        BundleError: Files are broken or do not fit.
    """

    def __init__(self, place: Place, manifest: Manifest) -> None:
        arrays = load_arrays(place, _FILE)
        try:
            self.ids = Strings.read(arrays, "id")
        except (KeyError, ValueError) as error:
            where = place.where(_FILE)
            raise BundleError(f"cannot be read ({error})", where=where, hint="write the bundle again") from None
        self._items = load_array(place, "user_items.npy", (-1,), np.uint16, np.int32)
        self._ends = load_array(place, "user_ends.npy", (len(self.ids) + 1,), np.int64)
        self._n_items, self._where = manifest.n_items, place.where("user_items.npy")
        self._vectors: npt.NDArray[np.int8] | None = None
        if "user_vectors.npy" in place.sizes:
            self._vectors = load_array(place, "user_vectors.npy", (len(self.ids), manifest.dim), np.int8)
            self._scales = load_array(place, "user_scales.npy", (len(self.ids),), np.float32)

    @classmethod
    def open(cls, place: Place, manifest: Manifest) -> Users | None:
        """The users of a bundle, or None if it keeps none."""
        return cls(place, manifest) if _FILE in manifest.files else None

    def __len__(self) -> int:
        """How many there are."""
        return len(self.ids)

    def history(self, row: int) -> npt.NDArray[np.int64]:
        """Items of a user, oldest first: int64 ``[length]``.

        Raises:
            BundleError: The stored history names items that do not exist.
        """
        items = self._items[self._ends[row] : self._ends[row + 1]].astype(np.int64)
        if len(items) and not 0 <= items.min() <= items.max() < self._n_items:
            raise BundleError("names items that do not exist", where=self._where, hint="write the bundle again")
        return items

    def vector(self, row: int) -> Floats | None:
        """The learned vector of a user: float32 ``[dim]``; None if the bundle keeps none, or nothing was learned."""
        if self._vectors is None or not self._scales[row]:
            return None
        vector: Floats = self._vectors[row] * self._scales[row]
        return vector
