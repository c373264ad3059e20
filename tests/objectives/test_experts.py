"""Experts, Distillation Experts and contrastive distillation against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives import DE, Contrastive
from recdistill.objectives.base import Moment
from recdistill.objectives.contrastive import ContrastiveLoss
from recdistill.objectives.de import DELoss
from recdistill.objectives.experts import Experts
from recdistill.objectives.schedule import Schedule
from tests.synthetic import tiny_split

from .inside import made_up, prepared, slopes_are_right

SPLIT = tiny_split()


def test_a_mix_of_experts() -> None:
    torch.manual_seed(0)
    experts = Experts(3, 6, 4).double()
    s, t = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)
    torch.manual_seed(1)
    noise = -torch.log(-torch.log(torch.rand(5, 4).clamp(1e-20, 1 - 1e-7)))
    torch.manual_seed(1)
    got = experts(s, t, 0.7).detach().numpy()
    logits = (t @ experts.choose.weight.T + experts.choose.bias).detach().numpy()
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    keys = np.exp((np.log(chances) + noise.numpy()) / 0.7)
    chosen = keys / keys.sum(1, keepdims=True)
    hidden = (3 + 6) // 2
    wanted = np.zeros((5, 6))
    for e in range(4):
        cut = slice(e * hidden, (e + 1) * hidden)
        first = np.maximum(s.numpy() @ experts.first[:, cut].detach().numpy(), 0)
        wanted += chosen[:, [e]] * (first @ experts.second[cut].detach().numpy())
    np.testing.assert_allclose(got, wanted)
    assert experts.groups(t).tolist() == logits.argmax(1).tolist()


def test_at_a_low_temperature_one_expert_is_chosen_and_slopes_stay_finite() -> None:
    experts = Experts(3, 6, 4)
    student = torch.randn(50, 3, requires_grad=True)
    experts(student, torch.randn(50, 6), 1e-10).sum().backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in experts.parameters() if p.grad is not None)


def test_de() -> None:
    sides = made_up()
    objective = prepared(DE(experts=4), sides, SPLIT)
    assert isinstance(objective, DELoss)
    torch.manual_seed(1)
    got = objective.compared(sides).item()
    torch.manual_seed(1)
    errors = []
    for side, pairs in sides.items():
        made = objective.experts[side](pairs.student, pairs.teacher, 1.0)
        errors.append(np.mean(np.square((made - pairs.teacher).detach().numpy())))
    assert got == pytest.approx(np.mean(errors))
    assert slopes_are_right(objective, sides)


def test_the_temperature_falls() -> None:
    objective = DE(temperature=Schedule(start=1.0, end=0.01, shape="decay", epochs=2)).build()
    found = []
    for epoch in range(1, 5):
        objective.begin(Moment(epoch))
        found.append(objective.temperature)
    assert found == pytest.approx([1, 0.1, 0.01, 0.01])
    assert DE().build().temperature == 1.0


def test_contrastive() -> None:
    sides = made_up()
    objective = prepared(Contrastive(dim=4, temperature=0.5), sides, SPLIT)
    assert isinstance(objective, ContrastiveLoss)
    wanted = []
    for side, pairs in sides.items():
        a = objective.of_student[side](pairs.student).detach().numpy()
        b = objective.of_teacher[side](pairs.teacher).detach().numpy()
        logits = (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1) / 0.5
        wanted += [np.mean(np.log(np.exp(logits).sum(1)) - np.diag(logits))]
    assert objective.compared(sides).item() == pytest.approx(np.mean(wanted))
    assert slopes_are_right(objective, sides)
