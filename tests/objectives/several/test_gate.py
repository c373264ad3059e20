"""The gate against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from recdistill.objectives.lists import Scene
from recdistill.objectives.several import Gate
from recdistill.objectives.several.held_out import HeldOut
from recdistill.objectives.several.mixes import entropy, gains, margin

from ..lists.made_up import ITEMS, N
from .test_mixes import NAMES, answered, scenes


def gate(judge: str = "labels") -> Gate:
    """With a network of chance."""
    found = Gate(len(NAMES), 4, judge)  # type: ignore[arg-type]
    width = ITEMS + 5 * len(NAMES)  # made-up states are the scores
    torch.manual_seed(0)
    found.network = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4), nn.GELU(), nn.Linear(4, len(NAMES)))
    found.network.double()
    return found


def said(scene: Scene, row: int) -> list[float]:
    known = scene.known
    tail, first = float(known.tails[1.0][row]), float(known.logp[row, 0])
    return [float(known.confidence[row]), first, float(margin(scene)[row]), float(entropy(scene)[row]), tail]


def test_shares_and_lesson() -> None:
    for seed in range(3):
        found, network = scenes(seed=seed), gate()
        spoke = answered(found)
        shares, gain = network(found, spoke), gains(found)
        lesson = network.lesson()
        assert lesson is not None
        for row in range(N):
            who = [t for t in range(len(NAMES)) if spoke[row, t]]
            if not who:
                assert not lesson[row]
                continue
            z = found[0].scores.states[row].numpy()
            features = [*(z - z.mean()) / np.sqrt(z.var() + 1e-5)]
            for t, scene in enumerate(found):
                features += [max(x, -50.0) for x in said(scene, row)] if t in who else [0.0] * 5
            logits = network.network.double()(torch.tensor(features).double()[None])[0].detach().numpy()[who]
            q = np.exp(logits) / np.exp(logits).sum()
            assert np.allclose(shares[row].numpy()[who], q, rtol=1e-4)
            best = max(float(gain[row, t]) for t in who)
            right = [float(gain[row, t]) == best and best > 0 for t in who]
            wanted = -np.log(q[right]).mean() if any(right) else 0.0
            assert float(lesson[row].detach()) == pytest.approx(wanted, rel=1e-4)
        assert not shares.requires_grad
        lesson.sum().backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_judged_by_validation() -> None:
    """It learns at ends only, and there all teachers count alike."""
    found, network = scenes(), gate("validation")
    ends = torch.tensor([0, 1] * N)[:N].bool()
    position = torch.where(ends, 100 + torch.arange(N), torch.arange(N))
    labels = torch.full((N,), -1)
    labels[5] = int(found[0].known.items[5, 0])
    network.held_out = HeldOut(labels, 100)
    targets = type(found[0].targets)(
        found[0].targets.labels, found[0].targets.weights, found[0].targets.rankings, position
    )
    found = [Scene(scene.scores, scene.known, targets, scene.popularity) for scene in found]
    spoke = answered(found)
    shares, lesson = network(found, spoke), network.lesson()
    assert lesson is not None
    assert lesson.detach().nonzero()[:, 0].tolist() == [5]
    assert shares[5].tolist() == spoke[5].float().tolist()
    assert len(set(shares[7].tolist())) > 1
