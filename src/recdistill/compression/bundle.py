"""Write a bundle: everything that is needed to recommend, and nothing that is needed to train."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.dataset import Contexts, Dataset
from ..errors import BundleError
from ..files import atomic_directory
from ..models.base import RankingModel, VectorModel
from ..serving.bundle import Bundle
from ..serving.catalogue import write_items
from ..serving.manifest import Manifest
from ..serving.place import PACKED
from ..serving.scorers import VectorScorer
from ..serving.topk import top_k
from .card import write_card
from .encoder_check import encoder_error
from .forms import Form, form_of
from .graph_search import FROM_ITEMS, write_graph
from .linear import contexts_of
from .pictures import write_pictures
from .storage import Storage, storage_of
from .tower import fit_tower, tower_targets
from .users import write_users

__all__ = ["write_bundle"]

_SAMPLE = 128
_HARDEST = 9
"""Level of zlib: it is done once."""
_HALF_LIFE = 14 * 86_400_000
"""Milliseconds after which an event counts half for the trend."""


def write_bundle(
    model: RankingModel,
    dataset: Dataset,
    path: str | Path,
    *,
    vectors: str | Storage = "int8",
    card: Mapping[str, Any] | None = None,
    users: bool = False,
    tower: bool | npt.NDArray[Any] = False,
    ann: bool | None = None,
    pictures: str | Path | None = None,
) -> Path:
    """Write a directory from which :class:`recdistill.serving.Bundle` recommends without torch.

    The bundle is opened and compared with the model before it takes its place. How near it came stands in the manifest
    under ``checks``: ``overlap_at_10`` is the share of the model's top 10 that the bundle gives too, for some users of
    the log.

    Args:
        model: A fitted model: SASRec, GRU4Rec, matrix factorisation, EASE, item-kNN, text-kNN or popularity.
        dataset: The catalogue it ranks, and the log for the popularity of its items.
        path: Directory to make; one that is there is replaced at the end.
        vectors: How numbers are stored: ``"float32"``, ``"float16"``, ``"int8"``, ``"int4"`` (with a scale for each
            row), ``"pq"`` (product quantisation), or a :class:`Storage` that says it for each part.
        card: The model card; see :func:`~recdistill.compression.card.write_card`.
        users: Keep the histories of the log, and the vectors of users where the model learned some, so that the bundle
            can be asked for a user.
        tower: Fit a text tower, so that items can be added while the bundle is served; needs texts. Instead of True:
            embeddings of the items by a text encoder or LLM, float ``[n_items, any]``, which it then learns from too.
        ann: Make a graph for approximate search; None: from 200,000 items, if usearch is installed. It is kept if it
            finds 98 % of what the exact search finds.
        pictures: Folder with the pictures of the items; see :func:`~recdistill.compression.pictures.write_pictures`.

    Returns:
        ``path``.

    Raises:
        BundleError: Model and dataset do not fit, or the encoder does not give what the model gives; a tower or a graph
            for a model without vectors, or a tower for items without texts,
            or pictures that the items do not name.
        ConfigError: No such form, or one that does not fit the width of the vectors.
        MissingExtraError: A sequential model needs the extra ``onnx``.
    """
    storage, path = storage_of(vectors), Path(path)
    if model.n_items != dataset.n_items:
        raise BundleError(f"the model ranks {model.n_items:,} items, the dataset has {dataset.n_items:,}", where=path)
    _check_finite(model)
    some = _some_users(dataset)
    popularity = np.bincount(dataset.log.items, minlength=dataset.n_items)
    form = form_of(model, some, popularity, storage)
    manifest = _described(model, dataset, form, storage)
    with atomic_directory(path) as part:
        _write_form(part, form)
        write_items(part, dataset.items, popularity, _trend(dataset))
        if storage.deflate:
            _deflate(part)
        write_card(
            part,
            card or {},
            {"kind": form.kind, "model": manifest.model, "items": manifest.n_items, "numbers": storage.vectors},
        )
        if users:
            write_users(part, model, dataset, form.max_length)
        checks = {}
        if tower is not False:
            checks["tower_explains"] = _write_tower(part, model, dataset, popularity, tower)
        if pictures is not None:
            write_pictures(part, dataset.items, Path(pictures))
        manifest.write(part)
        bundle = Bundle.open(part)
        checks |= _compare(model, form, bundle, some, storage)
        checks |= _link(part, bundle, some, ann)
        replace(manifest, checks=checks).write(part)
    return path


def _described(model: RankingModel, dataset: Dataset, form: Form, storage: Storage) -> Manifest:
    """The manifest, without its files and checks."""
    return Manifest(
        kind=form.kind,
        model=model.config.name,
        n_items=model.n_items,
        dim=form.dim,
        max_length=form.max_length,
        precision=storage.vectors,
        parameters=model.n_parameters,
        fingerprints={
            "dataset": dataset.fingerprint,
            "items": dataset.items.fingerprint,
            "config": model.config.digest(),
        },
    )


def _check_finite(model: RankingModel) -> None:
    for name, values in model.tensors().items():
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            raise BundleError(f"the model's {name!r} holds a number that is not finite", hint="train it again")


def _write_tower(
    directory: Path,
    model: RankingModel,
    dataset: Dataset,
    popularity: npt.NDArray[np.int64],
    tower: bool | npt.NDArray[Any],
) -> float:
    """Write ``tower.npz`` and ``tower_vectors.npy``; returns the share of unseen items' variance it explains."""
    texts = dataset.items.texts or dataset.items.titles
    if not isinstance(model, VectorModel) or texts is None:
        what = "has no item vectors" if texts is not None else "knows no texts of the items"
        raise BundleError(f"{model.config.name} {what}, so there is nothing to fit a text tower to")
    embeddings = None if isinstance(tower, bool) else tower
    fitted = fit_tower(texts, tower_targets(model), popularity, embeddings=embeddings)
    arrays, vectors = fitted.tower.files()
    np.savez_compressed(directory / "tower.npz", allow_pickle=False, **arrays)
    np.save(directory / "tower_vectors.npy", vectors)
    return fitted.explained


def _link(directory: Path, bundle: Bundle, users: Contexts, wanted: bool | None) -> dict[str, float]:
    """Write a graph for approximate search, if there shall be one."""
    fits = isinstance(bundle.scorer, VectorScorer)
    if wanted and not fits:
        raise BundleError(f"a bundle of kind {bundle.manifest.kind!r} has no vectors to search among")
    if wanted is None:
        wanted = fits and bundle.n_items >= FROM_ITEMS and find_spec("usearch") is not None
    if not wanted or not isinstance(bundle.scorer, VectorScorer):
        return {}
    return write_graph(directory, bundle.scorer, bundle.n_items, users)


def _trend(dataset: Dataset) -> npt.NDArray[np.float64] | None:
    """Events of each item, half as heavy for every two weeks between them and the newest; None without times."""
    times = dataset.log.times
    if times is None or not len(times):
        return None
    weights = np.exp2((times - times.max()) / _HALF_LIFE)
    trend: npt.NDArray[np.float64] = np.bincount(dataset.log.items, weights, dataset.n_items).astype(np.float64)
    return trend


def _some_users(dataset: Dataset) -> Contexts:
    """Users of the log with something in their history, spread evenly."""
    rows = np.flatnonzero(dataset.log.lengths)
    if not len(rows):
        raise BundleError("the log is empty, there is nothing to compare the bundle on", where=dataset.name)
    rows = rows[np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(np.int64)]
    return replace(contexts_of(dataset.log.take(rows)), users=rows.astype(np.int32))


def _write_form(directory: Path, form: Form) -> None:
    for name, array in form.arrays.items():
        if not np.isfinite(array).all():
            raise BundleError(f"the model's {name} hold a number that is not finite", hint="train it again")
        np.save(directory / f"{name}.npy", array, allow_pickle=False)
    if form.encoder is not None:
        (directory / "encoder.onnx").write_bytes(form.encoder)


def _deflate(directory: Path) -> None:
    """Compress every file that becomes smaller by it."""
    for file in sorted(directory.iterdir()):
        packed = zlib.compress(file.read_bytes(), _HARDEST)
        if len(packed) < file.stat().st_size:
            file.with_name(file.name + PACKED).write_bytes(packed)
            file.unlink()


def _compare(model: RankingModel, form: Form, bundle: Bundle, users: Contexts, storage: Storage) -> dict[str, float]:
    """Overlap of the top 10 of model and bundle, and the error of the encoder alone."""
    checks = {"users": float(len(users)), "overlap_at_10": _overlap(model, bundle, users)}
    if form.encoder is not None and isinstance(model, VectorModel):
        checks["encoder_error"] = encoder_error(model, form, users, storage.encoder_form)
    return checks


def _overlap(model: RankingModel, bundle: Bundle, users: Contexts, k: int = 10) -> float:
    expected, served = model.score(users), bundle.score(users)
    common = total = 0
    for row, (a, b) in enumerate(zip(expected, served, strict=True)):
        a[users.history[row]] = b[users.history[row]] = -np.inf
        best = top_k(a, k)
        common, total = common + len(np.intersect1d(best, top_k(b, k))), total + len(best)
    return common / max(total, 1)
