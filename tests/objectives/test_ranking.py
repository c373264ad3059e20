"""The generic objective: the named methods are what its parts make."""

from __future__ import annotations

import pytest
import torch

from recdistill.errors import ConfigError
from recdistill.objectives import RRD, ListMLE, Ranking, RankNet
from recdistill.objectives.lists import ListConfig

from .lists.made_up import ready, scene


@pytest.mark.parametrize(
    ("named", "parts"),
    [
        (ListMLE(k=4), Ranking(k=4)),
        (RankNet(k=4, unlisted=3), Ranking(k=4, unlisted=3, compare="ranknet")),
        (RRD(k=3, uninteresting=4, scale=2.0), Ranking(pick="rank", k=3, unlisted=4, scale=2.0)),
    ],
    ids=lambda config: config.name,
)
def test_named_methods(named: ListConfig, parts: Ranking) -> None:
    at, losses = scene(m=2), []
    for config in (named, parts):
        torch.manual_seed(0)
        losses.append(ready(config.build()).loss(at.scores, at.targets))  # type: ignore[arg-type]
    assert torch.equal(*losses)


def test_trust_goes_on_to_the_objective() -> None:
    objective = Ranking(trust="better", scale=3.0).build()
    assert (objective.trust, objective.trust_scale, objective.dense) == ("better", 3.0, True)


def test_what_there_is_not() -> None:
    with pytest.raises(ConfigError):
        Ranking(weights=("fame",))
    with pytest.raises(ConfigError):
        Ranking(compare="taste")
