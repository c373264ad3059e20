"""Large pages for memory that others allocate.

A scan of many megabytes in pages of 4 kB spends a third of its time on looking up where they are. NumPy asks the system
for large pages itself, ONNX Runtime does not. Linux only; elsewhere, and where it is not allowed, nothing happens.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["on_large_pages"]

_MAPS = Path("/proc/self/maps")
_LEAST = 16 << 20
"""Bytes of a region: what is smaller gains little, and large pages round its size up."""
_ADVICE = (14, 25)
"""``MADV_HUGEPAGE``: in large pages from now on; ``MADV_COLLAPSE`` (Linux 6.1): at once, what is there already too."""


@contextmanager
def on_large_pages() -> Iterator[None]:
    """Put the large regions of memory that appear within a block on large pages, when it ends."""
    before = _regions()
    yield
    new = [(start, size) for start, size in _regions().items() if before.get(start) != size]
    if new:
        advise = ctypes.CDLL(None).madvise
        advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for start, size in new:
            for advice in _ADVICE:  # what it answers does not matter: the memory is right either way
                advise(start, size, advice)


def _regions() -> dict[int, int]:
    """Large regions that belong to no file and can be written: size by address."""
    if sys.platform != "linux" or not _MAPS.exists():
        return {}
    found = {}
    for line in _MAPS.read_text(encoding="utf-8", errors="replace").splitlines():
        span, rights, _, _, file, *_ = line.split()
        start, end = (int(side, 16) for side in span.split("-"))
        if file == "0" and rights.startswith("rw") and rights.endswith("p") and end - start >= _LEAST:
            found[start] = end - start
    return found
