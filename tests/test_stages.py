"""Work is done once for the same inputs, and a run directory belongs to one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from recdistill.errors import RunError
from recdistill.stages import Stages


def test_same_inputs_do_nothing_other_inputs_work_again(tmp_path: Path) -> None:
    calls: list[str] = []

    def work(path: Path) -> dict[str, int]:
        calls.append(path.name)
        return {"n": len(calls)}

    stages = Stages(tmp_path)
    first = stages("train/alone", {"dim": 1}, work)
    again = Stages(tmp_path)("train/alone", {"dim": 1}, work)
    other = stages("train/alone", {"dim": 2}, work)
    assert (first.cached, again.cached, other.cached) == (False, True, False)
    assert again.info == first.info == {"n": 1}
    assert again.seconds == first.seconds
    assert len(calls) == 2
    assert first.key != other.key
    assert [stage.name for stage in stages.finished] == ["train/alone", "train/alone"]


def test_unfinished_work_stays_and_is_done_again(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        (path / "half").write_text("x")
        raise ValueError("power cut")

    stages = Stages(tmp_path)
    with pytest.raises(ValueError, match="power cut"):
        stages("teach", 1, fail)
    again = stages("teach", 1, lambda path: {"half": (path / "half").exists()})
    assert again.info == {"half": True}


def test_work_is_done_again_where_something_that_it_keeps_is_gone(tmp_path: Path) -> None:
    def work(path: Path) -> dict[str, int]:
        (path / "store").touch()
        return {}

    def ask() -> bool:
        return Stages(tmp_path)("teach", 1, work, keeps=lambda path: [f.name for f in path.glob("sto*")]).cached

    assert [ask(), ask()] == [False, True]
    next(tmp_path.rglob("store")).unlink()
    assert [ask(), ask()] == [False, True]


def test_a_broken_record_is_one_clear_line(tmp_path: Path) -> None:
    stages = Stages(tmp_path)
    path = stages("data", 1, lambda _: None).path
    (path / "done.json").write_text("{")
    with pytest.raises(RunError, match=r"done\.json"):
        stages("data", 1, lambda _: None)


def test_two_processes_cannot_share_a_run(tmp_path: Path) -> None:
    with Stages(tmp_path).lock(), pytest.raises(RunError, match="another process"), Stages(tmp_path).lock():
        pass
    with Stages(tmp_path).lock():
        pass
