from __future__ import annotations

from pathlib import Path

import numpy as np

from recdistill.serving.deployment import Deployment, Variant
from recdistill.serving.http.meters import Meters
from recdistill.serving.http.trial import side_by_side


def test_what_a_variant_never_did_is_compared_too() -> None:
    deployment = Deployment(1, (Variant("main", Path("a")), Variant("b", Path("b"), 0.5)))
    events = {("main", "purchase"): 100, ("main", "click"): 400, ("b", "click"): 500}
    first, second = side_by_side(deployment, {"main": 1000, "b": 1000}, events, Meters())
    assert first["rates"] == {"click": {"per_answer": 0.4}, "purchase": {"per_answer": 0.1}}
    lost = second["rates"]["purchase"]
    margin = 1.959964 * np.sqrt(100) / 1000
    assert lost["per_answer"] == 0
    np.testing.assert_allclose([lost["difference"], lost["low"], lost["high"]], [-0.1, -0.1 - margin, -0.1 + margin])
    assert second["rates"]["click"]["low"] > 0
    assert second["events"] == {"click": 500}
