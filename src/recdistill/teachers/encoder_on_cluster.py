"""An encoder on several machines: each computes whole batches, so that vectors are the same as on one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..registry import need
from .cluster import Cluster
from .encoder import POOL, Encoder, LoadedEncoder

__all__ = ["EncoderOnCluster"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Piece = dict[str, npt.NDArray[Any]]

_PARTS = 4
"""Parts of a pool of texts for each worker."""


class EncoderOnCluster:
    """Computes what the encoder would compute here: the same texts in the same batches.

    Args:
        config: The encoder.
        cluster: Where it computes.

    Raises:
        TeacherError: The model cannot be loaded there.
    """

    def __init__(self, config: Encoder, cluster: Cluster) -> None:
        self.config, self._cluster = config, cluster
        self._workers, self._share = cluster.shares()
        self.dim: int = cluster.on_one(_dim, self._share, config)

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[Ints, Floats]]:
        """See :meth:`LoadedEncoder.batches`; batches come in any order.

        Raises:
            TeacherError: The model cannot be loaded, or the workers die.
        """
        ray = self._cluster.start()
        starts = range(0, len(texts), POOL)
        pools = [ray.put(list(texts[start : start + POOL])) for start in starts]
        parts = self._workers * _PARTS
        left = {(pool, part) for pool in range(len(pools)) for part in range(parts)}
        arguments = {"config": self.config, "pools": pools, "parts": parts}
        see = self._cluster.rounds()
        while left:
            pieces = [{"pool": [pool], "part": [part]} for pool, part in sorted(left)]
            before = len(left)
            for found in self._cluster.stream(pieces, _Worker, arguments, self._workers, self._share):
                left.discard((int(found["pool"][0]), int(found["part"][0])))
                rows = found["row"] >= 0
                if rows.any():
                    yield starts[int(found["pool"][0])] + found["row"][rows], np.stack(found["vector"][rows])
            see(before, len(left))


class _Worker:
    """Encodes parts of pools; its first row is a number below zero, so that no piece comes back empty."""

    def __init__(self, config: Encoder, pools: list[Any], parts: int) -> None:
        self._config, self._pools, self._parts = config, pools, parts
        self._loaded: LoadedEncoder | None = None

    def __call__(self, piece: Piece) -> Piece:
        if self._loaded is None:
            self._loaded = self._config.load()
        pool, part = int(piece["pool"][0]), int(piece["part"][0])
        texts = need("ray", "ray").get(self._pools[pool])
        rows, vectors = [np.array([-1])], [np.zeros((1, self._loaded.dim), dtype=np.float32)]
        for some, found in self._loaded.pool(texts, part, self._parts):
            rows.append(some)
            vectors.append(found)
        all_rows = np.concatenate(rows)
        return {
            "pool": np.full(len(all_rows), pool), "part": np.full(len(all_rows), part), "row": all_rows,
            "vector": np.concatenate(vectors),
        }  # fmt: skip


def _dim(config: Encoder) -> int:
    return config.load().dim
