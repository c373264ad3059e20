"""Active labelling against random labelling and the published choice, with GPT-4's stored rankings as the pool.

Of about 5,000 training sessions of ``alkdrec-*`` it is known how GPT-4 orders 25 items. A choice of 500 of them costs
what 500 requests would; the student of 10 dimensions learns from the task and those lists alone. Every choice is made
by the student before it saw any list, with the library's own selectors; the ensemble that they compare it with is
item-kNN and EASE. The weight of the lists is the one by which *random* lists do best on validation; the best choice is
the one with the highest score on validation with the first seed, and the test part is looked at for that one, random
and the published order only. A choice is made at once and not in rounds, which would cost a training each.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from recdistill.evaluation import metric_values
from recdistill.evaluation.bootstrap import Comparison, compare
from recdistill.files import read_json, write_json
from recdistill.knowledge import Knowledge, RankingsWriter, rankings_of_candidates
from recdistill.objectives import CrossEntropy, HardLabels
from recdistill.teachers.llm.selectors.base import SelectorConfig
from recdistill.teachers.llm.selectors.difficulty import Difficulty
from recdistill.teachers.llm.selectors.disagreement import Disagreement
from recdistill.teachers.llm.selectors.diversity import Diversity
from recdistill.teachers.llm.selectors.outlook import outlook
from recdistill.teachers.llm.selectors.random import RandomSelector
from recdistill.teachers.llm.selectors.uncertainty import Uncertainty

from .lessons import School, Student
from .llm import gpt4_order, gpt4_rankings
from .plans import PLANS, Arm
from .predictions import judge, metrics, ranked
from .splits import BenchmarkSplit, load

__all__ = ["RANDOM", "SCHEMES", "Pool", "measure", "selector"]

Ints = npt.NDArray[np.int64]

BUDGET = 500
"""Lists, as in the paper."""
WEIGHTS = (1.0, 10.0)
"""Of the lists' term beside the task's."""
SCHEMES: dict[str, SelectorConfig] = {
    "uncertainty": Uncertainty(),
    "disagreement": Disagreement(),
    "difficulty": Difficulty(),
    "diversity": Diversity(),
}
"""What is tried; the best on validation is compared with random and with the published order."""
RANDOM, PAPER, ALONE = "random", "published order", "alone"

log = logging.getLogger("recdistill")


def measure(name: str, seeds: int) -> dict[str, Any]:
    """All that the part says about one benchmark.

    Args:
        name: ``alkdrec-ml`` or ``alkdrec-games``.
        seeds: Students of each kind.
    """
    pool = Pool(name)
    pool.weight = max(WEIGHTS, key=lambda weight: pool.valid(pool.taught(RANDOM, 0, weight)))
    tried = {scheme: pool.valid(pool.taught(scheme, 0)) for scheme in SCHEMES}
    best = max(tried, key=lambda scheme: tried[scheme])
    rows = {ALONE: [pool.alone(seed) for seed in range(seeds)]}
    rows |= {scheme: [pool.taught(scheme, seed) for seed in range(seeds)] for scheme in (RANDOM, PAPER, best)}
    valid = {scheme: _mean([pool.valid(student) for student in found]) for scheme, found in rows.items()}
    hits = {scheme: np.stack([pool.hits(student) for student in found]) for scheme, found in rows.items()}
    over = {other: compare(hits[best], hits[other]) for other in (PAPER, RANDOM, ALONE)}
    return {
        "reached": over[PAPER].low > 0,
        "best": best,
        "lists": BUDGET,
        "pool": len(pool.positions),
        "weight": pool.weight,
        "metric": pool.split.select,
        "tried on validation": {scheme: round(value, 5) for scheme, value in tried.items()},
        "valid": {scheme: round(value, 5) for scheme, value in valid.items()},
        "test": {scheme: _referee([pool.test(student) for student in found]) for scheme, found in rows.items()},
        "verdicts": {f"{best} against {other}": _words(found) for other, found in over.items()},
        "right": {scheme: round(pool.right(pool.chosen(scheme, 0)), 3) for scheme in (*SCHEMES, RANDOM, PAPER)},
    }


class Pool:
    """What is bought from, and students who learned from parts of it.

    Args:
        name: Of the benchmark.
    """

    weight = WEIGHTS[0]
    """Of the lists' term."""

    def __init__(self, name: str) -> None:
        plan = PLANS[name]
        # sampled negatives and a short run: a tenth of the time, so that many choices can be compared
        short = plan.alone.training.replace(
            negatives=512, negatives_power=0.5, epochs=10, patience=10, evaluate_every=2
        )
        self.plan = replace(plan, alone=replace(plan.alone, training=short))
        self.split: BenchmarkSplit = load(name)
        self.school = School(self.split, self.plan)
        lists = gpt4_rankings(self.split)
        said = lists.items.lengths > 0
        order = np.argsort(lists.positions[said], kind="stable")
        self.positions: Ints = lists.positions[said][order]
        self.items = lists.items.take(np.flatnonzero(said)[order])

    @cached_property
    def published(self) -> Ints:
        """The first of the paper's order, as rows of the pool."""
        order = gpt4_order(self.split)
        at = np.searchsorted(self.positions, order)
        known = np.flatnonzero(self.positions[np.minimum(at, len(self.positions) - 1)] == order)
        return np.asarray(at[known][:BUDGET], dtype=np.int64)

    def alone(self, seed: int) -> Student:
        """The student that saw no list."""
        return self.school.student(self.plan.alone, seed)

    def chosen(self, scheme: str, seed: int) -> Ints:
        """Rows of the pool, as many as the budget allows."""
        if scheme == PAPER:
            return self.published
        by = selector(scheme)
        place = self.school.place(f"choices/{scheme}/{seed}", [by.digest(), BUDGET, self.plan.alone.training.digest()])

        def choose() -> None:
            against = self.school.rankings if "beside" in by.needs() else None
            seen = outlook(self.alone(seed).model, self.split, self.positions, by.needs(), beside=against)
            rows = by.pick(seen, BUDGET, np.random.default_rng(seed))
            write_json(place / "rows.json", np.sort(rows).tolist())

        self.school.once(place, choose)
        return np.array(read_json(place / "rows.json"), dtype=np.int64)

    def taught(self, scheme: str, seed: int, weight: float | None = None) -> Student:
        """The student that learned from the lists of a choice too."""
        rows = self.chosen(scheme, seed)
        term = HardLabels(k=25, decay=5.0, weight=self.weight if weight is None else weight)
        arm = Arm((CrossEntropy(), term), self.plan.alone.training, self.plan.alone.parameters)
        student = self.school.student(arm, seed, self._said(rows))
        log.info("%s, seed %d, weight %g: valid %.5f", scheme, seed, term.weight.start, self.valid(student))
        return student

    def right(self, rows: Ints) -> float:
        """Share of some lists that have what came next among their first five; chance is 0.2 of those that list it."""
        labels = self.split.train.items[self.positions[rows]]
        return _mean([float(label in self.items[row][:5]) for row, label in zip(rows.tolist(), labels, strict=True)])

    def valid(self, student: Student) -> float:
        """The metric that chooses."""
        file = student.directory / "valid.json"
        if not file.exists():
            write_json(file, metrics(ranked(student.model, self.split, "valid"), self.split, "valid"))
        return float(read_json(file)[self.split.select])

    def test(self, student: Student) -> dict[str, Any]:
        """What the referee says."""
        file = student.directory / "test.json"
        if not file.exists():
            write_json(file, judge(student.model, self.split, "test", student.directory / "predictions.tsv.gz"))
        return dict(read_json(file))

    def hits(self, student: Student) -> npt.NDArray[np.float64]:
        """The metric of every test context, for intervals."""
        best = ranked(student.model, self.split, "test")
        return np.asarray(np.nan_to_num(metric_values(best, self.split.test.targets, self.split.select)))

    def _said(self, rows: Ints) -> Knowledge:
        """The store of some lists; an item on rank r has a probability proportional to 1 / r."""
        place, k = self.school.place("gpt4", [rows.tolist()]), 25
        items = np.full((len(rows), k), -1, dtype=np.int32)
        for place_, row in enumerate(rows.tolist()):
            found = self.items[row][:k]
            items[place_, : len(found)] = found
        p = np.where(items >= 0, 1 / np.arange(1, k + 1), 0.0)
        p *= 0.9 / p.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore"):
            lists = rankings_of_candidates(
                items, np.log(p), np.full(len(rows), 0.1), self.split.n_items, np.ones(len(rows), dtype=np.float32)
            )
        writer = RankingsWriter(
            place / "rankings", teacher="gpt-4", teacher_fingerprint="published",
            split_fingerprint=self.split.fingerprint, rows=self.split.train.n_positions, k=k,
            n_items=self.split.n_items, meaning="1 / rank in GPT-4's order",
        )  # fmt: skip
        with writer:
            left = ~writer.done[self.positions[rows]]
            writer.add(self.positions[rows][left], lists.take(np.flatnonzero(left)))
        return Knowledge((writer.seal(),))


def selector(scheme: str) -> SelectorConfig:
    """What chooses in this way."""
    return RandomSelector() if scheme == RANDOM else SCHEMES[scheme]


def _words(found: Comparison) -> str:
    """Both means, the difference with its interval over contexts, and the verdict."""
    difference = f"{found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
    return f"{found.mean:.4f} against {found.over:.4f}, {difference}: {found.verdict}"


def _referee(lines: list[dict[str, Any]]) -> dict[str, float]:
    """Means of the referee's figures over the seeds."""
    names = [name for name in lines[0] if name.partition("@")[0] in ("recall", "ndcg") and "@" in name]
    return {name: round(_mean([float(line[name]) for line in lines]), 5) for name in names}


def _mean(values: list[float]) -> float:
    return float(np.mean(values))
