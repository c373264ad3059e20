"""A finished run whose student is made smaller: what the command does, and where it leaves what it found."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ..compression.chain import no_fit
from ..compression.outcome import FILE, Outcome
from ..errors import RunError
from ..files import atomic_directory, checksum
from ..serving.deployment import Home
from .run import Run
from .schema import CompressionSpec, Recipe

if TYPE_CHECKING:
    from ..compression.chain import Compressed

__all__ = ["compress_run"]

log = logging.getLogger("recdistill")

COMPRESSED = "compressed"
"""Name of the picked bundle in a run directory."""


def compress_run(recipe: Recipe, directory: Path, spec: CompressionSpec, *, publish: bool = False) -> Outcome:
    """Compress the best distilled student of a run.

    ``compression.json`` and, if a candidate fits the budget, ``compressed/`` are written; the report gets a section.
    What an earlier call left there is kept under ``earlier/``.

    Args:
        recipe: Of the run; stages that are missing are done first.
        directory: The run directory.
        spec: Steps, gate and budget.
        publish: Make the picked bundle the one that the run serves.

    Returns:
        What was found; without a pick if nothing fits the budget.

    Raises:
        RunError: ``publish``, and nothing fits the budget.
    """
    run = Run(recipe, directory)
    if publish and (served := Home.of(directory).served).resolve() != (directory / "bundle").resolve():
        hint = f"without --publish it is written beside; deploy it with: recdistill deploy {directory} BUNDLE"
        raise RunError(f"{served} is served, and not the run's own bundle", where=directory, hint=hint)
    with run.claimed():
        compressed = run.compressed(spec)
        outcome = compressed.outcome
        if not _same(directory / FILE, outcome):
            _aside(directory, FILE)
            outcome.write(directory / FILE)
        if outcome.picked is None and publish:
            raise no_fit(outcome)
        if outcome.picked is not None:
            _write(run, compressed, spec)
            if publish:
                _publish(directory)
        from ..reports import refresh_run_report

        refresh_run_report(directory)
    return outcome


def _write(run: Run, compressed: Compressed, spec: CompressionSpec) -> None:
    place = run.directory / COMPRESSED
    fresh = place.with_name(f".{COMPRESSED}.new")
    shutil.rmtree(fresh, ignore_errors=True)  # of an interrupted call
    compressed.bundle(fresh, run.card | spec.noted(), dataset=run.split.dataset, **run.parts())
    if _fingerprint(fresh) == _fingerprint(place):
        shutil.rmtree(fresh)
        return
    _aside(run.directory, COMPRESSED)
    fresh.replace(place)


def _publish(directory: Path) -> None:
    bundle = directory / "bundle"
    if _fingerprint(directory / COMPRESSED) == _fingerprint(bundle):
        return
    if bundle.exists():
        kept = _free(directory, "bundle")
        shutil.copytree(bundle, kept)
        log.info("the bundle that was served before is kept in %s", kept)
    with atomic_directory(bundle) as part:
        shutil.copytree(directory / COMPRESSED, part, dirs_exist_ok=True)


def _same(path: Path, outcome: Outcome) -> bool:
    try:
        return path.exists() and Outcome.read(path) == outcome
    except RunError:  # of another version
        return False


def _aside(directory: Path, name: str) -> None:
    """Move what is there out of the way, and say so."""
    if (directory / name).exists():
        kept = _free(directory, name)
        (directory / name).replace(kept)
        log.info("what was in %s is kept in %s", directory / name, kept)


def _free(directory: Path, name: str) -> Path:
    """A place under ``earlier`` that is not taken."""
    stem, _, ending = name.partition(".")
    earlier, number = directory / "earlier", 1
    earlier.mkdir(exist_ok=True)
    while (place := earlier / f"{stem}-{number}{f'.{ending}' if ending else ''}").exists():
        number += 1
    return place


def _fingerprint(bundle: Path) -> str | None:
    """Checksum of a bundle's manifest, which holds those of all its files; None where there is none."""
    manifest = bundle / "manifest.json"
    return checksum(manifest) if manifest.exists() else None
