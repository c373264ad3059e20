"""Looking into a network while it runs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from recdistill.models.watch import watched


def test_outputs_are_seen_with_their_gradient_and_nothing_stays() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 1))
    with watched([net[0], net[1], net[1]]) as outputs:
        net(torch.ones(5, 3))
    assert set(outputs) == {net[0], net[1]}
    torch.testing.assert_close(outputs[net[1]], net[1](outputs[net[0]]))
    outputs[net[1]].sum().backward()  # type: ignore[no-untyped-call]
    assert net[0].weight.grad is not None
    assert net[2].weight.grad is None
    assert not any(module._forward_hooks for module in net)


def test_nothing_stays_after_an_error_either() -> None:
    net = nn.Linear(3, 4)
    with pytest.raises(RuntimeError), watched([net]):
        net(torch.ones(5, 2))
    assert not net._forward_hooks
