"""Memory on large pages; what is asked of the system is only speed."""

from __future__ import annotations

import ctypes
import mmap
import sys
from pathlib import Path

import pytest

from recdistill.serving import large_pages as pages

SIZE = 32 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")
def test_what_a_block_allocates_is_found_and_stays_as_it_is() -> None:
    before = pages._regions()
    with pages.on_large_pages():
        memory = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory[:5], memory[-5:] = b"begin", b"ended"
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        after = pages._regions()
        assert any(start <= address and address + SIZE <= start + size for start, size in after.items())
        assert before != after
    assert (memory[:5], memory[SIZE // 2], memory[-5:]) == (b"begin", 0, b"ended")


def test_a_system_that_tells_nothing_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pages, "_MAPS", tmp_path / "none")
    with pages.on_large_pages():
        assert pages._regions() == {}
