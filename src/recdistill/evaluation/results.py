"""All models of a comparison on the same questions, with what was measured kept context by context."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.dataset import Contexts, Split
from ..errors import ConfigError, nearest
from ..models.base import RankingModel
from . import beyond
from .agreement import Transfer, overlap, rank_biased_overlap, transfer_ratio
from .bootstrap import Comparison, Interval, compare, interval
from .metrics import METRICS, Hits, accuracy, hits, parse
from .ranking import rank
from .slices import SLICES, Slice, slices

__all__ = ["Evaluation", "evaluate"]

log = logging.getLogger("recdistill")

Values = npt.NDArray[np.float64]
Items = npt.NDArray[np.int32]
Models = Mapping[str, RankingModel | Sequence[RankingModel]]

_LISTS = ("novelty", "diversity", "coverage", "gini")
_AGREEMENT = ("overlap", "rbo", "win", "loss")
KNOWN = (*METRICS, *_LISTS, *_AGREEMENT)
"""Names that stand before the ``@`` of a metric."""


def evaluate(
    models: Models | RankingModel,
    split: Split,
    part: str = "test",
    k: Sequence[int] = (5, 10, 20),
    *,
    teacher: str | RankingModel | None = None,
    exclude_history: bool = True,
    vectors: npt.NDArray[Any] | None = None,
) -> Evaluation:
    """Rank the whole catalogue with every model and keep the lists.

    Args:
        models: Name to model, or to the models of several seeds, which count as one row; or a single model.
        split: Its ``part`` is asked, its training events define head, tail, cold items and novelty.
        part: ``"test"`` for reports, ``"valid"`` for any choice.
        k: Cut-offs.
        teacher: Name of the one among ``models`` with which the others are compared, or a model, which is then added
            under the name ``"teacher"``.
        exclude_history: See :func:`rank`. Targets that are in the history then count as missed, by all models alike;
            a warning in the log says how many there are.
        vectors: float ``[n_items, any]``, embeddings by which diversity is measured; None: categories.

    Raises:
        ConfigError: No model or cut-off, an unknown teacher, or a model of another catalogue.
    """
    named = _named(models)
    if isinstance(teacher, RankingModel):
        named, teacher = named | {"teacher": (teacher,)}, "teacher"
    if part not in ("valid", "test"):
        raise ConfigError(f"no part of a split is called {part!r}", hint=nearest(str(part), ("valid", "test")))
    if not named or not k or min(k) < 1:
        raise ConfigError("nothing to evaluate", hint="give at least one model and cut-offs of at least 1")
    if teacher is not None and teacher not in named:
        raise ConfigError(f"no model is called {teacher!r}", key=("teacher",), hint=nearest(teacher, named))
    contexts: Contexts = getattr(split, part)
    if exclude_history:
        _tell_repeats(contexts, part)
    ranked: dict[str, tuple[Items, ...]] = {}
    for name, seeds in named.items():
        if any(model.n_items != split.n_items for model in seeds):
            fitted = f"{seeds[0].n_items:,} items, the split has {split.n_items:,}"
            raise ConfigError(f"{name} was fitted to {fitted}", hint="train it on this dataset")
        ranked[name] = tuple(rank(model, contexts, max(k), exclude_history=exclude_history) for model in seeds)
    parameters = {name: max(model.n_parameters for model in seeds) for name, seeds in named.items()}
    unit = beyond.item_vectors(split.dataset.items, vectors)
    return Evaluation(split, part, tuple(sorted(k)), ranked, parameters, teacher, unit)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What :func:`evaluate` found.

    A metric is written ``name@k`` or ``name@k/slice``, such as ``"ndcg@10"`` or ``"recall@20/tail"``.

    - Names: ``hr``, ``recall``, ``precision``, ``ndcg``, ``mrr``, ``map``; ``coverage``, ``gini``, ``novelty``,
      ``diversity``; with a teacher ``overlap``, ``rbo``, ``win`` and ``loss`` (whether a context's NDCG is above or
      below the teacher's).
    - Slices: ``head``, ``tail``, ``cold``, ``short``, ``long``.

    Where only one model was evaluated its name can be left out.

    Attributes:
        split: The split.
        part: The part that was asked.
        k: Cut-offs, ascending.
        ranked: Name to ranked lists, int32 ``[n, max(k)]`` for each seed.
        parameters: Name to number of parameters.
        teacher: Name of the teacher, or None.
        vectors: Unit vectors of the items, for diversity, or None.
    """

    split: Split
    part: str
    k: tuple[int, ...]
    ranked: Mapping[str, tuple[Items, ...]]
    parameters: Mapping[str, int]
    teacher: str | None = None
    vectors: Any | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Names, in the order given."""
        return tuple(self.ranked)

    @property
    def contexts(self) -> Contexts:
        """What was asked."""
        return self.split.valid if self.part == "valid" else self.split.test

    @cached_property
    def slices(self) -> Mapping[str, Slice]:
        """Name to slice, with its definition and size."""
        return slices(self.split, self.contexts)

    def values(self, metric: str, model: str | None = None) -> Values:
        """A metric of every context: float64 ``[seeds, n]``, NaN where it has no value.

        Raises:
            ConfigError: Unknown model, metric or slice, a cut-off beyond the largest, or there is no teacher.
        """
        name, k, part = self._parse(metric)
        if name in ("coverage", "gini"):
            raise ConfigError(f"{metric!r} belongs to all contexts together", hint="use mean()")
        model = self._model(model)
        return np.stack([self._values(name, k, part, model, seed) for seed in range(len(self.ranked[model]))])

    def mean(self, metric: str, model: str | None = None) -> float:
        """A metric over all contexts that have a value, and seeds; NaN if none has."""
        name, k, _ = self._parse(metric)
        model = self._model(model)
        if name in ("coverage", "gini"):
            measure = getattr(beyond, name)
            return float(np.mean([measure(ranked, k, self.split.n_items) for ranked in self.ranked[model]]))
        values = self.values(metric, model)
        return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")

    def interval(self, metric: str, model: str | None = None, *, level: float = 0.95) -> Interval:
        """Bootstrap interval of a metric's mean."""
        return interval(self.values(metric, model), self.contexts.users, level=level)

    def compare(self, model: str, over: str, metric: str = "ndcg@10", *, level: float = 0.95) -> Comparison:
        """Paired bootstrap of ``model`` against ``over``; its ``verdict`` says whether the difference is clear."""
        return compare(self.values(metric, model), self.values(metric, over), self.contexts.users, level=level)

    def transfer(self, distilled: str, alone: str, metric: str = "ndcg@10") -> Transfer:
        """Share of the teacher's lead over the student alone that the distilled student has.

        Raises:
            ConfigError: No teacher was named.
        """
        return transfer_ratio(
            self.mean(metric, distilled), self.mean(metric, alone), self.mean(metric, self._teacher())
        )

    def unbeaten(self, model: str, baselines: Sequence[str], metric: str = "ndcg@10") -> dict[str, Comparison]:
        """The baselines that ``model`` does not clearly beat. Empty is what one wants to see."""
        found = {name: self.compare(model, name, metric) for name in baselines if name in self.ranked}
        return {name: comparison for name, comparison in found.items() if comparison.verdict != "better"}

    def metrics(self) -> list[str]:
        """Every metric of :meth:`table`, in order."""
        names = [f"{name}@{k}" for k in self.k for name in METRICS]
        names += [f"{name}@{self._middle}" for name in (*_LISTS, *(_AGREEMENT if self.teacher else ()))]
        sized = [name for name in SLICES if self.slices[name].size]
        return names + [f"{name}@{self._middle}/{part}" for part in sized for name in ("recall", "ndcg")]

    def table(self) -> list[dict[str, Any]]:
        """One row per model: ``model``, ``parameters``, ``seeds``, means of all metrics; JSON-like, NaN as None."""
        return [
            {"model": model, "parameters": self.parameters[model], "seeds": len(self.ranked[model])}
            | {metric: _plain(self.mean(metric, model)) for metric in self.metrics()}
            for model in self.models
        ]

    def __repr__(self) -> str:
        return f"<Evaluation of {', '.join(self.models)}: {len(self.contexts):,} {self.part} contexts>"

    def __str__(self) -> str:
        """The main metrics of every model with their 95 % intervals, as text."""
        metrics = [f"{name}@{self._middle}" for name in ("ndcg", "recall", "hr")]
        lines = [["model", "parameters", *metrics]]
        for model in self.models:
            found = [self.interval(metric, model) for metric in metrics]
            numbers = [f"{x.mean:.4f} ({x.low:.4f} to {x.high:.4f})" for x in found]
            lines.append([model, f"{self.parameters[model]:,}", *numbers])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)

    @property
    def _middle(self) -> int:
        return 10 if 10 in self.k else self.k[len(self.k) // 2]

    def _values(self, name: str, k: int, part: str | None, model: str, seed: int) -> Values:
        ranked = self.ranked[model][seed]
        if name in METRICS:
            return accuracy(name, self.hits(model, seed, part), k)
        if name == "novelty":
            found = beyond.novelty(ranked, k, self.split.popularity)
        elif name == "diversity":
            found = np.full(len(ranked), np.nan) if self.vectors is None else beyond.diversity(ranked, k, self.vectors)
        elif name in ("overlap", "rbo"):
            measure = overlap if name == "overlap" else rank_biased_overlap
            found = np.mean([measure(ranked, teacher, k) for teacher in self.ranked[self._teacher()]], axis=0)
        else:
            return self._beats(model, seed, k, part, 1 if name == "win" else -1)
        return found if part is None else np.where(self.hits(model, seed, part).relevant > 0, found, np.nan)

    def _beats(self, model: str, seed: int, k: int, part: str | None, sign: int) -> Values:
        """Whether NDCG is above (``sign`` 1) or below (-1) the teacher's, averaged over the teacher's seeds."""
        teacher = self._teacher()
        own = accuracy("ndcg", self.hits(model, seed, part), k)
        theirs = [accuracy("ndcg", self.hits(teacher, i, part), k) for i in range(len(self.ranked[teacher]))]
        beats = [np.where(np.isnan(own), np.nan, sign * (own - other) > 0) for other in theirs]
        return np.mean(beats, axis=0)  # type: ignore[no-any-return]

    def hits(self, model: str, seed: int, part: str | None = None) -> Hits:
        """Where one training's lists are right, on all targets or those of a slice."""
        key = (model, seed, part)
        if key not in self._found:
            ranked = self.ranked[model][seed]
            known = (
                hits(ranked, self.contexts.targets) if part is None else self.slices[part].hits(ranked, self.contexts)
            )
            self._found[key] = known
        return self._found[key]

    @cached_property
    def _found(self) -> dict[tuple[str, int, str | None], Hits]:
        return {}

    def _parse(self, metric: str) -> tuple[str, int, str | None]:
        name, k, part = parse(metric, dict.fromkeys(KNOWN))
        if k > self.k[-1]:
            raise ConfigError(
                f"{metric!r} goes beyond the largest cut-off {self.k[-1]}", hint=f"evaluate with k=({k},)"
            )
        if part is not None and part not in SLICES:
            raise ConfigError(f"no slice is called {part!r}", hint=nearest(part, SLICES))
        return name, k, part

    def _model(self, model: str | None) -> str:
        if model is None and len(self.ranked) == 1:
            return next(iter(self.ranked))
        if model is None or model not in self.ranked:
            what = "several models were evaluated" if model is None else f"no model is called {model!r}"
            raise ConfigError(what, key=("model",), hint=nearest(model or "", self.ranked))
        return model

    def _teacher(self) -> str:
        if self.teacher is None:
            raise ConfigError("this needs a teacher to compare with", hint="name it: evaluate(..., teacher=…)")
        return self.teacher


def _named(models: Models | RankingModel) -> dict[str, tuple[RankingModel, ...]]:
    if isinstance(models, RankingModel):
        return {models.config.name: (models,)}
    return {name: (m,) if isinstance(m, RankingModel) else tuple(m) for name, m in models.items()}


def _tell_repeats(contexts: Contexts, part: str) -> None:
    count = int(contexts.repeated().sum())
    if count:
        log.warning(
            "%d of %d %s targets are in the history, which is never recommended, and count as missed; "
            "keep only first meetings of an item (duplicates: keep-first), or evaluate with exclude_history=False",
            count, contexts.targets.n_events, part,
        )  # fmt: skip


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None
