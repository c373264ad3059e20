"""A recipe that compresses its student before it is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from recdistill.compression import write_bundle
from recdistill.compression.outcome import Outcome
from recdistill.errors import RunError
from recdistill.models.popularity import Popularity
from recdistill.recipes import load_recipe, run_recipe
from recdistill.recipes.compressing import compress_run
from recdistill.serving import Bundle
from recdistill.serving.deployment import Home, Variant
from tests.pictures import png
from tests.synthetic import tiny_split

COMPRESSION = """\
compression:
  steps: [int8, {type: low-rank, amount: 0.5, epochs: 1}, deflate]
  gate: {max_drop: 90%, max_tail_drop: 99%, min_overlap: 0}
  under: 1MB
"""


def test_the_picked_bundle_is_what_is_served_and_measured(films: Path, tmp_path: Path) -> None:
    for file in films.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    table = tmp_path / "movies.csv"
    first, *rows = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([f"{first},image", *(f"{row},film.png" for row in rows)]), encoding="utf-8")
    (tmp_path / "film.png").write_bytes(png())
    recipe = tmp_path / "films.yaml"
    text = recipe.read_text(encoding="utf-8").replace("seeds: [0, 1]", "seeds: [0]")
    recipe.write_text(text + "bundle: {pictures: true, tower: true}\n" + COMPRESSION, encoding="utf-8")
    loaded = load_recipe(recipe)
    assert loaded.compression is not None
    assert loaded.compression.under == 1_000_000
    results = run_recipe(loaded, tmp_path / "run")
    outcome = Outcome.read(tmp_path / "run" / "compression.json")
    assert [row.name for row in outcome.rows] == ["uncompressed", "int8", "low-rank", "deflate"]
    assert outcome.picked is not None
    bundle = Bundle.open(tmp_path / "run" / "bundle")
    assert (
        bundle.card["compression"]["steps"] == [row.name for row in outcome.rows[1:] if row.kept][: len(outcome.rows)]
    )
    assert bundle.pictures is not None
    assert bundle.pictures.of(0) == ("image/png", png())
    assert bundle.tower is not None
    served = results.of_role("served")
    assert served is not None
    assert "compressed" in served.note
    assert served.bytes == bundle.size_bytes
    assert "<h2>Compression</h2>" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")

    write_bundle(Popularity().build(tiny_split()), tiny_split().dataset, tmp_path / "other")
    Home.of(tmp_path / "run").publish([Variant("main", tmp_path / "other")])
    with pytest.raises(RunError, match="other is served, and not the run's own bundle; without --publish"):
        compress_run(loaded, tmp_path / "run", loaded.compression, publish=True)
    Home.of(tmp_path / "run").roll_back()

    stages = {stage.name: stage.cached for stage in run_recipe(loaded, tmp_path / "run").stages}
    assert stages == {stage.name: stage.cached for stage in results.stages}  # nothing was done a second time
