"""Settings of both arms, searched with the same budget on validation.

``PYTHONPATH=benchmarks python -m quality.tune NAME ARM [--budget 16]`` goes through the grid one parameter after
another, keeps what is better (of one seed), and prints one JSON line per training and the best at the end. What it
found stands in ``plans.py``.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import replace
from typing import Any

from .lessons import School
from .plans import PLANS, Arm
from .predictions import metrics, ranked
from .splits import load

GRID: dict[str, tuple[float, ...]] = {
    "weight_decay": (0.0, 0.01, 0.1, 0.3, 1.0, 3.0),
    "dropout": (0.0, 0.1, 0.3, 0.5),
    "lr": (3e-3, 1e-2, 2e-2, 3e-2, 1e-1),
    "batch": (64, 256, 1024),
}
"""The same for both arms: parameters of the loop, and the student's dropout."""


WEIGHTS, GREATEST = (1.0, 0.1, 10.0), 1000.0
"""Of a method's terms, beside a weight of 1 for the task; while the greatest is best, ten times it is tried, too."""


def changed(arm: Arm, name: str, value: Any) -> Arm:
    """The arm with another value of one parameter."""
    if name == "dropout":
        return replace(arm, parameters={**arm.parameters, name: value})
    return replace(arm, training=arm.training.replace(**{name: value}))


def current(arm: Arm, name: str) -> Any:
    """The value of a parameter."""
    return arm.parameters.get(name, 0.0) if name == "dropout" else getattr(arm.training, name)


def step(arm: Arm, name: str, *, greater: bool) -> Arm | None:
    """The arm with the next greater or smaller value of a parameter, or None at the end of the grid."""
    own = current(arm, name)
    ahead = [v for v in GRID[name] if v > own] if greater else [v for v in reversed(GRID[name]) if v < own]
    return changed(arm, name, ahead[0]) if ahead else None


def search(school: School, arm: Arm, budget: int) -> tuple[Arm, float]:
    """Climb along one parameter after another until the budget is spent or no neighbour is better."""
    split, tried = school.split, {}

    def quality(candidate: Arm) -> float:
        key = json.dumps([candidate.training.model_dump(mode="json"), dict(candidate.parameters)], sort_keys=True)
        if key not in tried:
            student = school.student(candidate, seed=0)
            tried[key] = metrics(ranked(student.model, split, "valid"), split, "valid")[split.select]
            shown = {name: current(candidate, name) for name in GRID}
            print(json.dumps({**shown, split.select: round(tried[key], 5), "s": round(student.seconds)}), flush=True)
        return tried[key]

    best, score, still = arm, quality(arm), True
    while still and len(tried) < budget:
        still = False
        for name in GRID:
            for direction in (0, 1):  # greater, then smaller; on along the way that pays
                while len(tried) < budget:
                    candidate = step(best, name, greater=not direction)
                    if candidate is None or quality(candidate) <= score:
                        break
                    best, score, still = candidate, quality(candidate), True
    return best, score


def weighed(school: School, method: str) -> tuple[Arm, float]:
    """A method beside the task with the best of the ``WEIGHTS`` on validation, for one seed; the arm and the weight."""
    split = school.split

    def quality(weight: float) -> float:
        student = school.student(school.plan.arm(method, weight), seed=0)
        return metrics(ranked(student.model, split, "valid"), split, "valid")[split.select]

    found = {weight: quality(weight) for weight in WEIGHTS}
    while (weight := max(found, key=lambda one: found[one])) == max(found) < GREATEST:
        found[10 * weight] = quality(10 * weight)
    return school.plan.arm(method, weight), weight


def main() -> None:
    """Search, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(PLANS))
    parser.add_argument("arm", choices=("alone", "distilled"))
    parser.add_argument("--budget", type=int, default=16, help="trainings")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    plan = PLANS[args.name]
    school = School(load(plan.bench, ordered=plan.ordered), plan)
    best, score = search(school, school.plan.arm("alone" if args.arm == "alone" else "auto"), args.budget)
    print(json.dumps({"best": {name: current(best, name) for name in GRID}, "valid": round(score, 5)}))


if __name__ == "__main__":
    main()
