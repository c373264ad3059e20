"""What a run leaves for the page: the student alone and distilled as bundles, and lists of the teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..compression import write_bundle
from ..data.dataset import Contexts, Split
from ..files import write_json
from ..models import RankingModel, load_model
from ..serving import Bundle
from ..serving.showcase import FILE, VERSION
from ..serving.topk import top_k
from .teach import load_ranker

if TYPE_CHECKING:
    from .run import Run

__all__ = ["write_showcase"]

_LONGEST = 8
"""Events of a history that is shown."""
_LISTED = 50


def write_showcase(run: Run, path: Path) -> None:
    """Write what :class:`recdistill.serving.showcase.Showcase` reads.

    Args:
        run: Its students are trained and its bundle is written.
        path: The directory; what an interrupted attempt left is replaced.
    """
    places = {"alone": run.best_of("alone"), "distilled": run.best_of("distilled")}
    about = {"alone": "the same student without teachers", "distilled": _taught_by(run)}
    models = []
    for kind, stage in places.items():
        write_bundle(load_model(stage.path / "model"), run.split.dataset, path / kind, vectors="float32")
        fingerprint = Bundle.open(path / kind).fingerprint
        models.append({"name": f"student {kind}", "bundle": kind, "about": about[kind], "fingerprint": fingerprint})
    body = {
        "version": VERSION,
        "models": models,
        "teacher": _teacher(run),
        "served": Bundle.open(run.served.path / "bundle").fingerprint,
    }
    write_json(path / FILE, body)


def _taught_by(run: Run) -> str:
    names = [teacher.id for teacher in run.recipe.student.distilled.live]
    names += [stage.name.removeprefix("teach/") for stage in run.knowledge_for(run.settled("distilled"))]
    return f"taught by {', '.join(dict.fromkeys(names))}"


def _teacher(run: Run) -> dict[str, Any] | None:
    """Lists of the main teacher for some people of the test part; None if no stored teacher ranks."""
    name = run.recipe.main_teacher()
    if name is None:
        return None
    ranker = load_ranker(run.recipe, name, {s.name.removeprefix("teach/"): s.path for s in run.taught})
    contexts = some_people(run.split, run.recipe.bundle.showcase)
    ids = run.split.dataset.items.ids

    def named(items: Sequence[int] | npt.NDArray[Any]) -> list[str]:
        return [ids[int(at)] for at in items]

    return {
        "name": name,
        "about": f"stored answers of a teacher with {ranker.n_parameters:,} numbers",
        "contexts": [
            {
                "history": named(contexts.history[row]),
                "next": named(contexts.targets[row]),
                "items": named(_best(ranker, contexts.take([row]))),
            }
            for row in range(len(contexts))
        ],
    }


def some_people(split: Split, n: int) -> Contexts:
    """Contexts of the test part, spread evenly, with the newest events of each history only."""
    rows = np.flatnonzero((split.test.history.lengths >= 2) & (split.test.targets.lengths > 0))
    rows = rows[np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(np.int64)]
    chosen = split.test.take(rows)
    return Contexts(chosen.users, chosen.history.last(_LONGEST), chosen.targets)


def _best(ranker: RankingModel, context: Contexts) -> npt.NDArray[np.int64]:
    scores = ranker.score(context)[0]
    scores[context.history[0]] = -np.inf
    return top_k(scores, _LISTED)
