"""Variants of a deployment side by side: what each was asked, and what users did with its answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..deployment import Deployment
from .meters import Meters

__all__ = ["side_by_side"]

_Z = 1.959964
"""Of a normal distribution, 95 % of which lie within."""


def side_by_side(
    deployment: Deployment, answers: Mapping[str, int], events: Mapping[tuple[str, str], int], meters: Meters
) -> list[dict[str, Any]]:
    """A record for each variant.

    ``rates`` are events per answer, of every type that any variant had. ``difference`` is that to the first variant,
    with a 95 % interval for counts that are Poisson distributed; users who do a thing many times make the true interval
    wider. Answers to nobody known count for the first variant: give the user with every question to compare fairly.

    Args:
        deployment: Which variants there are.
        answers: That each has given, in this deployment.
        events: Their number by variant and type, in this deployment.
        meters: Latencies, and the overlap of shadows, since the server started.
    """
    first = deployment.variants[0].name
    kinds = sorted({kind for _, kind in events})
    rows = []
    for variant in deployment.variants:
        name = variant.name
        seconds, asked = meters.totals(meters.variant, name)
        shared, compared = meters.totals(meters.overlap, name)
        done = {kind: count for (whose, kind), count in sorted(events.items()) if whose == name}
        rows.append(
            {
                "name": name,
                "share": variant.share,
                "shadow": variant.shadow,
                "answers": answers.get(name, 0),
                "milliseconds": 1e3 * seconds / asked if asked else None,
                "compared": int(compared),
                "overlap": shared / compared if compared else None,
                "events": done,
                "rates": {kind: _rate(name, first, kind, answers, events) for kind in kinds},
            }
        )
    return rows


def _rate(
    name: str, first: str, kind: str, answers: Mapping[str, int], events: Mapping[tuple[str, str], int]
) -> dict[str, float]:
    """Of one variant, and against the first."""
    own, others = answers.get(name, 0), answers.get(first, 0)
    if not own:
        return {}
    count = events.get((name, kind), 0)
    rate = {"per_answer": count / own}
    if name == first or not others:
        return rate
    difference = rate["per_answer"] - events.get((first, kind), 0) / others
    margin = _Z * math.sqrt(count / own**2 + events.get((first, kind), 0) / others**2)
    return rate | {"difference": difference, "low": difference - margin, "high": difference + margin}
