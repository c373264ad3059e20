from __future__ import annotations

import pytest

import recdistill.compression as room


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(callable(getattr(room, name)) for name in room.__all__ if name != "STEPS")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = room.nothing
