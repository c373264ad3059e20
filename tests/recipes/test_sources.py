"""What the data stage is cached under."""

from __future__ import annotations

from pathlib import Path

from recdistill.recipes.schema import DataSpec
from recdistill.recipes.sources import input_files


def test_files_of_one_name_count_both(tmp_path: Path) -> None:
    for folder in ("logs", "meta"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "data.csv").write_text(folder)
    spec = DataSpec(log="logs/data.csv", items="meta/data.csv")
    before = input_files(spec, tmp_path)
    assert sorted(before) == ["items/data.csv", "log/data.csv"]
    (tmp_path / "logs" / "data.csv").write_text("half")
    after = input_files(spec, tmp_path)
    assert [name for name in before if before[name] != after[name]] == ["log/data.csv"]


def test_all_files_of_a_folder_count(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("b.inter", "a.item"):
        (tmp_path / "folder" / name).write_text(name)
    assert list(input_files(DataSpec(log="folder"), tmp_path)) == ["log/a.item", "log/b.inter"]
