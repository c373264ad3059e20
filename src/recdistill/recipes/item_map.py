"""The item spaces of teacher and student, side by side: a map of some items, and how alike they are over many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..data.dataset import Split
from ..evaluation.bootstrap import ends, resampled_means
from ..evaluation.spaces import aligned, linear_cka, nearest_items, plane, shared_neighbours, unit
from ..knowledge import EmbeddingsStore, Knowledge
from ..knowledge.manifest import MANIFEST
from ..models import RankingModel, VectorModel
from ..reports import results as report
from ..teachers.ensemble import Ensemble
from .comparisons import ALONE, DISTILLED

if TYPE_CHECKING:
    from .run import Run

__all__ = ["Space", "item_map", "space_of", "teacher_space"]

Values = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SHOWN = 250
"""Items on the map."""
_MEASURED, _ASKED = 20_000, 1_000
"""Items that are looked at, at most, and those whose nearest ones are looked for."""
_K = 10
_NAMED = 3
"""Nearest items that are named."""
_GROUPS = 5
"""Categories that are told apart."""
_ENOUGH = 20
"""With fewer items there is no map."""
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Space:
    """Vectors of all items.

    Attributes:
        name: Whose they are.
        vectors: float ``[n_items, dim]``; zeros where there is none.
    """

    name: str
    vectors: npt.NDArray[np.floating]


def space_of(name: str, model: RankingModel) -> Space | None:
    """The item vectors of a model, or of the member of an ensemble that weighs most among those that have any."""
    if isinstance(model, Ensemble):
        weights = model.weights_by_name()
        members = [n for n, m in model.members.items() if isinstance(m, VectorModel) and weights[n] > 0]
        if not members:
            return None
        heaviest = max(members, key=lambda member: weights[member])
        return space_of(f"{heaviest} (of {name})", model.members[heaviest])
    return Space(name, model.item_vectors()) if isinstance(model, VectorModel) else None


def teacher_space(run: Run, models: Mapping[str, Sequence[RankingModel]]) -> Space | None:
    """The item vectors of the main teacher, or of an encoder that taught the student, where the teacher has none.

    Args:
        run: Its teachers are taught.
        models: Name of a row to its trainings.
    """
    main = run.recipe.main_teacher()
    own = None if main is None else space_of(main, models[main][0])
    return own or next(_encoded(run), None)


def _encoded(run: Run) -> Iterator[Space]:
    for stage in run.knowledge_for(run.recipe.student.distilled):
        if any(stage.path.rglob(MANIFEST)):
            for store in Knowledge.open(stage.path, verify=False).stores:
                if isinstance(store, EmbeddingsStore) and store.manifest.keyed_by == "item":
                    yield Space(store.manifest.teacher, store.all())


def item_map(
    split: Split, teacher: Space, students: Mapping[str, Sequence[RankingModel]], seed: int
) -> report.ItemMap | None:
    """Compare the teacher's item space with those of the student.

    Items without training events are left out: nothing was learned about them.

    Args:
        split: The data.
        teacher: Its vectors.
        students: Name of a row to its trainings, one for each seed; at least alone and distilled.
        seed: Index of the training that is drawn.

    Returns:
        None where the student has no item vectors, or there are too few items.
    """
    known = np.flatnonzero((split.popularity > 0) & (np.abs(teacher.vectors).sum(axis=1) > 0))
    by_popularity = known[np.argsort(-split.popularity[known], kind="stable")]
    spaces = {
        name: [m.item_vectors() for m in models if isinstance(m, VectorModel)] for name, models in students.items()
    }
    if len(known) < _ENOUGH or not all(spaces.values()):
        return None
    items = by_popularity[_spread(len(by_popularity), _MEASURED)]
    theirs = unit(teacher.vectors[items])
    ours = {name: [unit(vectors[items]) for vectors in own] for name, own in spaces.items()}
    drawn = ours[DISTILLED][seed % len(ours[DISTILLED])]
    shown = _spread(len(items), _SHOWN, even=False)
    kept, points = _planes(theirs, drawn)
    return report.ItemMap(
        teacher=teacher.name,
        student=DISTILLED,
        kept=kept,
        items=tuple(_items(split, items, shown, points, (theirs, drawn))),
        measured=len(items),
        k=_K,
        likeness=tuple(_likeness(theirs, ours)),
    )


def _spread(n: int, most: int, *, even: bool = True) -> Ints:
    """Some of ``n`` places, from the first to the last; unevenly: more of the first ones."""
    steps = np.linspace(0, 1, min(n, most))
    return np.unique(np.round((n - 1) * (steps if even else steps**2)).astype(np.int64))


def _planes(theirs: Values, ours: Values) -> tuple[tuple[float, float], tuple[Values, Values]]:
    """The planes of both, the second laid onto the first, at a common scale; and what they keep of the variance."""
    (one, kept), (other, kept_too) = plane(theirs), plane(ours)
    one = one / (np.abs(one).max() or 1.0)
    return (kept, kept_too), (one, _as_large(aligned(other, one), one))


def _as_large(points: Values, like: Values) -> Values:
    """Procrustes shrinks what does not fit; drawn is the shape, at the size of the other."""
    size = np.sqrt((points * points).sum())
    grown: Values = points * (np.sqrt((like * like).sum()) / size if size > 0 else 1.0)
    return grown


def _likeness(theirs: Values, ours: Mapping[str, Sequence[Values]]) -> list[report.Likeness]:
    asked = _spread(len(theirs), _ASKED)
    near = nearest_items(theirs, asked, _K)
    shared = {
        name: np.mean([shared_neighbours(near, nearest_items(own, asked, _K)) for own in spaces], axis=0)
        for name, spaces in ours.items()
    }
    found = []
    for name, spaces in ours.items():
        alike = [linear_cka(theirs, own) for own in spaces]
        several = len(alike) > 1 and np.isfinite(alike).all()
        found.append(
            report.Likeness(
                row=name,
                cka=float(np.mean(alike)) if np.isfinite(alike).all() else None,
                cka_range=(min(alike), max(alike)) if several else None,
                neighbours=_mean(shared[name]),
                gained=None if name == ALONE else _mean(shared[name] - shared[ALONE]),
            )
        )
    return found


def _mean(values: Values) -> report.Estimate:
    """With the interval of a bootstrap over items."""
    low, high = ends(resampled_means(values, None, _RESAMPLES, seed=0))
    return report.Estimate(value=float(values.mean()), low=low, high=high)


def _items(
    split: Split, items: Ints, shown: Ints, points: tuple[Values, Values], spaces: tuple[Values, Values]
) -> list[report.MapItem]:
    catalogue = split.dataset.items
    groups = _groups(split, items[shown])
    marked = [place for group in dict.fromkeys(groups) for place in _marked(shown[[g == group for g in groups]])]
    near = [nearest_items(space, np.array(marked), _NAMED) for space in spaces]
    named = {
        place: [tuple(catalogue.title(int(items[n])) for n in of[at]) for of in near] for at, place in enumerate(marked)
    }
    found = []
    for place, group in zip(shown.tolist(), groups, strict=True):
        item = int(items[place])
        near_teacher, near_student = named.get(place, ((), ()))
        (x, y), (u, v) = (np.round(of[place], 3).tolist() for of in points)
        found.append(
            report.MapItem(
                title=catalogue.title(item),
                group=group,
                events=int(split.popularity[item]),
                teacher=(x, y),
                student=(u, v),
                near_teacher=near_teacher,
                near_student=near_student,
            )
        )
    return found


def _marked(places: Ints) -> list[int]:
    """The most popular item of a group, and one of middling popularity."""
    return sorted({int(places[0]), int(places[len(places) // 2])})


def _groups(split: Split, items: Ints) -> list[str]:
    """The first of an item's categories that is among the most common ones; without categories, how popular it is."""
    categories = split.dataset.items.categories
    if not categories or not any(categories[item] for item in items):
        third = np.quantile(split.popularity[items], [2 / 3, 1 / 3])
        levels = ("popular third", "middle third", "rare third")
        return [levels[int((split.popularity[item] < third).sum())] for item in items]
    counts = Counter(category for item in items for category in set(categories[item]))
    common = {category for category, _ in counts.most_common(_GROUPS)}
    return [next((category for category in categories[item] if category in common), "other") for item in items]
