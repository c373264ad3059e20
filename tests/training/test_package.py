"""The public names."""

from __future__ import annotations

import pytest

import recdistill.training as training
from recdistill.training.loop import Fitted, fit


def test_names() -> None:
    assert (training.Fitted, training.fit) == (Fitted, fit)
    live = {component.attribute for component in training.LIVE.values()}
    named = {"LIVE", "Fitted", "Pretraining", "SideTask", "Training", "fit", "fit_across", "pretrain"}
    assert set(training.__all__) == named | live
    with pytest.raises(AttributeError, match="nothing"):
        training.nothing  # noqa: B018
