"""A scene, and the parts of a method by the names of the papers, without torch."""

from __future__ import annotations

import numpy as np
import torch

from recdistill.objectives.base import ScoreObjective, Targets, TeacherRankings
from recdistill.objectives.lists import ListConfig, ListObjective, Picked, Scene
from recdistill.objectives.lists.base import RankingsObjective

from ..naive import NaiveScores, made_up_targets

N, ITEMS, K = 9, 14, 5


def student(n: int = N, items: int = ITEMS, seed: int = 0) -> NaiveScores:
    return NaiveScores(torch.from_numpy(2 * np.random.default_rng(100 + seed).standard_normal((n, items))))


def scene(seed: int = 0, m: int = 1) -> Scene:
    targets = made_up_targets(N, ITEMS, K, seed=seed, m=m)
    return Scene(student(seed=seed), targets.rankings["teacher"], targets, torch.arange(ITEMS).float())


def repeated(at: Scene, row: int, times: int) -> Scene:
    """One position many times."""
    rows = torch.full((times,), row)
    known, targets = at.known, at.targets
    tails = {temperature: tail[rows] for temperature, tail in known.tails.items()}
    known = TeacherRankings(known.items[rows], known.logp[rows], tails, known.confidence[rows])
    targets = Targets(targets.labels[rows], targets.weights[rows], {"teacher": known})
    assert isinstance(at.scores, NaiveScores)
    return Scene(NaiveScores(at.scores.matrix[rows]), known, targets, at.popularity)


def ready(objective: ScoreObjective) -> RankingsObjective:
    """As :meth:`prepare` would leave it."""
    assert isinstance(objective, RankingsObjective)
    objective.teachers = ("teacher",)
    objective.popularity = torch.arange(ITEMS).float()
    return objective


def with_picks(config: ListConfig, at: Scene) -> tuple[torch.Tensor, Picked, np.ndarray]:
    """Loss of a method at each position, what it picked there, and the student's scores."""
    objective = ready(config.build())  # type: ignore[arg-type]
    assert isinstance(objective, ListObjective)
    torch.manual_seed(0)
    loss = objective.loss(at.scores, at.targets)
    torch.manual_seed(0)
    return loss, objective.pick(at), at.scores.matrix.numpy()  # type: ignore[attr-defined]


def listed(targets: Targets, row: int) -> list[tuple[int, float]]:
    """Items of the teacher's list at a position and their log-probabilities."""
    known = targets.rankings["teacher"]
    pairs = zip(known.items[row].tolist(), known.logp[row].tolist(), strict=True)
    return [(item, logp) for item, logp in pairs if np.isfinite(logp)]


def unlisted_logp(targets: Targets, row: int) -> float:
    """Mean log-probability of what is not listed."""
    known = targets.rankings["teacher"]
    return float(known.tails[1.0][row]) - float(np.log(max(ITEMS - len(listed(targets, row)), 1)))


def confidence(targets: Targets, row: int) -> float:
    return float(targets.rankings["teacher"].confidence[row])


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def rank(z: np.ndarray, item: int, out: set[int] = frozenset()) -> int:  # type: ignore[assignment]
    """Items scored above one, some of them not counted."""
    return sum(z[other] > z[item] for other in range(len(z)) if other not in out)


def seen(targets: Targets, row: int) -> set[int]:
    """Labels and items of the history that the teacher does not list."""
    history = [] if targets.history is None else targets.history[row].tolist()
    return {*targets.labels[row].tolist(), *history} - {-1} - {item for item, _ in listed(targets, row)}
