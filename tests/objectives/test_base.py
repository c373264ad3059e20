"""The frame of objectives."""

from __future__ import annotations

import pytest

import recdistill.objectives as objectives
from recdistill.objectives.base import Objective, ObjectiveConfig
from recdistill.registry import Components


def test_every_listed_objective_can_be_built() -> None:
    table: Components = objectives.OBJECTIVES
    for name in set(table) - {"auto"}:  # which is replaced by what it chose before terms are built
        config = table[name].load()()
        assert config.name == name
        built = config.build()
        assert isinstance(built, Objective)
        assert built.config is config
        assert built.weight.at(0) == 1.0
        assert isinstance(built.temperatures, tuple)


def test_a_config_without_an_objective() -> None:
    with pytest.raises(TypeError, match="not an objective"):
        ObjectiveConfig().build()


def test_whom_an_objective_is_taught_by() -> None:
    assert not objectives.CrossEntropy().is_taught
    assert objectives.CrossEntropy().named_teachers == ()
    assert objectives.SoftLabels().is_taught
    assert objectives.SoftLabels().named_teachers == ()
    assert objectives.SoftLabels(teacher="large").named_teachers == ("large",)
