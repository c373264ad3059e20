from __future__ import annotations

from pathlib import Path

import pytest

import recdistill.teachers as room
from recdistill.teachers.base import TeacherConfig
from recdistill.teachers.encoder import Encoder
from recdistill.testing import tiny_split


def test_every_teacher_loads() -> None:
    for name in room.TEACHERS:
        assert room.TEACHERS[name].load() is getattr(room, room.TEACHERS[name].attribute)
    assert set(room.__all__) == {"TEACHERS", *(component.attribute for component in room.TEACHERS.values())}


def test_bases_teach_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError):
        TeacherConfig().teach(tiny_split(), tmp_path)
    with pytest.raises(TypeError, match="not an encoder"):
        Encoder(model="x").load()
